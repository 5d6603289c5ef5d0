"""Taking the values of live leases out of what an upstream says, however it writes them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import orjson
from ahocorasick_rs import BytesAhoCorasick, Implementation

from shim import templates
from shim.model import Json, JsonObject
from shim.secrets.forms import ERRORS, Decoder, Form, forms

Span: TypeAlias = tuple[int, int, str]
"""Where something was found, in bytes, and what stands in its place."""

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_CHUNK = 1 << 20
_FEW = 200
"""Patterns up to which an automaton is built as a table: the fastest search, and the slowest to build."""


class Patterns:
    """All forms of one lease's values. Compiled when first used, and once."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` by reference: `[secret:NAME]` stands in the place of one, NAME being that of its reference."""
        self._values = tuple((value, f"[secret:{templates.name_of(reference)}]") for reference, value in values.items())

    @classmethod
    def of(cls, several: Sequence[Patterns]) -> Patterns:
        """Those of several leases, to be looked for at once."""
        if len(several) == 1:
            return several[0]
        whole = cls({})
        whole._values = tuple(dict.fromkeys(one for patterns in several for one in patterns._values))
        whole._forms = {form: label for patterns in several for form, label in patterns._forms.items()}
        return whole

    @cached_property
    def _forms(self) -> dict[Form, str]:
        return {form: label for value, label in self._values for form in forms(value)}

    @cached_property
    def _found(self) -> list[tuple[Form, str]]:
        return list(self._forms.items())

    @cached_property
    def _automaton(self) -> BytesAhoCorasick:
        kind = Implementation.DFA if len(self._found) <= _FEW else Implementation.ContiguousNFA
        return BytesAhoCorasick([form.text for form, _ in self._found], implementation=kind)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder("".join(value for value, _ in self._values))

    @cached_property
    def _longest(self) -> int:
        return max(len(form.text) for form, _ in self._found)

    @cached_property
    def quoted(self) -> bool:
        """Whether a value holds a quotation mark."""
        return any('"' in value for value, _ in self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def spans(self, text: bytes) -> list[Span]:
        """Where the values are, in order, what overlaps in one."""
        found = list(self._literal(text))
        layers = []
        for layer in self._decoder.layers(text):
            layers.append(layer)
            for start, end, label in self._literal(layer.decoded):
                for below in reversed(layers):
                    start, end = below.origin(start, end)
                found.append((start, end, label))
        return _union(found)

    def any(self, text: bytes) -> bool:
        """Whether there is one at all."""
        if any(True for _ in self._literal(text)):
            return True
        return any(True for plain in self._decoder.plainer(text) for _ in self._literal(plain))

    def _literal(self, text: bytes) -> Iterator[Span]:
        # Piece by piece: a text that repeats a value that repeats itself has a find at every byte.
        step = max(_CHUNK, 4 * self._longest)
        for offset in range(0, len(text), step):
            whole = len(text) <= step
            piece = text if whole else memoryview(text)[offset : offset + step + self._longest]
            finds = self._automaton.find_matches_as_indexes(piece, overlapping=True)
            if finds:
                yield from _union([self._widened(text, offset, *find) for find in finds])

    def _widened(self, text: bytes, offset: int, index: int, start: int, end: int) -> Span:
        form, label = self._found[index]
        start, end = start + offset, end + offset
        if form.before and start and text[start - 1] in _BASE64:
            start -= 1
        if form.after and end < len(text) and text[end] in _BASE64:
            end += 1
            while text[end : end + 1] == b"=":
                end += 1
        return start, end, label


class Scrubber:
    """Of one call: counts what it takes out."""

    def __init__(self, patterns: Callable[[], Sequence[Patterns]]) -> None:
        """`patterns` is asked at each use, because leases come and go meanwhile."""
        self._patterns = patterns
        self._last: tuple[tuple[Patterns, ...], Patterns] = ((), Patterns({}))
        self.redactions = 0

    def text(self, text: str) -> str:
        """The text with `[secret:NAME]` where a value was."""
        patterns = self._now()
        return self._text(patterns, text) if patterns else text

    def json(self, value: Json) -> Json:
        """The same with every string, key and number; the very same object where nothing was found.

        A value that is split over neighbouring strings of one array, or texts of neighbouring blocks, is found too.
        """
        patterns = self._now()
        if not patterns:
            return value
        document = _written(value)
        joined = document.replace(b'","', b"")
        # Joining takes away nothing but quotes and commas: only a value that holds a quote could be hurt by it.
        alone = patterns.quoted and len(joined) < len(document)
        if patterns.any(_unescaped(joined)) or (alone and patterns.any(_unescaped(document))):
            return self._value(patterns, value)
        return value

    def result(self, result: JsonObject) -> JsonObject:
        """What `json` does; and what blocks carry in base64 is searched as what it means, and replaced whole."""
        patterns = self._now()
        if not patterns:
            return result
        blocks = _texts_of_blocks(result)
        if any(patterns.any(blob) for blob in _blobs(result)) or (blocks and patterns.any(blocks)):
            changed: JsonObject = self._value(patterns, result)
            return changed
        found: JsonObject = self.json(result)
        return found

    def _now(self) -> Patterns:
        several = tuple(patterns for patterns in self._patterns() if patterns)
        if several != self._last[0]:
            self._last = (several, Patterns.of(several) if several else Patterns({}))
        return self._last[1]

    def _text(self, patterns: Patterns, text: str) -> str:
        raw = text.encode("utf-8", ERRORS)
        spans = patterns.spans(raw)
        self.redactions += len(spans)
        return _replaced(raw, spans) if spans else text

    def _value(self, patterns: Patterns, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(patterns, value)
        if isinstance(value, dict):
            return self._object(patterns, value)
        if isinstance(value, list):
            return self._array(patterns, value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = self._text(patterns, str(value))
            return shown if shown != str(value) else value
        return value

    def _object(self, patterns: Patterns, value: JsonObject) -> JsonObject:
        changed: JsonObject = {}
        same = True
        for key, member in value.items():
            name = unused = self._text(patterns, key)
            number = 1
            while unused != key and (unused in changed or unused in value):
                number += 1
                unused = f"{name} {number}"
            blob = _decoded(value, key)
            spans = patterns.spans(blob) if blob is not None else []
            if spans:
                self.redactions += len(spans)
                now: Json = base64.b64encode(spans[0][2].encode()).decode()
            else:
                now = self._value(patterns, member)
            same = same and now is member and unused == key
            changed[unused] = now
        return value if same else changed

    def _array(self, patterns: Patterns, value: list[Json]) -> list[Json]:
        changed = self._neighbours(patterns, value)
        changed = [self._value(patterns, item) for item in changed]
        return value if all(map(_is, changed, value)) else changed

    def _neighbours(self, patterns: Patterns, value: list[Json]) -> list[Json]:
        """The items with what is split over several taken out of each; what is in one alone is left to the rest."""
        changed = list(value)
        run: list[int] = []
        for index, item in enumerate([*value, None]):
            if _said(item) is not None:
                run.append(index)
                continue
            if len(run) > 1:
                self._run(patterns, changed, run)
            run = []
        return changed

    def _run(self, patterns: Patterns, items: list[Json], run: list[int]) -> None:
        texts = [str(_said(items[index])).encode("utf-8", ERRORS) for index in run]
        cuts: list[list[Span]] = [[] for _ in run]
        starts = [0]
        for text in texts:
            starts.append(starts[-1] + len(text))
        place = 0
        for start, end, label in patterns.spans(b"".join(texts)):
            while starts[place + 1] <= start:
                place += 1
            self.redactions += end > starts[place + 1]
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


def _union(found: list[Span]) -> list[Span]:
    whole: list[Span] = []
    for start, end, label in sorted(found, key=lambda span: (span[0], -span[1])):
        if whole and start < whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]), whole[-1][2])
        else:
            whole.append((start, end, label))
    return whole


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


