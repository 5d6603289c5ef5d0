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

from shim import jsontext
from shim.model import META_PREFIX, JsonObject, Offer, Tool

_log = logging.getLogger("shim.catalog")

_NOT_WIRE = re.compile(r"[^A-Za-z0-9_-]")
_WIRE_MAX = 64
_WIRE_CUT = 55


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
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            return "its name contains a control or invisible character"
    return None


def _without_shim_meta(definition: JsonObject) -> JsonObject:
    meta = definition.get("_meta")
    if not isinstance(meta, dict) or not any(key.startswith(META_PREFIX) for key in meta):
        return definition
    return {**definition, "_meta": {key: value for key, value in meta.items() if not key.startswith(META_PREFIX)}}


def compile_contents(order: Iterable[tuple[str, str]], offers: Mapping[str, Offer]) -> Contents:
    """One version of the catalog from the upstreams' offers; `order` is (upstream, prefix) as configured.

    What is named strangely is left out; of two of one upstream with the same name the first is kept; of two that
    would share a wire name, that of the upstream configured first.
    """
    by_wire: dict[str, Tool] = {}
    by_ref: dict[str, Tool] = {}
    left_out: list[LeftOut] = []
    tools: list[Tool] = []
    for upstream, prefix in order:
        offer = offers.get(upstream)
        if offer is None:
            continue
        kept: list[Tool] = []
        for raw in offer.tools:
            name = raw.get("name")
            why = _strange(name)
            if why is None and not isinstance(raw.get("inputSchema"), dict):
                why = "its inputSchema is not an object"
            if why is not None or not isinstance(name, str):
                left_out.append(LeftOut(upstream, repr(name)[:120], why or ""))
                continue
            definition = _without_shim_meta(raw)
            tool = Tool(upstream, name, wire_name(prefix, upstream, name), definition, jsontext.digest(definition))
            if tool.ref in by_ref:
                left_out.append(LeftOut(upstream, name, "the upstream offers this name twice; the first is kept"))
            elif tool.wire in by_wire:
                other = by_wire[tool.wire].ref
                left_out.append(LeftOut(upstream, name, f"its wire name {tool.wire} is already taken by {other}"))
            else:
                by_ref[tool.ref] = by_wire[tool.wire] = tool
                kept.append(tool)
        tools.extend(sorted(kept, key=lambda tool: tool.name))
    return Contents(tuple(tools), by_wire, by_ref, tuple(left_out), dict(offers))


class Catalog:
    """Owns the current `Contents`. Changes come one upstream at a time, by `learn`."""

    def __init__(self, order: Iterable[tuple[str, str]], remembered: Mapping[str, Offer] | None = None) -> None:
        self._order = tuple(order)
        known = {name for name, _ in self._order}
        self._offers = {name: offer for name, offer in (remembered or {}).items() if name in known}
        self._watchers: set[Callable[[], None]] = set()
        self.now = compile_contents(self._order, self._offers)

    def learn(self, offer: Offer) -> bool:
        """Take a fresh reading of one upstream. True when what it offers differs from before."""
        old = self._offers.get(offer.upstream)
        self._offers[offer.upstream] = offer
        contents = compile_contents(self._order, self._offers)
        changed = old is None or old.tools != offer.tools
        for out in contents.left_out:
            if out not in self.now.left_out:
                _log.warning("left out %s of upstream %s: %s", out.name, out.upstream, out.why)
        self.now = contents
        if changed:
            for watcher in tuple(self._watchers):
                watcher()
        return changed

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called after each change; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def ref_of(self, wire: str) -> str | None:
        """The `upstream/tool` that a wire name nobody has would mean by its prefix, for policy to decide on."""
        for upstream, prefix in sorted(self._order, key=lambda pair: -len(pair[1])):
            if wire.startswith(prefix) and len(wire) > len(prefix):
                return f"{upstream}/{wire[len(prefix) :]}"
        return None
