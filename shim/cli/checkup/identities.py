"""A real round trip as each local identity: the process that a client would start, asked for its list of tools."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import anyio

from shim import __version__
from shim.cli.checkup.checks import Check, Section, counted

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

LIMIT = 30.0
"""Seconds for one round trip: starting, and the 10 that a list waits for upstreams which hang."""

_AT_ONCE = 3
_LAST = 8192
"""Bytes of what the process said that are looked at when it fails."""

_say = Section("identities")


@dataclass(frozen=True, slots=True)
class Trip:
    """How a round trip went: how many tools were seen, in which era and after how many seconds; or why not."""

    tools: int = 0
    protocol: str = ""
    seconds: float = 0.0
    error: str | None = None


def checks(configuration: Configuration, environ: Mapping[str, str], *, down: Collection[str] = ()) -> Iterator[Check]:
    """All lines of the section. Lists alone are asked for; that they were shown is recorded, as for any client.

    `down` are the upstreams of which something was said already.
    """
    from shim.cli.running import run

    local = [name for name, block in configuration.identities.items() if block.local]
    others = len(configuration.identities) - len(local)
    for name, trip in run(_all(configuration, local, environ)).items():
        yield _identity(configuration, name, trip, down)
    if others:
        yield _say.info("not local", f"{others} that prove themselves by a token or not at all: not tried")
    if not configuration.identities:
        yield _say.warning("none", "nobody is configured, so nobody can call", "add one: `me: {local: true}`")


def _identity(configuration: Configuration, name: str, trip: Trip, down: Collection[str]) -> Check:
    if trip.error is not None:
        command = f"mcp-shim stdio --identity {name} --config {shlex.quote(str(configuration.path))}"
        return _say.error(name, trip.error, f"start it by hand to see more: {command}")
    text = (
        f"sees {counted(trip.tools, 'tool')} over stdio, {trip.protocol}, {trip.seconds * 1000:.0f} ms with its start"
    )
    if not trip.tools and set(configuration.upstreams) <= set(down):
        return _say.warning(name, f"{text}: no upstream is up", "mend the upstreams above")
    if not trip.tools:
        remedy = f"allow it something under `grants:` of {configuration.path}, and see that its upstreams are up"
        return _say.warning(name, text, remedy)
    return _say.ok(name, text)


async def _all(configuration: Configuration, names: list[str], environ: Mapping[str, str]) -> dict[str, Trip]:
    # What the SDK's client logs of a server that fails is what we say ourselves, in a line.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    trips: dict[str, Trip] = {}
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with at_once:
            trips[name] = await _trip(configuration, name, environ)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    return {name: trips[name] for name in names}


async def _trip(configuration: Configuration, name: str, environ: Mapping[str, str]) -> Trip:
    from mcp import Client, MCPError, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp_types import Implementation

    # `-P`: a folder named shim in the current one is not taken for ours.
    arguments = ["-P", "-m", "shim", "stdio", "--identity", name, "--config", str(configuration.path)]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=dict(environ))
    me = Implementation(name="mcp-shim doctor", version=__version__)
    trip = Trip()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        began = time.perf_counter()
        try:
            with anyio.fail_after(LIMIT):
                async with Client(stdio_client(parameters, errlog=said), client_info=me) as client:
                    tools = (await client.list_tools()).tools
                    trip = Trip(len(tools), client.protocol_version, time.perf_counter() - began)
        except* TimeoutError:
            trip = Trip(error=f"no answer within {LIMIT:.0f} s{_last(said)}")
        except* (MCPError, OSError, ValueError) as errors:
            trip = Trip(error=f"it could not be listed: {_first(errors)}{_last(said)}")
    return trip


def _first(errors: BaseException) -> BaseException:
    return _first(errors.exceptions[0]) if isinstance(errors, BaseExceptionGroup) else errors


def _last(said: IO[str]) -> str:
    """The last line that the process wrote before it failed."""
    size = os.fstat(said.fileno()).st_size
    text = os.pread(said.fileno(), _LAST, max(0, size - _LAST)).decode("utf-8", "replace").strip()
    return f"; it said: {text.splitlines()[-1]}" if text else ""
