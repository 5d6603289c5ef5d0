"""Members of `_meta` that only the shim may set, taken out of what upstreams say."""

from __future__ import annotations

from collections.abc import Callable

from shim.model import META_PREFIX, Json, JsonObject


def without_own(members: JsonObject) -> JsonObject:
    """An object without the shim's members in its `_meta`, and without that where nothing else is in it: itself where
    there are none."""
    meta = members.get("_meta")
    if not isinstance(meta, dict) or not any(key.startswith(META_PREFIX) for key in meta):
        return members
    theirs = {key: value for key, value in meta.items() if not key.startswith(META_PREFIX)}
    rest = {key: value for key, value in members.items() if key != "_meta"}
    return {**rest, "_meta": theirs} if theirs else rest


def clean_result(result: JsonObject) -> JsonObject:
    """A result whose own `_meta` is cleaned, and those of what it holds: content blocks, messages, contents.

    `structuredContent` is the tool's own business and not looked into.
    """
    result = _cleaned(without_own(result), "content", _clean_block)
    return _cleaned(_cleaned(result, "messages", _clean_message), "contents", _clean_block)


def _cleaned(holder: JsonObject, key: str, clean: Callable[[Json], Json]) -> JsonObject:
    """The object with what the list below `key` holds cleaned: itself where nothing changes."""
    held = holder.get(key)
    if not isinstance(held, list):
        return holder
    cleaned = [clean(one) for one in held]
    return {**holder, key: cleaned} if any(new is not old for new, old in zip(cleaned, held, strict=True)) else holder


def _clean_message(message: Json) -> Json:
    if not isinstance(message, dict):
        return message
    message = without_own(message)
    content = message.get("content")
    if isinstance(content, list):
        return _cleaned(message, "content", _clean_block)
    cleaned = _clean_block(content)
    return message if cleaned is content else {**message, "content": cleaned}


def _clean_block(block: Json) -> Json:
    if not isinstance(block, dict):
        return block
    block = without_own(block)
    resource = block.get("resource")
    if isinstance(resource, dict):
        cleaned = without_own(resource)
        if cleaned is not resource:
            return {**block, "resource": cleaned}
    return block
