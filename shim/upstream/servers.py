"""MCP servers as upstreams: in a child process of the shim's own, or over HTTP."""

from __future__ import annotations

from shim.model import JsonObject, Tool
from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.endpoint import CannotTrust, Endpoint, trust
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.http import HttpSession
from shim.upstream.inbox import Watcher
from shim.upstream.making import Making
from shim.upstream.processes import Processes
from shim.upstream.session import Session


class Stdio:
    """`command`: an MCP server over the standard streams of a child process."""

    over_http = False
    rests = True
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._processes = Processes(name, block, making, block.command or (), {})

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        return await self._processes.start(watcher, handed)

    def misfit(self, _tool: Tool, _arguments: JsonObject) -> str | None:
        """An MCP server judges its arguments itself."""
        return None

    async def close(self) -> None:
        """Every session ends its own child; nothing is shared."""


class Http:
    """`url`: an MCP server over streamable HTTP. One endpoint, so one TLS context and one set of connections."""

    over_http = True
    rests = False
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
