"""Reading what an upstream offers: all pages, each bounded, and never round in circles."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from mcp.shared.inbound import find_invalid_x_mcp_header

from shim.model import JsonObject
from shim.upstream import asking
from shim.upstream.failures import fault
from shim.upstream.session import Opened

_MAX_PAGES = 500
_MAX_TOOLS = 20_000
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """All tools as they came, and the seconds they may be believed (the least of all pages; None: not said)."""

    tools: tuple[JsonObject, ...]
    ttl: float | None


async def read_tools(name: str, opened: Opened, *, timeout: float, limit: int) -> Reading:
    """Read `tools/list` to its end.

    `timeout` holds for all pages together, `limit` for each of them. Where headers mirror arguments, tools whose
    `x-mcp-header` is invalid are left out, as clients must (specification 2026-07-28, streamable-http, "Schema
    Extension"). Raises the Refusals.
    """
    if not opened.peer.can("tools"):
        return Reading((), None)
    try:
        async with asyncio.timeout(timeout):
            return await _all_pages(name, opened, timeout, limit)
    except TimeoutError:
        raise fault(name, f"did not send all of its list of tools within {timeout:g} s") from None


async def _all_pages(name: str, opened: Opened, timeout: float, limit: int) -> Reading:
    tools: list[JsonObject] = []
    ttls: list[float] = []
    cursor: str | None = None
    seen: set[str] = set()
    size = 0
    for _ in range(_MAX_PAGES):
        page, length = await _page(name, opened, cursor, timeout, limit)
        size += length
        if size > _MAX_BYTES:
            raise fault(name, f"offers a list of tools of more than {_MAX_BYTES} bytes")
        tools.extend(_usable(name, page, mirrors=opened.dialect.mirrors))
        ttl = page.get("ttlMs")
        if isinstance(ttl, int | float) and not isinstance(ttl, bool):
            ttls.append(max(0.0, ttl / 1000))
        if len(tools) > _MAX_TOOLS:
            raise fault(name, f"offers more than {_MAX_TOOLS} tools")
        cursor = page.get("nextCursor")
        if cursor is None:
            return Reading(tuple(tools), min(ttls, default=None))
        if not isinstance(cursor, str) or cursor in seen:
            raise fault(name, "sent its list of tools in pages that lead round in a circle")
        seen.add(cursor)
    raise fault(name, f"sent its list of tools in more than {_MAX_PAGES} pages")


async def _page(name: str, opened: Opened, cursor: str | None, timeout: float, limit: int) -> tuple[JsonObject, int]:
    params: JsonObject = {} if cursor is None else {"cursor": cursor}
    reply = await opened.request(asking.own("tools/list", params, opened.dialect, timeout, limit))
    if reply.error is not None:
        raise fault(name, f"refused to list its tools (error {reply.error.get('code')})")
    page = reply.result or {}
    if not isinstance(page.get("tools"), list):
        raise fault(name, "sent a list of tools that is not one")
    return page, reply.size


def _usable(name: str, page: JsonObject, *, mirrors: bool) -> list[JsonObject]:
    log = logging.getLogger(f"shim.upstream.{name}")
    usable: list[JsonObject] = []
    for tool in page["tools"]:
        if not isinstance(tool, dict):
            log.warning("left out a tool whose definition is not an object")
            continue
        why = find_invalid_x_mcp_header(tool.get("inputSchema")) if mirrors else None
        if why is not None:
            log.warning("left out the tool %.100r: %.200r", tool.get("name"), why)
            continue
        usable.append(tool)
    return usable
