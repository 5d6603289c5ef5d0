"""The sources of the configuration in force; those before it live as long as a lease of theirs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import anyio

from shim.secrets.config import SourceBlock
from shim.secrets.faults import where
from shim.secrets.source import Around, Source, Unavailable

_log = logging.getLogger("shim.secrets")

_CLOSING = 5.0


class Sources:
    """Makes and closes them. One that was closed may still be asked by a call that began before; it is closed again."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._blocks: dict[str, SourceBlock] = {}
        self._now: dict[str, Source[Any]] = {}
        self._asking: Counter[int] = Counter()

    def made(self, blocks: Mapping[str, SourceBlock]) -> Mapping[str, Source[Any]]:
        """Those of a configuration that may come into force; one that is as in the present one is the same."""
        return {
            name: self._now[name] if self._blocks.get(name) == block else self._new(name, block)
            for name, block in blocks.items()
        }

    def _new(self, name: str, block: SourceBlock) -> Source[Any]:
        source: Source[Any] = block.kind.make(
            name, block.where() if block.kind.where is not None else None, self._around
        )
        return source

    def put_in_force(self, blocks: Mapping[str, SourceBlock], made: Mapping[str, Source[Any]]) -> list[Source[Any]]:
        """These are configured from now on; those that are not any more."""
        before, self._blocks, self._now = self._now, dict(blocks), dict(made)
        return [source for source in before.values() if not self._is_configured(source)]

    def get(self, name: str) -> Source[Any] | None:
        """The one that is configured under a name."""
        return self._now.get(name)

    def kind(self, name: str) -> str:
        """Its type; empty where there is none."""
        block = self._blocks.get(name)
        return block.type if block is not None else ""

    @contextmanager
    def asking(self, source: Source[Any]) -> Iterator[None]:
        """Something is asked of it while the block lasts."""
        self._asking[id(source)] += 1
        try:
            yield
        finally:
            self._asking[id(source)] -= 1
            if not self._asking[id(source)]:
                del self._asking[id(source)]

    async def let_go(self, source: Source[Any], alive: Iterable[Source[Any]]) -> None:
        """Close it if it is not configured any more and nothing of it is alive: `alive` are the sources of leases."""
        if self._is_configured(source) or id(source) in self._asking or any(one is source for one in alive):
            return
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING):
                await source.close()
        except Unavailable as error:
            _log.warning("a source that is not configured any more could not be closed: %s", error)
        except Exception as error:  # noqa: BLE001 (the boundary of a source that breaks its word)
            _log.error("a source that is not configured any more failed as it was closed: %s", where(error))

    async def close(self, alive: Iterable[Source[Any]]) -> None:
        """Close all."""
        for source in [*self._now.values(), *alive]:
            with suppress(Unavailable):
                await source.close()

    def _is_configured(self, source: Source[Any]) -> bool:
        return any(one is source for one in self._now.values())
