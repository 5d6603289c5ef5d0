"""Taking the values of live leases out of what an upstream says, however it writes them."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from shim.model import Json, JsonObject
from shim.secrets.escapes import ERRORS
from shim.secrets.patterns import Group
from shim.secrets.search import Search, Span

_BLOCKS = ("content", "contents", "messages")
_LONG = 256
_LARGE = 1 << 16
_FEW = 5000
"""Members of a large document that are looked at one by one: no more than it takes to write the whole."""
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
"""Thirteen times as fast as the standard library, for what is well-formed."""
_STANDARD = str.maketrans("-_", "+/")


class Scrubber:
    """Of one call: counts what it takes out, by what stands in its place."""

    def __init__(self, groups: Callable[[], Sequence[Group]]) -> None:
        """`groups` is asked at each use, because leases come and go meanwhile."""
        self._groups = groups
        self._last: tuple[tuple[Group, ...], Search] = ((), Search(()))
        self.found: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """The text with `[secret:NAME]` where a value was."""
        search = self._now()
        return self._text(search, text) if search else text

    def json(self, value: Json) -> Json:
        """The same with every string, key and number; the very same object where nothing was found.

        A value that is split over neighbouring strings of one array, or texts of neighbouring blocks, is found too.
        """
        search = self._now()
        return self._value(search, value) if search and _is_in(search, value) else value

    def result(self, result: JsonObject) -> JsonObject:
        """What `json` does; and what blocks carry in base64 is searched as what it means, and replaced whole."""
        search = self._now()
        if not search:
            return result
        parts = _Parts()
        rest = parts.without(result)
        if search.any_over(parts.texts) or any(map(search.any, parts.data)) or _is_in(search, rest):
            changed: JsonObject = self._value(search, result)
            return changed
        return result

    @property
    def redactions(self) -> int:
        """How many so far."""
        return self.found.total()

    def _now(self) -> Search:
        groups = tuple(self._groups())
        if groups != self._last[0]:
            self._last = (groups, Search(groups))
        return self._last[1]

    def _text(self, search: Search, text: str) -> str:
        raw = text.encode("utf-8", ERRORS)
        spans = search.spans(raw)
        self.found.update(label for _, _, label in spans)
        return _replaced(raw, spans) if spans else text

    def _value(self, search: Search, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(search, value)
        if isinstance(value, dict):
            return self._object(search, value)
        if isinstance(value, list):
            return self._array(search, value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = self._text(search, str(value))
            return shown if shown != str(value) else value
        return value

    def _object(self, search: Search, value: JsonObject) -> JsonObject:
        changed: JsonObject = {}
        same = True
        for key, member in value.items():
            name = unused = self._text(search, key)
            number = 1
            while unused != key and (unused in changed or unused in value):
                number += 1
                unused = f"{name} {number}"
            blob = _decoded(value, key)
            spans = search.spans(blob) if blob is not None else []
            if spans:
                self.found.update(label for _, _, label in spans)
                now: Json = base64.b64encode(spans[0][2].encode()).decode()
            else:
                now = self._value(search, member)
            same = same and now is member and unused == key
            changed[unused] = now
        return value if same else changed

    def _array(self, search: Search, value: list[Json]) -> list[Json]:
        changed = self._neighbours(search, value)
        changed = [self._value(search, item) for item in changed]
        return value if all(map(_is, changed, value)) else changed

    def _neighbours(self, search: Search, value: list[Json]) -> list[Json]:
        """The items with what is split over several taken out of each; what is in one alone is left to the rest."""
        changed = list(value)
        run: list[int] = []
        for index, item in enumerate([*value, None]):
            if _said(item) is not None:
                run.append(index)
                continue
            if len(run) > 1:
                self._run(search, changed, run)
            run = []
        return changed

    def _run(self, search: Search, items: list[Json], run: list[int]) -> None:
        texts = [str(_said(items[index])).encode("utf-8", ERRORS) for index in run]
        cuts: list[list[Span]] = [[] for _ in run]
        starts = [0]
        for text in texts:
            starts.append(starts[-1] + len(text))
        place = 0
        for start, end, label in search.spans(b"".join(texts)):
            while starts[place + 1] <= start:
                place += 1
            self.found[label] += end > starts[place + 1]
            reached = place
            while end > starts[place + 1] and reached < len(run) and starts[reached] < end:
                low = max(start, starts[reached]) - starts[reached]
                high = min(end, starts[reached + 1]) - starts[reached]
                if high > low:
                    cuts[reached].append((low, high, label))
                reached += 1
        for index, text, cut in zip(run, texts, cuts, strict=True):
            if cut:
                items[index] = _with_said(items[index], _replaced(text, cut))


def _is(one: Json, other: Json) -> bool:
    return one is other


def _replaced(raw: bytes, spans: Sequence[Span]) -> str:
    pieces: list[bytes] = []
    done = 0
    for start, end, label in spans:
        pieces += (raw[done:start], label.encode())
        done = end
    pieces.append(raw[done:])
    # A part of a character can be cut where a value is split in the middle of one.
    whole = b"".join(pieces)
    try:
        return whole.decode("utf-8", ERRORS)
    except UnicodeDecodeError:
        return whole.decode("utf-8", "replace")


def _written(value: Json) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a long integer, half a surrogate pair, or deep nesting
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", ERRORS)


def _is_in(search: Search, value: Json) -> bool:
    """Whether there is something in its strings, keys and numbers, or over neighbouring strings."""
    document = _written(value)
    if not search.glance.document(document):
        return False
    if len(document) > _LARGE and document.count(b"\\") > len(document) // 1000:
        texts: list[str] = []
        value = _lifted(value, texts, iter(range(_FEW)))
        if search.any_over([text.encode("utf-8", ERRORS) for text in texts]):
            return True
        document = _written(value)
    joined = document.replace(b'","', b"")
    if search.surely(search.unescaped(joined)):
        return True
    # Joining takes away nothing but quotes and commas, which a value may hold, and may put an escape together.
    alone = search.quoted or any(mark in document for mark in (b"%", b"\\", b"&"))
    return alone and len(joined) < len(document) and search.surely(search.unescaped(document))


def _lifted(value: Json, texts: list[str], budget: Iterator[int]) -> Json:
    """The value without its long strings, which are texts now; all the strings of an array that has one."""
    if next(budget, None) is None or not isinstance(value, dict | list):
        return value
    if isinstance(value, dict):
        whole: JsonObject = {}
        for name, member in value.items():
            if isinstance(member, str) and len(member) >= _LONG:
                texts.append(member)
            else:
                whole[name] = _lifted(member, texts, budget)
        return whole
    lifts = any(isinstance(item, str) and len(item) >= _LONG for item in value)
    if lifts:
        texts += [item for item in value if isinstance(item, str)]
    return [_lifted(item, texts, budget) for item in value if not (lifts and isinstance(item, str))]


def _said(item: Json) -> str | None:
    """The text of one item of an array: a string, a text block, an embedded resource."""
    if isinstance(item, dict):
        resource = item.get("resource")
        item = resource.get("text") if isinstance(resource, dict) else item.get("text")
    return item if isinstance(item, str) else None


def _with_said(item: Json, text: str) -> Json:
    if not isinstance(item, dict):
        return text
    resource = item.get("resource")
    if isinstance(resource, dict):
        return {**item, "resource": {**resource, "text": text}}
    return {**item, "text": text}


class _Parts:
    """What is searched as it is: as a part of a document it would be full of escapes, or long for nothing."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        """Of blocks, in order."""
        self.data: list[bytes] = []
        """What is in base64, as it is and as it means."""

    def without(self, result: JsonObject) -> JsonObject:
        """The result without the long ones of them."""
        rest = dict(result)
        for name in _BLOCKS:
            items = result.get(name)
            if isinstance(items, list):
                rest[name] = [self._block(item) if isinstance(item, dict) else item for item in items]
        return rest

    def _block(self, block: JsonObject) -> JsonObject:
        rest = block
        for name, member in block.items():
            if isinstance(member, str):
                if name == "text":
                    self.texts.append(member.encode("utf-8", ERRORS))
                elif name not in ("data", "blob") or (data := _decoded(block, name)) is None:
                    continue
                else:
                    self.data += (data, member.encode())
                if len(member) < _LONG:
                    continue
                now = None
            elif isinstance(member, dict) and name in ("resource", "content"):
                now = self._block(member)
                if now is member:
                    continue
            else:
                continue
            if rest is block:
                rest = dict(block)
            rest[name] = now
        return rest


def _decoded(block: JsonObject, key: str) -> bytes | None:
    data = block.get(key)
    if not isinstance(data, str) or not (key == "blob" or (key == "data" and "mimeType" in block)):
        return None
    try:
        return _BASE64.validate_strings(data)
    except ValidationError:  # its alphabets are mixed, or there is something between its characters
        pass
    try:
        return base64.b64decode(data.translate(_STANDARD) + "==")
    except (binascii.Error, ValueError):
        return None