def _unescaped(document: bytes) -> bytes:
    """A document's strings as they are meant: else its own escapes would be undone together with theirs."""
    if b"\\" not in document:
        return document
    document = document.replace(b"\\\\", b"\0")
    for escape, meant in (
        (b'\\"', b'"'),
        (b"\\n", b"\n"),
        (b"\\r", b"\r"),
        (b"\\t", b"\t"),
        (b"\\b", b"\b"),
        (b"\\f", b"\f"),
    ):
        document = document.replace(escape, meant)
    return document.replace(b"\0", b"\\")


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


def _blocks(result: JsonObject) -> Iterator[JsonObject]:
    for name in ("content", "contents", "messages"):
        items = result.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield item
                for inner in (item.get("resource"), item.get("content")):
                    if isinstance(inner, dict):
                        yield inner


def _texts_of_blocks(result: JsonObject) -> bytes:
    """The texts of neighbouring blocks, one after the other; empty where there are no two."""
    texts = [text for block in _blocks(result) if isinstance(text := block.get("text"), str)]
    return "".join(texts).encode("utf-8", ERRORS) if len(texts) > 1 else b""


def _blobs(result: JsonObject) -> Iterator[bytes]:
    for block in _blocks(result):
        for key in ("data", "blob"):
            blob = _decoded(block, key)
            if blob is not None:
                yield blob


def _decoded(block: JsonObject, key: str) -> bytes | None:
    data = block.get(key)
    if not isinstance(data, str) or not (key == "blob" or (key == "data" and "mimeType" in block)):
        return None
    try:
        return base64.b64decode(data.translate(_STANDARD) + "==")
    except (binascii.Error, ValueError):
        return None


_STANDARD = str.maketrans("-_", "+/")
