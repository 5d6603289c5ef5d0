"""What upstreams offer now: names on the wire, digests, views, and who is told when it changes.

The last offer of each upstream outlives its connection, so that a tool whose upstream is down is known and answers
`upstream-unavailable`, not "unknown".
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mcp_types import Tool as ToolModel
from pydantic import ValidationError

from shim import jsontext
from shim.meta import without_own
from shim.model import JsonObject, Offer, Tool

_log = logging.getLogger("shim.catalog")

_NOT_WIRE = re.compile(r"[^A-Za-z0-9_-]")
_WIRE_MAX = 64
_WIRE_CUT = 55
_NAME_MAX = 1024
_SHOWN = 120

# Default_Ignorable_Code_Point (Unicode 15, DerivedCoreProperties) beyond the general category Cf, and the blank
# Braille pattern: all are drawn as nothing, so that two names look like one.
_INVISIBLE = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A definition that is not offered, and why, in one line for people."""

    upstream: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Contents:
    """One version of the catalog. `tools` is in a deterministic order: upstreams as configured, then names."""

    tools: tuple[Tool, ...]
    by_wire: Mapping[str, Tool]
    by_ref: Mapping[str, Tool]
    left_out: tuple[LeftOut, ...]
    offers: Mapping[str, Offer]


def wire_name(prefix: str, upstream: str, name: str) -> str:
    """The name that clients see for a tool of an upstream.

    A character outside `[A-Za-z0-9_-]` becomes `_`; a name that was changed so, or is over 64 characters, is cut to
    55 and gets `_` and the first 8 hex digits of SHA-256 of `upstream/tool`.
    """
    full = prefix + name
    plain = _NOT_WIRE.sub("_", full)
    if plain == full and len(full) <= _WIRE_MAX:
        return full
    mark = hashlib.sha256(f"{upstream}/{name}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[:_WIRE_CUT]}_{mark}"


def _strange(name: object) -> str | None:
    if not isinstance(name, str):
        return "its name is not text"
    if not name:
        return "its name is empty"
    if "/" in name:
        return "its name contains a slash"
    if len(name) > _NAME_MAX:
        return f"its name has more than {_NAME_MAX} characters"
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in _INVISIBLE:
            return "its name contains a control or invisible character"
    return None


def _malformed(raw: JsonObject) -> str | None:
    """Why clients could not read a definition: one that they refuse would cost them the whole list."""
    schema = raw.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its inputSchema is not a schema of an object"
    try:
        ToolModel.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"its definition is malformed: {where}: {first['msg']}"
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is kept of one offer. `tools` are in the order of their names."""

    offer: Offer
    tools: tuple[Tool, ...]
    left_out: tuple[LeftOut, ...]


def read_offer(offer: Offer, prefix: str) -> Reading:
    """What of an offer can be shown: what is named strangely or malformed is left out, and so is a name's second."""
    upstream = offer.upstream
    kept: dict[str, Tool] = {}
    left_out: list[LeftOut] = []
    for raw in offer.tools:
        name = raw.get("name")
        why = _strange(name)
        if why is not None or not isinstance(name, str):
            left_out.append(LeftOut(upstream, repr(name)[:_SHOWN], why or ""))
            continue
        if name in kept:
            left_out.append(LeftOut(upstream, name, "the upstream offers this name twice; the first is kept"))
            continue
        why = _malformed(raw)
        if why is not None:
            left_out.append(LeftOut(upstream, name, why))
            continue
        definition = without_own(raw)
        kept[name] = Tool(upstream, name, wire_name(prefix, upstream, name), definition, jsontext.digest(definition))
    return Reading(offer, tuple(kept[name] for name in sorted(kept)), tuple(left_out))


def compile_contents(readings: Iterable[Reading]) -> Contents:
    """One version of the catalog from the readings of upstreams, in the order in which these are configured.

    Of two that would share a wire name, that of the upstream configured first is kept.
    """
    by_wire: dict[str, Tool] = {}
    left_out: list[LeftOut] = []
    offers: dict[str, Offer] = {}
    for reading in readings:
        offers[reading.offer.upstream] = reading.offer
        left_out += reading.left_out
        for tool in reading.tools:
            other = by_wire.setdefault(tool.wire, tool)
            if other is not tool:
                why = f"its wire name {tool.wire} is already taken by {other.ref}"
                left_out.append(LeftOut(tool.upstream, tool.name, why))
    return Contents(
        tuple(by_wire.values()), by_wire, {tool.ref: tool for tool in by_wire.values()}, tuple(left_out), offers
    )


class Catalog:
    """Owns the current `Contents`. Changes come one upstream at a time, by `learn`."""

    def __init__(self, order: Iterable[tuple[str, str]], remembered: Mapping[str, Offer] | None = None) -> None:
        self._prefixes = dict(order)
        self._readings: dict[str, Reading] = {}
        self._watchers: set[Callable[[], None]] = set()
        for name, offer in (remembered or {}).items():
            if name in self._prefixes:
                self._readings[name] = self.read(offer)
        self.now = self._compiled()

    def has(self, upstream: str) -> bool:
        """Whether an upstream is one of those whose tools this catalog holds."""
        return upstream in self._prefixes

    def read(self, offer: Offer) -> Reading:
        """What of an offer can be shown. Changes nothing, so it may run in a thread where the offer is large."""
        return read_offer(offer, self._prefixes[offer.upstream])

    def learn(self, offer: Offer) -> bool:
        """Read an offer and take it."""
        return self.take(self.read(offer))

    def take(self, new: Reading) -> bool:
        """Take a fresh reading of one upstream. True when what it offers differs from before."""
        old = self._readings.get(new.offer.upstream)
        self._readings[new.offer.upstream] = new
        contents = self._compiled()
        known = set(self.now.left_out)
        for out in contents.left_out:
            if out not in known:
                _log.warning("left out %.120s of upstream %s: %s", out.name, out.upstream, out.why)
        self.now = contents
        changed = old is None or [tool.digest for tool in old.tools] != [tool.digest for tool in new.tools]
        if changed:
            for watcher in tuple(self._watchers):
                watcher()
        return changed

    def _compiled(self) -> Contents:
        return compile_contents(self._readings[name] for name in self._prefixes if name in self._readings)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called after each change; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def ref_of(self, wire: str) -> str | None:
        """The `upstream/tool` that a wire name nobody has would mean by its prefix, for policy to decide on."""
        for upstream, prefix in sorted(self._prefixes.items(), key=lambda pair: -len(pair[1])):
            if wire.startswith(prefix) and len(wire) > len(prefix):
                return f"{upstream}/{wire[len(prefix) :]}"
        return None
