"""Reading what an upstream offers: all lists that it says it has, all pages, each bounded, never round in circles."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from mcp.shared.inbound import find_invalid_x_mcp_header
from mcp_types import METHOD_NOT_FOUND

from shim.errors import ResultTooLarge, UpstreamFault, UpstreamTimeout
from shim.model import JsonObject
from shim.upstream import asking
from shim.upstream.failures import fault
from shim.upstream.session import Opened

_MAX_PAGES = 500
_MAX_TTL = 10**12
"""Milliseconds, 31 years. An integer may be larger than any float."""
_MAX_ENTRIES = 20_000
_MAX_TEMPLATES = 500
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class _List:
    """One of the lists: the capability it comes with, its method, its member of a page, and the words for people."""

    capability: str
    method: str
    member: str
    what: str
    most: int = _MAX_ENTRIES


_TOOLS = _List("tools", "tools/list", "tools", "tools")
_PROMPTS = _List("prompts", "prompts/list", "prompts", "prompts")
_RESOURCES = _List("resources", "resources/list", "resources", "resources")
_TEMPLATES = _List("resources", "resources/templates/list", "resourceTemplates", "resource templates", _MAX_TEMPLATES)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is offered, as it came, and the seconds it may be believed (the least of all pages; None: not said)."""

    tools: tuple[JsonObject, ...]
    prompts: tuple[JsonObject, ...]
    resources: tuple[JsonObject, ...]
    templates: tuple[JsonObject, ...]
    ttl: float | None


@dataclass(slots=True)
class _Bounds:
    """What all lists of one reading share: the bounds of a page, and what was heard so far of how long they hold."""

    timeout: float
    limit: int
    ttls: list[float] = field(default_factory=list)


async def read_offer(name: str, opened: Opened, *, timeout: float, limit: int) -> Reading:
    """Read to its end every list whose capability the upstream declares.

    `timeout` holds for the tools and for each other list, `limit` for each page. A list whose method does not exist is
    empty. Where headers mirror arguments, tools whose `x-mcp-header` is invalid are left out, as clients must
    (specification 2026-07-28, streamable-http, "Schema Extension"). Without its tools an upstream is not up; any other
    list that does not come as it should is said to be missing, and empty. Raises the Refusals.
    """
    bounds = _Bounds(timeout, limit)
    try:
        async with asyncio.timeout(timeout):
            tools = await _listed(name, opened, _TOOLS, bounds)
    except TimeoutError:
        raise fault(name, f"did not send all of its tools within {timeout:g} s") from None
    prompts = await _spared(name, opened, _PROMPTS, bounds)
    resources = await _spared(name, opened, _RESOURCES, bounds)
    templates = await _spared(name, opened, _TEMPLATES, bounds)
    ttl = min(bounds.ttls, default=None)
    return Reading(_usable_tools(name, tools, mirrors=opened.dialect.mirrors), prompts, resources, templates, ttl)


async def _spared(name: str, opened: Opened, one: _List, bounds: _Bounds) -> tuple[JsonObject, ...]:
    """A list that the rest of an upstream does not depend on: whatever is wrong with it, that is there."""
    try:
        async with asyncio.timeout(bounds.timeout):
            return await _listed(name, opened, one, bounds)
    except TimeoutError:
        _log(name).warning("it did not send all of its %s within %g s. They are left out.", one.what, bounds.timeout)
        return ()
    except (UpstreamFault, UpstreamTimeout, ResultTooLarge) as error:
        _log(name).warning("%s Its %s are left out.", error, one.what)
        return ()


async def _listed(name: str, opened: Opened, one: _List, bounds: _Bounds) -> tuple[JsonObject, ...]:
    if not opened.peer.can(one.capability):
        return ()
    entries: list[JsonObject] = []
    cursor: str | None = None
    seen: set[str] = set()
    size = 0
    for _ in range(_MAX_PAGES):
        page, length = await _page(name, opened, one, cursor, bounds)
        size += length
        if size > _MAX_BYTES:
            raise fault(name, f"offers a list of {one.what} of more than {_MAX_BYTES} bytes")
        entries += _objects(name, one, page)
        ttl = page.get("ttlMs")
        if isinstance(ttl, int | float) and not isinstance(ttl, bool):
            bounds.ttls.append(max(0, min(ttl, _MAX_TTL)) / 1000)
        if len(entries) > one.most:
            raise fault(name, f"offers more than {one.most} {one.what}")
        cursor = page.get("nextCursor")
        if cursor is None:
            return tuple(entries)
        if not isinstance(cursor, str) or cursor in seen:
            raise fault(name, f"sent its list of {one.what} in pages that lead round in a circle")
        seen.add(cursor)
    raise fault(name, f"sent its list of {one.what} in more than {_MAX_PAGES} pages")


async def _page(name: str, opened: Opened, one: _List, cursor: str | None, bounds: _Bounds) -> tuple[JsonObject, int]:
    params: JsonObject = {} if cursor is None else {"cursor": cursor}
    reply = await opened.request(asking.own(one.method, params, opened.dialect, bounds.timeout, bounds.limit))
    if reply.error is not None:
        if reply.error.get("code") == METHOD_NOT_FOUND:
            return {one.member: []}, reply.size
        raise fault(name, f"refused to list its {one.what} (error {reply.error.get('code')})")
    page = reply.result or {}
    if not isinstance(page.get(one.member), list):
        raise fault(name, f"sent a list of {one.what} that is not one")
    return page, reply.size


def _objects(name: str, one: _List, page: JsonObject) -> list[JsonObject]:
    entries = [entry for entry in page[one.member] if isinstance(entry, dict)]
    if len(entries) != len(page[one.member]):
        _log(name).warning("left out definitions in its list of %s that are not objects", one.what)
    return entries


def _usable_tools(name: str, tools: tuple[JsonObject, ...], *, mirrors: bool) -> tuple[JsonObject, ...]:
    if not mirrors:
        return tools
    usable: list[JsonObject] = []
    for tool in tools:
        why = find_invalid_x_mcp_header(tool.get("inputSchema"))
        if why is None:
            usable.append(tool)
        else:
            _log(name).warning("left out the tool %.100r: %.200r", tool.get("name"), why)
    return tuple(usable)


def _log(name: str) -> logging.Logger:
    return logging.getLogger(f"shim.upstream.{name}")
