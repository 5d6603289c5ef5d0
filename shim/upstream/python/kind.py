"""`python`: functions in a warm child process of their own interpreter."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shim import templates
from shim.model import JsonObject, Tool
from shim.upstream.arguments import Judge
from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.hiding import Hiding
from shim.upstream.inbox import Watcher
from shim.upstream.making import Making
from shim.upstream.pace import Pace
from shim.upstream.program import CannotStart, program
from shim.upstream.python.session import Order, Sources, WorkerSession
from shim.upstream.session import Session
from shim.upstream.stdio import StdioSession

_WORKER = Path(__file__).parent / "worker" / "__main__.py"


class Python:
    """One process for each session, with the variables of a stdio upstream. Its arguments are judged before that."""

    over_http = False
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._name = name
        self._block = block
        self._making = making
        self._pace = Pace(asyncio.get_running_loop().time)
        self._judge = Judge()
        self._sources = Sources()

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        block, making, variables = self._block, self._making, plain(self._block.env)
        cwd = str(making.folder / block.cwd) if block.cwd is not None else str(making.folder)
        command = (block.interpreter or sys.executable, str(_WORKER))
        try:
            what = program(command, {**variables, **handed.env}, cwd, making.environment)
        except CannotStart as error:
            raise unavailable(self._name, str(error)) from None
        injected = {
            name: templates.filled(text, handed.values)
            for name, text in block.inject.items()
            if all(reference in handed.values for reference in templates.references(text))
        }
        limit = max(block.max_result, CATALOG_LIMIT)

        def hiding() -> Hiding:
            return Hiding(handed.values, {**variables, **plain(block.inject)}, making.hiding(handed.values))

        inner = await StdioSession.start(
            self._name, what, watcher, limit, self._pace, making.watchdog, making.spawn, hiding()
        )
        order = Order(block.python or (), tuple(block.inject), injected)
        return WorkerSession(self._name, inner, order, self._sources, watcher, making.spawn, hiding())

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """By the schema; that they are what the annotations say is for the worker to judge besides."""
        return self._judge.misfit(tool, arguments)

    async def close(self) -> None:
        """Every session ends its own process; nothing is shared."""
