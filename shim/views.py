"""What each identity may see of the catalog, computed once for each version of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shim import jsontext
from shim.catalog import Catalog, Contents
from shim.model import Identity, JsonObject, Offered
from shim.policy.engine import Policy

_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Listing:
    """One list. `definitions` are what a client gets, in order, under their wire names; `digest` changes with them."""

    definitions: tuple[JsonObject, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class View:
    """The four lists, and all that is in them. Compare `digests` to find what changed."""

    offered: tuple[Offered, ...]
    tools: Listing
    prompts: Listing
    resources: Listing
    templates: Listing

    @property
    def digests(self) -> Digests:
        """What clients are told of when it changes."""
        return Digests(self.tools.digest, self.prompts.digest, self.resources.digest + self.templates.digest)


@dataclass(frozen=True, slots=True)
class Digests:
    """The version of each list that clients can be told of; resources and their templates are one."""

    tools: str
    prompts: str
    resources: str

    def changes(self, before: Digests) -> tuple[str, ...]:
        """Which are others than before: `tools`, `prompts`, `resources`."""
        kinds = ("tools", "prompts", "resources")
        return tuple(kind for kind in kinds if getattr(self, kind) != getattr(before, kind))


class Views:
    """Owns the views of the current contents of the catalog, the most recently asked for 1,024 identities'."""

    def __init__(self, catalog: Catalog, policy: Policy) -> None:
        self._catalog = catalog
        self._policy = policy
        self._contents: Contents | None = None
        self._views: OrderedDict[tuple[str, tuple[str, ...]], View] = OrderedDict()

    def of(self, identity: Identity) -> View:
        """The view of an identity now; the same decision as for uses, arguments aside."""
        contents = self._catalog.now
        if contents is not self._contents:
            self._contents = contents
            self._views.clear()
        key = (identity.name, identity.groups)
        view = self._views.get(key)
        if view is None:
            view = self._compute(identity, contents)
            self._views[key] = view
            if len(self._views) > _KEPT:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(key)
        return view

    def _compute(self, identity: Identity, contents: Contents) -> View:
        tools, prompts, resources, templates = (
            self._visible(identity, each)
            for each in (contents.tools, contents.prompts, contents.resources, contents.templates)
        )
        return View(
            (*tools, *prompts, *resources, *templates),
            _listing(tools, _named),
            _listing(prompts, _named),
            _listing(resources, _as_it_is),
            _listing(templates, _as_it_is),
        )

    def _visible(self, identity: Identity, offered: Sequence[Offered]) -> tuple[Offered, ...]:
        # Of two upstreams that offer one URI, the first that the identity may read has it.
        first: dict[str, Offered] = {}
        for one in offered:
            if one.wire not in first and self._policy.visible(identity, one.ref):
                first[one.wire] = one
        return tuple(first.values())


def _named(one: Offered) -> JsonObject:
    return {**one.definition, "name": one.wire}


def _as_it_is(one: Offered) -> JsonObject:
    return one.definition


def _listing(offered: Sequence[Offered], shape: Callable[[Offered], JsonObject]) -> Listing:
    return Listing(tuple(map(shape, offered)), jsontext.digest([[one.wire, one.digest] for one in offered]))
