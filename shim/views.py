"""What each identity may see of the catalog, computed once for each version of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from shim import jsontext
from shim.catalog import Catalog, Contents
from shim.model import Identity, JsonObject, Tool
from shim.policy.engine import Policy

_KEPT = 1024


@dataclass(frozen=True, slots=True)
class View:
    """`definitions` are what a client gets, in order, under their wire names; `digest` changes when any does."""

    tools: tuple[Tool, ...]
    definitions: tuple[JsonObject, ...]
    digest: str


class Views:
    """Owns the views of the current contents of the catalog, the most recently asked for 1,024 identities'."""

    def __init__(self, catalog: Catalog, policy: Policy) -> None:
        self._catalog = catalog
        self._policy = policy
        self._contents: Contents | None = None
        self._views: OrderedDict[tuple[str, tuple[str, ...]], View] = OrderedDict()

    def of(self, identity: Identity) -> View:
        """The view of an identity now; the same decision as for calls, arguments aside."""
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
        tools = tuple(tool for tool in contents.tools if self._policy.visible(identity, tool.ref))
        definitions = tuple({**tool.definition, "name": tool.wire} for tool in tools)
        return View(tools, definitions, jsontext.digest([[tool.wire, tool.digest] for tool in tools]))
