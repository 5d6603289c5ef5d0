"""The kinds of upstream that there are, chosen by the keys of their configuration block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from shim.upstream.config import UpstreamBlock
from shim.upstream.endpoint import CannotTrust, Endpoint, trust
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.hiding import Hiding
from shim.upstream.http import HttpSession
from shim.upstream.inbox import Watcher
from shim.upstream.pace import Pace
from shim.upstream.program import CannotStart, program
from shim.upstream.session import CATALOG_LIMIT, Kind, Session, Spawn
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
        hiding: Callable[[Mapping[str, str]], Callable[[str], str]],
    ) -> None:
        self._name = name
        self._block = block
        self._folder = folder
        self._environment = environment
        self._hiding = hiding
        self._watchdog = watchdog
        self._pace = Pace(asyncio.get_running_loop().time)
        self._spawn = spawn

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        block, variables = self._block, plain(self._block.env)
        cwd = str(self._folder / block.cwd) if block.cwd is not None else str(self._folder)
        try:
            what = program(block.command or (), {**variables, **handed.env}, cwd, self._environment)
        except CannotStart as error:
            raise unavailable(self._name, str(error)) from None
        limit = max(block.max_result, CATALOG_LIMIT)
        hide = Hiding(handed.values, variables, self._hiding(handed.values))
        return await StdioSession.start(self._name, what, watcher, limit, self._pace, self._watchdog, self._spawn, hide)

    async def close(self) -> None:
        """Every session ends its own child; nothing is shared."""


class Http:
    """`url`: an MCP server over streamable HTTP. One endpoint, so one TLS context and one set of connections."""

    over_http = True

    def __init__(self, name: str, block: UpstreamBlock, *, folder: Path, spawn: Spawn) -> None:
        self._name = name
        self._block = block
        self._folder = folder
        self._spawn = spawn
        self._endpoint: Endpoint | None = None

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        if self._endpoint is None:
            url = self._block.url or ""
            try:
                self._endpoint = Endpoint(url, plain(self._block.headers), trust(url, self._block.tls, self._folder))
            except CannotTrust as error:
                raise unavailable(self._name, str(error)) from None
        limit = max(self._block.max_result, CATALOG_LIMIT)
        return HttpSession(self._name, self._endpoint, watcher, limit, self._spawn, handed.headers)

    async def close(self) -> None:
        """Cut what is still open; calls that wait for an answer then learn that it is lost."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()


def kind_of(
    name: str,
    block: UpstreamBlock,
    *,
    folder: Path,
    environment: Mapping[str, str],
    watchdog: Watchdog,
    spawn: Spawn,
    hiding: Callable[[Mapping[str, str]], Callable[[str], str]],
) -> Kind:
    """The kind that a block asks for. `hiding` takes values out of the lines of a child that has them."""
    if block.url is not None:
        return Http(name, block, folder=folder, spawn=spawn)
    return Stdio(name, block, folder=folder, environment=environment, watchdog=watchdog, spawn=spawn, hiding=hiding)
