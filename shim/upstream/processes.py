"""The processes of one upstream that speak MCP over their standard streams: how each is started for a session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.hiding import Hiding
from shim.upstream.inbox import Watcher
from shim.upstream.making import Making
from shim.upstream.pace import Pace
from shim.upstream.program import CannotStart, program
from shim.upstream.stdio import StdioSession


class Processes:
    """One for each session, which ends it; nothing is shared but the pace at which they are read.

    `command` is what is started, `hidden` by name what is handed over besides variables and secrets, and as little to
    be read in what a process says.
    """

    def __init__(
        self, name: str, block: UpstreamBlock, making: Making, command: tuple[str, ...], hidden: Mapping[str, str]
    ) -> None:
        self._name = name
        self._making = making
        self._command = command
        self._variables = plain(block.env)
        self._hidden = {**self._variables, **hidden}
        self._cwd = str(making.folder / block.cwd) if block.cwd is not None else str(making.folder)
        self._limit = max(block.max_result, CATALOG_LIMIT)
        self._pace = Pace(asyncio.get_running_loop().time)

    async def start(self, watcher: Watcher, handed: Handed) -> StdioSession:
        """A process with these secrets, and the session with it. Raises UpstreamUnavailable."""
        making = self._making
        try:
            what = program(self._command, {**self._variables, **handed.env}, self._cwd, making.environment)
        except CannotStart as error:
            raise unavailable(self._name, str(error)) from None
        return await StdioSession.start(
            self._name, what, watcher, self._limit, self._pace, making.guards, making.spawn, self.hiding(handed)
        )

    def hiding(self, handed: Handed) -> Hiding:
        """What takes out of a process's words what it was handed."""
        return Hiding(handed.values, self._hidden, self._making.hiding(handed.values))
