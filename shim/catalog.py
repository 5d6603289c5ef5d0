"""What upstreams offer now: names on the wire, what a URI belongs to, and who is told when it changes.

The last offer of each upstream outlives its connection, so that a tool whose upstream is down is known and answers
`upstream-unavailable`, not "unknown".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from shim import uritemplates
from shim.curating import Curation
from shim.model import Offer, Offered, Prompt, Resource, Template, Tool
from shim.offered import LeftOut, Reading, read_offer
from shim.policy.globs import Glob

_log = logging.getLogger("shim.catalog")


@dataclass(frozen=True, slots=True)
class Contents:
    """One version of the catalog, each list in a deterministic order: upstreams as configured, then names.

    `tools` and `prompts` have each wire name once; of one URI, or template, each upstream that offers it has its own.
    """

    tools: tuple[Tool, ...] = ()
    by_wire: Mapping[str, Tool] = field(default_factory=dict)
    prompts: tuple[Prompt, ...] = ()
    prompts_by_wire: Mapping[str, Prompt] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()
    by_uri: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)
    templates: tuple[Template, ...] = ()
    expansions: tuple[tuple[Glob, Template], ...] = ()
    by_ref: Mapping[str, Offered] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    offers: Mapping[str, Offer] = field(default_factory=dict)

    @property
    def offered(self) -> tuple[Offered, ...]:
        """Everything, kind by kind."""
        return (*self.tools, *self.prompts, *self.resources, *self.templates)

    def templates_of(self, uri: str) -> Iterable[Template]:
        """The templates that could have this URI among their expansions, in order: whom to ask, not what is granted."""
        return (template for glob, template in self.expansions if glob.matches(uri))


def compile_contents(readings: Iterable[Reading]) -> Contents:
    """One version of the catalog from the readings of upstreams, in the order in which these are configured.

    Of two that would share a wire name, that of the upstream configured first is kept.
    """
    by_wire: dict[str, Tool] = {}
    prompts: dict[str, Prompt] = {}
    by_uri: dict[str, tuple[Resource, ...]] = {}
    templates: list[Template] = []
    left_out: list[LeftOut] = []
    offers: dict[str, Offer] = {}
    for reading in readings:
        offers[reading.offer.upstream] = reading.offer
        left_out += reading.left_out
        for tool in reading.tools:
            left_out += _taken(tool, by_wire.setdefault(tool.wire, tool))
        for prompt in reading.prompts:
            left_out += _taken(prompt, prompts.setdefault(prompt.wire, prompt))
        for resource in reading.resources:
            by_uri[resource.name] = (*by_uri.get(resource.name, ()), resource)
        templates += reading.templates
    resources = [resource for each in by_uri.values() for resource in each]
    offered: list[Offered] = [*by_wire.values(), *prompts.values(), *resources, *templates]
    return Contents(
        tuple(by_wire.values()),
        by_wire,
        tuple(prompts.values()),
        prompts,
        tuple(resources),
        by_uri,
        tuple(templates),
        tuple((Glob(uritemplates.pattern(template.name)), template) for template in templates),
        {one.ref: one for one in offered},
        tuple(left_out),
        offers,
    )


def _taken(one: Offered, other: Offered) -> Iterable[LeftOut]:
    if other is not one:
        why = f"its wire name {one.wire} is already taken by {other.ref}"
        yield LeftOut(one.upstream, one.name, why, one.kind)


class Catalog:
    """Owns the current `Contents`, whose tools are as `curation` has them. Changes come one upstream at a time."""

    def __init__(
        self,
        order: Iterable[tuple[str, str]],
        remembered: Mapping[str, Offer] | None = None,
        curation: Curation | None = None,
    ) -> None:
        self._prefixes = dict(order)
        self.curation = curation or Curation()
        self._readings: dict[str, Reading] = {}
        self._watchers: set[Callable[[], None]] = set()
        for name, offer in (remembered or {}).items():
            if name in self._prefixes:
                self._readings[name] = self.read(offer)
        self.now = self._compiled()

    def has(self, upstream: str) -> bool:
        """Whether an upstream is one of those whose offers this catalog holds."""
        return upstream in self._prefixes

    def prefix(self, upstream: str) -> str:
        """What an upstream's tools have before their names on the wire; nothing where there is no such upstream."""
        return self._prefixes.get(upstream, "")

    def read(self, offer: Offer) -> Reading:
        """What of an offer can be shown. Changes nothing, so it may run in a thread where the offer is large."""
        return read_offer(offer, self._prefixes[offer.upstream], self.curation)

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
                what = "" if out.kind == "tool" else f"the {out.kind} "
                _log.warning("left out %s%.120s of upstream %s: %s", what, out.name, out.upstream, out.why)
        self.now = contents
        changed = old is None or old.digest != new.digest
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

    @property
    def upstreams(self) -> Iterable[str]:
        """All of them, in the order of the configuration."""
        return self._prefixes

    def ref_of(self, wire: str) -> str | None:
        """The `upstream/name` that a wire name nobody has would mean by its prefix, for policy to decide on."""
        for upstream, prefix in sorted(self._prefixes.items(), key=lambda pair: -len(pair[1])):
            if wire.startswith(prefix) and len(wire) > len(prefix):
                return f"{upstream}/{wire[len(prefix) :]}"
        return None
