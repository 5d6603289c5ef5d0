"""What `explain` has to know of tools besides policy: which one a name means, and which arguments it takes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from shim.cli import knowing
from shim.errors import RecordUnavailable
from shim.model import JsonObject, Tool

if TYPE_CHECKING:
    from shim.catalog import Catalog
    from shim.config.configuration import Configuration
    from shim.upstream.judging import Judging


class Admitting:
    """By what was read last, which is looked at only where something hangs on it."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        tools = configuration.tools.values()
        self._renames = any(block.rename is not None for block in tools)
        self._hides = any(block.fixed or block.hide for block in tools)

    def meant(self, name: str) -> str:
        """What policy calls what a person named."""
        return knowing.meant(self._catalog, name) if self._renames else name

    def admits(self, ref: str, args: JsonObject) -> bool:
        """Whether a caller may send these arguments: by hidden names alone where the tool is not known."""
        if not self._hides and not self._judging.names:
            return True
        tool = self._catalog.now.by_ref.get(ref)
        if not isinstance(tool, Tool):
            return self._catalog.curation.hides(ref).isdisjoint(args)
        return (tool.fixed is None or tool.fixed.admits(args)) and self._judging.misfit(tool, args) is None

    @cached_property
    def _catalog(self) -> Catalog:
        try:
            offers = knowing.remembered(self._configuration)
        except RecordUnavailable:
            offers = {}
        return knowing.catalog(self._configuration, offers)

    @cached_property
    def _judging(self) -> Judging:
        from shim.upstream.judging import Judging

        return Judging(self._configuration.upstreams)
