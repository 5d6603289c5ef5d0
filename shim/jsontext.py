"""The one strict reader of JSON text, and the one compact writer.

Everything that comes from a client, over HTTP and stdio alike, is read here before anything else sees it. Two readers
that disagree about one body are how a gateway is bypassed (RFC 8259 section 4: behaviour with duplicate names is
unpredictable), so what could be read in two ways is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import accumulate
from typing import NoReturn

from shim.errors import InvalidText
from shim.model import Json, JsonObject

MAX_DEPTH = 128
MAX_DIGITS = 4300


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidText(f"the key {key[:60]!r} appears twice in one object")
            seen.add(key)
    return result


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise InvalidText(f"an integer has more than {MAX_DIGITS} digits")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidText("a number is too large for a double")
    return value


def _constant(name: str) -> NoReturn:
    raise InvalidText(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = {0x5B: 1, 0x7B: 1, 0x5D: -1, 0x7D: -1}


def _too_deep(text: bytes) -> bool:
    # Brackets inside strings count only towards "maybe": the exact count runs for the few texts that have this many.
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    return any(depth > MAX_DEPTH for depth in accumulate(map(_STEPS.__getitem__, brackets)))


def parse(text: bytes) -> Json:
    """The value of one UTF-8 JSON text.

    Raises InvalidText for: another encoding or a byte order mark, a key twice in one object at any depth, NaN and
    infinities, floats that overflow, integers over 4,300 digits, nesting over 128, raw control characters, and
    anything after the value. Integers keep all their digits; the order of keys is kept.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(f"the text is not UTF-8 (byte {error.start})") from None
    if decoded.startswith("\ufeff"):
        raise InvalidText("the text begins with a byte order mark")
    if _too_deep(text):
        raise InvalidText(f"the nesting is deeper than {MAX_DEPTH}")
    try:
        return _DECODER.decode(decoded)
    except json.JSONDecodeError as error:
        raise InvalidText(f"the text is not JSON: {error.msg} (character {error.pos})") from None


def parse_object(text: bytes) -> JsonObject:
    """As `parse`, and the value must be one object."""
    value = parse(text)
    if not isinstance(value, dict):
        raise InvalidText("the text is not one JSON object")
    return value


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False, check_circular=False).encode
_canonical = json.JSONEncoder(
    ensure_ascii=True, separators=(",", ":"), allow_nan=False, check_circular=False, sort_keys=True
).encode


def dump(value: Json) -> bytes:
    """Compact JSON in UTF-8, keys in their order. A lone surrogate, which UTF-8 cannot carry, stays an escape."""
    try:
        return _compact(value).encode("utf-8")
    except UnicodeEncodeError:
        return _escaped(value).encode("ascii")


def digest(value: Json) -> str:
    """SHA-256 over the value's canonical text (keys sorted, ASCII, compact), lower-case hex.

    Equal for equal values whatever order their keys came in; for the shim's own comparisons, not for exchange.
    """
    return hashlib.sha256(_canonical(value).encode("ascii")).hexdigest()
