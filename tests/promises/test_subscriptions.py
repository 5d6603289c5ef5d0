"""Subscriptions to resources, of clients and upstreams of both eras: who may read is told of changes, nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.parts.fixtures import legacy_python
from tests.promises.changing import SECONDS, all_up, until
from tests.promises.running import SHIM, Running, environment, identity, run, serving, token, write_config

__all__ = ["legacy_python"]

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")

Era = Literal["legacy", "modern"]
NOTES = Path(__file__).parent / "notes"
A, B, C = "note:///a", "note:///b", "note:///c"


def configured(folder: Path, upstream: str, ann: str = "a,b") -> Path:
    """`ann` may read some notes, `ben` only b; both may write."""
    return write_config(
        folder,
        f"""version: 1
store: sqlite:var/shim.db
upstreams:
  notes: {{{upstream}}}
identities:
{identity("ann")}{identity("ben")}
grants:
  - {{name: write, to: [ann, ben], allow: [notes/*]}}
  - {{name: ann, to: [ann], allow: ["resource:notes/note:///[{ann}]"]}}
  - {{name: ben, to: [ben], allow: ["resource:notes/note:///b"]}}
""",
    )


@asynccontextmanager
async def notes(era: Era, python: Path, *, isolation: str = "shared") -> AsyncIterator[str]:
    """An upstream's lines of the configuration."""
    if era == "legacy":
        yield f"command: {json.dumps([str(python), str(NOTES / 'legacy.py')])}, isolation: {isolation}"
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.promises.notes.modern", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"url: {(await process.stdout.readline()).decode().strip()}, isolation: {isolation}"
    finally:
        process.terminate()
        await process.wait()


class Heard:
    """What one client is told of resources."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._news = asyncio.Condition()

    async def __call__(self, message: object) -> None:
        if getattr(message, "method", None) == "notifications/resources/updated":
            await self.tell(str(getattr(getattr(message, "params", None), "uri", None)))

    async def tell(self, uri: str) -> None:
        async with self._news:
            self.uris.append(uri)
            self._news.notify_all()

    async def of(self, uri: str, times: int = 1) -> list[str]:
        """All, once it was told so often of this one."""
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(lambda: self.uris.count(uri) >= times)
        return self.uris


@asynccontextmanager
async def reading(shim: Running, who: str, era: Era, *uris: str) -> AsyncIterator[tuple[Client, Heard, list[str]]]:
    """A client over HTTP that wants to be told of these resources; those of them that it is told of."""
    heard = Heard()
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {token(who)}"}, trust_env=False) as http:
        await until(lambda: all_up(http, shim.url))
        transport = streamable_http_client(shim.url, http_client=http)
        mode: Literal["legacy", "auto"] = "legacy" if era == "legacy" else "auto"
        handler = heard if era == "legacy" else None
        async with Client(transport, mode=mode, message_handler=handler, cache=None) as client:
            if era == "legacy":
                yield client, heard, [uri for uri in uris if await _is_subscribed(client, uri)]
                return
            async with client.listen(resource_subscriptions=list(uris)) as told, asyncio.TaskGroup() as group:

                async def hear() -> None:
                    async for event in told:
                        await heard.tell(str(getattr(event, "uri", None)))

                task = group.create_task(hear())
                yield client, heard, list(told.honored.resource_subscriptions or ())
                task.cancel()


async def _is_subscribed(client: Client, uri: str) -> bool:
    try:
        await client.subscribe_resource(uri)
    except MCPError as error:
        # What may not be read and what does not exist are the same.
        if (error.error.code, error.error.message) != (-32002, "Resource not found"):
            raise
        return False
    return True


async def written(client: Client, uri: str) -> None:
    assert not (await client.call_tool("notes__write", {"uri": uri})).is_error


@pytest.mark.parametrize(
    ("era", "upstream"),
    [
        ("legacy", "modern"),
        ("modern", "legacy"),
        pytest.param("legacy", "legacy", marks=pytest.mark.soak),
        pytest.param("modern", "modern", marks=pytest.mark.soak),
    ],
)
async def test_who_may_read_is_told(era: Era, upstream: Era, tmp_path: Path, legacy_python: Path) -> None:
    async with (
        notes(upstream, legacy_python) as lines,
        serving(configured(tmp_path, lines)) as shim,
        reading(shim, "ann", era, A, B) as (ann, hers, both),
        reading(shim, "ben", era, A, "note:///nothing", B) as (ben, his, one),
    ):
        assert (both, one) == ([A, B], [B])
        # when both notes change, then each hears of those it reads
        await written(ben, A)
        await hers.of(A)
        await written(ann, B)
        await hers.of(B)
        await his.of(B)
        assert (hers.uris, his.uris) == ([A, B], [B])
        if era == "legacy":
            # when one is no longer wanted, then the other still is
            await ann.unsubscribe_resource(A)
            await ann.unsubscribe_resource("note:///nothing")
            await written(ann, A)
            await written(ann, B)
            await hers.of(B, 2)
            assert hers.uris == [A, B, B]
    _, out, _ = await run(tmp_path / "shim.yaml", "log", "list", "--json")
    rows = [row for row in json.loads(out) if row["method"] == "resources/subscribe"]
    found = sorted((row["identity"], row["tool"], row["status"]) for row in rows)
    assert found == [
        ("ann", f"resource:notes/{A}", "ok"),
        ("ann", f"resource:notes/{B}", "ok"),
        ("ben", "note:///nothing", "denied"),
        ("ben", f"resource:notes/{A}", "denied"),
        ("ben", f"resource:notes/{B}", "ok"),
    ]


async def test_who_may_read_no_more_is_told_no_more(tmp_path: Path, legacy_python: Path) -> None:
    async with (
        notes("legacy", legacy_python) as lines,
        serving(configured(tmp_path, lines)) as shim,
        reading(shim, "ann", "legacy", A, B) as (ann, hers, _),
        reading(shim, "ann", "modern", A, B) as (_, also, _),
        reading(shim, "ben", "modern", B) as (_, his, _),
    ):
        # when the grant is another, and the subscriptions are the same
        configured(tmp_path, lines, ann="ac")
        await until(lambda: any('"config.loaded"' in line or "in force" in line for line in shim.errors))
        await written(ann, B)
        await his.of(B)
        await written(ann, A)
        assert (await hers.of(A), await also.of(A)) == ([A], [A])


@pytest.mark.parametrize("upstream", ["legacy", pytest.param("modern", marks=pytest.mark.soak)])
async def test_an_upstream_that_is_configured_anew_is_heard_again(
    upstream: Era, tmp_path: Path, legacy_python: Path
) -> None:
    async with (
        notes(upstream, legacy_python, isolation="identity") as lines,
        serving(configured(tmp_path, lines)) as shim,
        reading(shim, "ann", "legacy", A) as (ann, hers, _),
    ):
        # when the upstream is another to the shim, which cannot know what changed meanwhile
        configured(tmp_path, f"{lines}, max_result: 1MiB")
        await hers.of(A)
        await written(ann, A)
        assert await hers.of(A, 2) == [A, A]


async def test_each_identity_hears_its_own_process_and_again_after_it_was_lost(
    tmp_path: Path, legacy_python: Path
) -> None:
    async with (
        notes("legacy", legacy_python, isolation="identity") as lines,
        serving(configured(tmp_path, lines)) as shim,
        reading(shim, "ann", "modern", A, B) as (ann, hers, _),
        reading(shim, "ben", "legacy", B) as (ben, his, _),
    ):
        await written(ben, B)
        await his.of(B)
        await written(ann, A)
        assert (await hers.of(A), his.uris) == ([A], [B])
        # when the process that was heard dies
        os.kill(int((await ann.call_tool("notes__pid", {})).content[0].model_dump()["text"]), signal.SIGKILL)
        # then what may have been missed is told, and what comes is heard again
        await hers.of(B)
        assert sorted(hers.uris) == [A, A, B]
        await written(ann, B)
        await hers.of(B, 2)
        assert his.uris == [B]


async def test_a_window_over_stdio_is_told(tmp_path: Path, legacy_python: Path) -> None:
    async with notes("legacy", legacy_python) as lines:
        config, heard = configured(tmp_path, lines), Heard()
        arguments = ["stdio", "--identity", "ann", "--config", str(config)]
        window = stdio_client(StdioServerParameters(command=SHIM, args=arguments, env=environment(tmp_path)))
        async with Client(window, mode="legacy", message_handler=heard, cache=None) as client:
            await client.subscribe_resource(A)
            await written(client, A)
            assert await heard.of(A) == [A]
            await client.unsubscribe_resource(A)

            async def subscribed() -> bool:
                return not (await client.call_tool("notes__subscribed", {})).content[0].model_dump()["text"]

            # when nobody wants it, then the upstream is told so
            await until(subscribed)


async def test_an_upstream_that_is_down_refuses_in_the_open(tmp_path: Path, legacy_python: Path) -> None:
    async with notes("legacy", legacy_python) as lines:
        gone = lines.replace("legacy.py", "nothing.py")
        async with (
            serving(configured(tmp_path, gone)) as shim,
            httpx2.AsyncClient(headers={"authorization": f"Bearer {token('ann')}"}, trust_env=False) as http,
            Client(streamable_http_client(shim.url, http_client=http), mode="legacy", cache=None) as client,
        ):
            with pytest.raises(MCPError) as raised:
                await client.subscribe_resource(A)
    assert raised.value.error.code == -32010
    assert raised.value.error.data["reason"] == "upstream-unavailable"
