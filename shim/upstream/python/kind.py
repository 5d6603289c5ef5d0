"""`python`: functions in a warm child process of their own interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

from shim import templates
from shim.model import JsonObject, Tool
from shim.upstream.arguments import Judge
from shim.upstream.config import UpstreamBlock
from shim.upstream.handing import Handed, plain
from shim.upstream.inbox import Watcher
from shim.upstream.making import Making
from shim.upstream.processes import Processes
from shim.upstream.python.session import Order, Sources, WorkerSession
from shim.upstream.session import Session

_WORKER = Path(__file__).parent / "worker" / "__main__.py"


class Python:
    """One process for each session, with the variables of a stdio upstream. Its arguments are judged before that."""

    over_http = False
    rests = True
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._name = name
        self._block = block
        self._making = making
        command = (block.interpreter or sys.executable, str(_WORKER))
        self._processes = Processes(name, block, making, command, plain(block.inject))
        self._judge = Judge()
        self._sources = Sources()

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        inner = await self._processes.start(watcher, handed)
        injected = {
            name: templates.filled(text, handed.values)
            for name, text in self._block.inject.items()
            if all(reference in handed.values for reference in templates.references(text))
        }
        order = Order(self._block.python or (), tuple(self._block.inject), injected)
        hide = self._processes.hiding(handed)
        return WorkerSession(self._name, inner, order, self._sources, watcher, self._making.spawn, hide)

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """By the schema; that they are what the annotations say is for the worker to judge besides."""
        return self._judge.misfit(tool, arguments)

    async def close(self) -> None:
        """Every session ends its own process; nothing is shared."""
