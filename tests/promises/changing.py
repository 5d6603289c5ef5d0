"""A configuration that tests change while a shim runs, and the SDK's clients with the notices that they get."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv
from tests.promises.running import SHIM, Running, environment, identity, run, token

Mode = Literal["legacy", "auto"]
SECONDS = 15.0
"""What a change may take on a busy machine before the test fails."""


def odd(name: str, ledger: Path) -> str:
    """An upstream that writes down what it ran, with its process id."""
    return f"  {name}: {{command: {json.dumps(odd_argv(ledger=ledger))}, cwd: {ROOT}, isolation: shared}}\n"


@dataclass
class Setting:
    """A configuration by its parts: upstreams as YAML, groups by identity, tools by whom they are granted to."""

    folder: Path
    upstreams: list[str]
    identities: dict[str, str]
    grants: dict[str, str]
    top: str = ""

    @property
    def path(self) -> Path:
        return self.folder / "shim.yaml"

    @property
    def ledger(self) -> Path:
        return self.folder / "odd.ledger"

    def text(self) -> str:
        identities = (
            identity(name).replace("{local", f"{{groups: [{groups}], local") for name, groups in self.identities.items()
        )
        grants = (
            f"  - {{name: for-{to.partition(':')[2] or to}, to: ['{to}'], allow: [{tools}]}}\n"
            for to, tools in self.grants.items()
        )
        return (
            f"version: 1\nstore: sqlite:var/shim.db\n{self.top}upstreams:\n{''.join(self.upstreams)}"
            f"identities:\n{''.join(identities)}grants:\n{''.join(grants)}"
        )

    def save(self, text: str | None = None) -> None:
        """As an editor does; `text` instead of what the parts say."""
        fresh = self.folder / ".shim.yaml.swp"
        fresh.write_text(self.text() if text is None else text)
        fresh.replace(self.path)


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record that knows what upstreams of these names offer, so that nothing is news when they have started."""
    made = setting_in(tmp_path_factory.mktemp("known"))
    made.upstreams.append(odd("more", made.folder / "more.ledger"))
    made.save()
    for name in ("odd", "more"):
        command = [SHIM, "call", "--identity", "ann", f"{name}/echo", "--config", str(made.path)]
        subprocess.run(command, env=environment(made.folder), check=False, capture_output=True, timeout=60)
    return made.folder / "var"


@pytest.fixture
def setting(tmp_path: Path, known: Path) -> Setting:
    """`ann` and `ben` in front of one upstream, which was read before."""
    shutil.copytree(known, tmp_path / "var")
    return setting_in(tmp_path)


def setting_in(folder: Path) -> Setting:
    """`ann` and `ben` in front of one upstream."""
    made = Setting(folder, [], {"ann": "a", "ben": "b"}, {"ann": "odd/echo, odd/slow, odd/note", "ben": "odd/echo"})
    made.upstreams = [odd("odd", made.ledger)]
    made.save()
    return made


class Told:
    """Counts notices of a list that changed."""

    def __init__(self) -> None:
        self.count = 0
        self._news = asyncio.Condition()

    async def __call__(self, message: object) -> None:
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            await self.tell()

    async def tell(self) -> None:
        async with self._news:
            self.count += 1
            self._news.notify_all()

    async def reaches(self, count: int) -> None:
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(lambda: self.count >= count)


@asynccontextmanager
async def connected(url: str, who: str, mode: Mode) -> AsyncIterator[tuple[Client, Told]]:
    """The SDK's client over HTTP once all upstreams are up, and the notices that it gets."""
    told = Told()
    headers = {"authorization": f"Bearer {token(who)}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        await until(lambda: all_up(http, url))
        transport = streamable_http_client(url, http_client=http)
        async with (
            Client(transport, mode=mode, message_handler=told if mode == "legacy" else None, cache=None) as client,
            _listening(client, mode, told),
        ):
            yield client, told


async def all_up(http: httpx2.AsyncClient, url: str) -> bool:
    answer = await http.get(url.removesuffix("/mcp") + "/readyz")
    return set(answer.json()["upstreams"].values()) == {"up"}


@asynccontextmanager
async def windowed(config: Path, who: str, mode: Mode) -> AsyncIterator[tuple[Client, Told]]:
    """The same over stdio, as an assistant starts it."""
    told = Told()
    arguments = ["stdio", "--identity", who, "--config", str(config)]
    parameters = StdioServerParameters(command=SHIM, args=arguments, env=environment(config.parent))
    async with (
        Client(
            stdio_client(parameters), mode=mode, message_handler=told if mode == "legacy" else None, cache=None
        ) as client,
        _listening(client, mode, told),
    ):
        yield client, told


@asynccontextmanager
async def _listening(client: Client, mode: Mode, told: Told) -> AsyncIterator[None]:
    if mode == "legacy":
        yield
        return
    async with client.listen(tools_list_changed=True) as events, asyncio.TaskGroup() as group:

        async def hear() -> None:
            async for _ in events:
                await told.tell()

        task = group.create_task(hear())
        yield
        task.cancel()


async def names(client: Client) -> list[str]:
    """The tools that a client sees now."""
    return [tool.name for tool in (await client.list_tools()).tools]


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Look until it is so."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def said(shim: Running, words: str) -> list[str]:
    """What the shim wrote to standard error that holds these words."""
    return [line for line in shim.errors if words in line]


async def events(config: Path, kind: str) -> list[JsonObject]:
    """The bodies of the record's events of a kind."""
    _, out, _ = await run(config, "log", "export", "--format", "jsonl", "--events")
    found = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    return [event["body"] for event in found if event["kind"] == kind]
