"""Members of `_meta` that only the shim may set, taken out of what upstreams say."""

from __future__ import annotations

from shim.model import META_PREFIX, Json, JsonObject


def without_own(members: JsonObject) -> JsonObject:
    """An object without the shim's members in its `_meta`: itself where there are none."""
    meta = members.get("_meta")
    if not isinstance(meta, dict) or not any(key.startswith(META_PREFIX) for key in meta):
        return members
    return {**members, "_meta": {key: value for key, value in meta.items() if not key.startswith(META_PREFIX)}}


def clean_result(result: JsonObject) -> JsonObject:
    """A tool result whose own `_meta`, and those of its content blocks and of resources in them, are cleaned.

    `structuredContent` is the tool's own business and not looked into.
    """
    result = without_own(result)
    content = result.get("content")
    if isinstance(content, list):
        cleaned = [_clean_block(block) for block in content]
        if any(new is not old for new, old in zip(cleaned, content, strict=True)):
            return {**result, "content": cleaned}
    return result


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
