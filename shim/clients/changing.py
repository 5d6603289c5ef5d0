"""One change of a client's file: servers and the shim's entry in or out, all else as it was, or no change at all.

What the edits of `jsonc` and `toml` gave is read again by a real parser: where anything but what was meant differs, the
file is left alone. That is the difference between a file that cannot be edited well and one that is damaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from shim.clients import jsonc, toml
from shim.clients.client import ENTRY, Client, Entry, Extra
from shim.clients.errors import Uneditable, Unreadable
from shim.clients.reading import BOM, decoded, json_document, toml_document
from shim.model import Json, JsonObject

Place: TypeAlias = tuple[str, ...]
"""Where an entry stands: the keys from the root of its file, its name last."""


@dataclass(frozen=True, slots=True)
class Change:
    """Entries to put in (or to replace) and to take out; `extras` and `extra_ids` are the same for array elements.

    `like` is the text before the shim was connected, so that what it brought leaves no trace.
    """

    put: Mapping[Place, JsonObject] = field(default_factory=dict)
    take: Sequence[Place] = ()
    extras: Sequence[Extra] = ()
    without: Sequence[Extra] = ()
    like: str | None = None


def entry_place(client: Client) -> Place:
    """Where the shim's entry stands in a client's file."""
    return (*client.section, ENTRY)


def document_of(client: Client, content: bytes | None) -> JsonObject:
    """What a file holds; {} where there is none. Raises Unreadable."""
    if content is None:
        return {}
    text = decoded(content)
    return toml_document(text) if client.syntax == "toml" else json_document(text)


def value_at(document: JsonObject, place: Place) -> Json:
    """What stands at a place; None where nothing does."""
    value: Json = document
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def element(document: JsonObject, extra: Extra) -> JsonObject | None:
    """The element of an array that an entry needs, as it stands there."""
    listed = value_at(document, extra.path)
    for found in listed if isinstance(listed, list) else ():
        if isinstance(found, dict) and found.get("id") == extra.id:
            return found
    return None


def connecting(entry: Entry, client: Client, moved: Sequence[Place]) -> Change:
    """The change that connects a client: its entry in, servers that are now behind the shim out."""
    return Change({entry_place(client): entry.value}, moved, [entry.extra] if entry.extra is not None else [])


def changed(client: Client, content: bytes | None, change: Change) -> bytes:
    """What the file shall hold. Raises Uneditable, or Unreadable for what cannot be edited because it is not sound."""
    text = decoded(content or b"")
    mark = BOM if text.startswith(BOM) else ""
    plain = text.removeprefix(BOM)
    like = change.like.removeprefix(BOM) if change.like is not None else None
    before = document_of(client, content)
    for place, value in change.put.items():
        plain = _put(client, plain, place, value)
    for place in change.take:
        plain = _take(client, plain, place, like)
    for extra in change.extras:
        plain = _with_element(plain, extra)
    for extra in change.without:
        plain = _without_element(plain, extra, like)
    try:
        result = (mark + plain).encode()
        after = document_of(client, result)
    except UnicodeEncodeError:
        raise Uneditable("an entry holds half of a character") from None
    except Unreadable as error:
        raise Uneditable(f"the change would not be understood ({error}); make it by hand") from None
    _check(before, after, change)
    return result


def _put(client: Client, text: str, place: Place, value: JsonObject) -> str:
    if client.syntax == "toml":
        return toml.put(text, place[0], place[1], value)
    return jsonc.put(text, place[:-1], place[-1], value)


def _take(client: Client, text: str, place: Place, like: str | None) -> str:
    if client.syntax == "toml":
        return toml.take(text, place[0], place[1], like)
    return jsonc.take(text, place[:-1], place[-1], like)


def _with_element(text: str, extra: Extra) -> str:
    present = element(json_document(text), extra)
    if present == extra.value:
        return text
    if present is not None:
        text = _without_element(text, extra, None)
    return jsonc.put(text, extra.path, None, extra.value)


def _without_element(text: str, extra: Extra, like: str | None) -> str:
    listed = value_at(json_document(text), extra.path)
    for position, found in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(found, dict) and found.get("id") == extra.id:
            return jsonc.take(text, extra.path, position, like)
    return text


def _check(before: JsonObject, after: JsonObject, change: Change) -> None:
    touched = [*change.put, *change.take]
    extras = [*change.extras, *change.without]
    done = all(value_at(after, place) == value for place, value in change.put.items())
    gone = all(value_at(after, place) is None for place in change.take)
    brought = all(element(after, extra) == extra.value for extra in change.extras)
    dropped = all(element(after, extra) is None for extra in change.without)
    if not (done and gone and brought and dropped) or _rest(before, touched, extras) != _rest(after, touched, extras):
        raise Uneditable("its servers are written in a way that cannot be edited safely; make the change by hand")


def _rest(document: JsonObject, places: Sequence[Place], extras: Sequence[Extra]) -> JsonObject:
    # What is neither touched nor only there to hold what is.
    for place in places:
        document = _without(document, place)
    for extra in extras:
        listed = value_at(document, extra.path)
        if isinstance(listed, list):
            others = [one for one in listed if not (isinstance(one, dict) and one.get("id") == extra.id)]
            document = _with(document, extra.path, others) if others else _without(document, extra.path)
    return document


def _without(document: JsonObject, place: Place) -> JsonObject:
    inner = document.get(place[0])
    rest = _without(inner, place[1:]) if len(place) > 1 and isinstance(inner, dict) else {}
    if rest:
        return {**document, place[0]: rest}
    return {key: value for key, value in document.items() if key != place[0]}


def _with(document: JsonObject, place: Place, value: Json) -> JsonObject:
    inner = document.get(place[0])
    if len(place) > 1:
        value = _with(inner if isinstance(inner, dict) else {}, place[1:], value)
    return {**document, place[0]: value}
