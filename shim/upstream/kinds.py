"""The kinds of upstream that there are, chosen by the keys of their configuration block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shim.upstream.child import CannotStart, program
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import unavailable
from shim.upstream.inbox import Watcher
from shim.upstream.link import Kind
from shim.upstream.session import Session, Spawn
from shim.upstream.stdio import StdioSession
from shim.upstream.watchdog import Watchdog


class Stdio:
    """`command`: an MCP server over the standard streams of a child process."""

    over_http = False

    def __init__(
        self,
        name: str,
        block: UpstreamBlock,
        *,
        folder: Path,
        environment: Mapping[str, str],
        watchdog: Watchdog,
        spawn: Spawn,
    ) -> None:
        self._name = name
        self._block = block
        self._folder = folder
        self._environment = environment
        self._watchdog = watchdog
        self._spawn = spawn

    async def start(self, watcher: Watcher) -> Session:
        block = self._block
        cwd = str(self._folder / block.cwd) if block.cwd is not None else str(self._folder)
        try:
            what = program(block.command or (), block.env, cwd, self._environment)
        except CannotStart as error:
            raise unavailable(self._name, str(error)) from None
        return await StdioSession.start(self._name, what, watcher, block.max_result, self._watchdog, self._spawn)

    async def close(self) -> None:
        """Every session ends its own child; nothing is shared."""


def kind_of(
    name: str,
    block: UpstreamBlock,
    *,
    folder: Path,
    environment: Mapping[str, str],
    watchdog: Watchdog,
    spawn: Spawn,
) -> Kind:
    """The kind that a block asks for."""
    return Stdio(name, block, folder=folder, environment=environment, watchdog=watchdog, spawn=spawn)
