"""The kinds of upstream that there are, chosen by the keys of their configuration block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from shim.model import JsonObject, Tool
from shim.upstream.commandline.kind import CommandLine
from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.endpoint import CannotTrust, Endpoint, trust
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.hiding import Hiding
from shim.upstream.http import HttpSession
from shim.upstream.inbox import Watcher
from shim.upstream.making import Making
from shim.upstream.openapi.api import OpenApi
from shim.upstream.pace import Pace
from shim.upstream.program import CannotStart, program
from shim.upstream.python.kind import Python
from shim.upstream.session import Kind, Session
from shim.upstream.stdio import StdioSession


class Stdio:
    """`command`: an MCP server over the standard streams of a child process."""

    over_http = False
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._name = name
        self._block = block
        self._making = making
        self._pace = Pace(asyncio.get_running_loop().time)

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        block, making, variables = self._block, self._making, plain(self._block.env)
        cwd = str(making.folder / block.cwd) if block.cwd is not None else str(making.folder)
        try:
            what = program(block.command or (), {**variables, **handed.env}, cwd, making.environment)
        except CannotStart as error:
            raise unavailable(self._name, str(error)) from None
        limit = max(block.max_result, CATALOG_LIMIT)
        hide = Hiding(handed.values, variables, making.hiding(handed.values))
        return await StdioSession.start(
            self._name, what, watcher, limit, self._pace, making.watchdog, making.spawn, hide
        )

    def misfit(self, _tool: Tool, _arguments: JsonObject) -> str | None:
        """An MCP server judges its arguments itself."""
        return None

    async def close(self) -> None:
        """Every session ends its own child; nothing is shared."""


class Http:
    """`url`: an MCP server over streamable HTTP. One endpoint, so one TLS context and one set of connections."""

    over_http = True
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._name = name
        self._block = block
        self._making = making
        self._endpoint: Endpoint | None = None

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        if self._endpoint is None:
            url = self._block.url or ""
            try:
                self._endpoint = Endpoint(
                    url, plain(self._block.headers), trust(url, self._block.tls, self._making.folder)
                )
            except CannotTrust as error:
                raise unavailable(self._name, str(error)) from None
        limit = max(self._block.max_result, CATALOG_LIMIT)
        return HttpSession(self._name, self._endpoint, watcher, limit, self._making.spawn, handed.headers)

    def misfit(self, _tool: Tool, _arguments: JsonObject) -> str | None:
        """An MCP server judges its arguments itself."""
        return None

    async def close(self) -> None:
        """Cut what is still open; calls that wait for an answer then learn that it is lost."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()


_KINDS: Mapping[str, Callable[[str, UpstreamBlock, Making], Kind]] = {
    "command": Stdio,
    "url": Http,
    "program": CommandLine,
    "openapi": OpenApi,
    "python": Python,
}
"""By the key of the configuration that chooses it. A new kind is a file, a line here, and its keys in `config.py`."""


def kind_of(name: str, block: UpstreamBlock, making: Making) -> Kind:
    """The kind that a block asks for."""
    return _KINDS[block.kind](name, block, making)
