"""A shim in front of servers that ask, one of each era over each transport; and clients that answer.

Started once for a module. What a client answers is made from what it is asked, so that a mixed answer shows.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import FileUrl

from shim.model import JsonObject
from tests.promises.running import SHIM, environment, identity, token, write_config
from tests.promises.wire import Era

ROOT = Path(__file__).parents[2]
Transport: TypeAlias = Literal["stdio", "http"]
ERAS: tuple[Era, ...] = ("legacy", "modern")
CALLERS = [f"caller-{number}" for number in range(10)]
_URL = re.compile(r"(http://\S+)")


@contextmanager
def started(argv: Sequence[str], folder: Path, **more: str) -> Iterator[str]:
    """A process that says at which URL it listens: that URL. It is ended with the block."""
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment(folder) | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if found := _URL.search(line):
                    # What it goes on to say must not fill the pipe.
                    threading.Thread(target=process.stdout.read, daemon=True).start()
                    yield found[1]
                    break
            else:
                raise AssertionError("it did not listen:\n" + "".join(said))
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


@dataclass
class Bridge:
    """`url` is the shim's; `folder` holds its configuration, `ledgers` a line for each run of a tool, by upstream."""

    url: str
    folder: Path
    ledgers: dict[str, Path] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "shim.yaml"

    def runs(self, upstream: str, who: str) -> list[str]:
        """The tools that ran for somebody, in order."""
        path = self.ledgers[upstream]
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [name for name, arguments in lines if arguments.get("who") == who]


def argv(era: Era, how: str, legacy_python: Path) -> list[str]:
    """The command that starts the asking server of an era."""
    script = ROOT / "tests" / "parts" / "askers" / f"{era}.py"
    if era == "legacy":
        return [str(legacy_python), str(script), how]
    return [sys.executable, "-m", "tests.parts.askers.modern", how]


@contextmanager
def bridge(folder: Path, legacy_python: Path, *, eras: Sequence[Era] = ERAS, more: str = "") -> Iterator[Bridge]:
    """The shim, and upstreams named `ERA-TRANSPORT`. `more` is configuration that goes to each upstream."""
    with _servers(folder, legacy_python, eras) as urls:
        made = Bridge("", folder)
        upstreams = ""
        for era in eras:
            for transport in ("stdio", "http"):
                name = f"{era}-{transport}"
                made.ledgers[name] = folder / f"{name}.ledger"
                upstreams += f"  {name}:\n    timeout: 60s\n{more}"
                if transport == "http":
                    upstreams += f"    url: {urls[era]}\n"
                else:
                    command = json.dumps(argv(era, "stdio", legacy_python))
                    upstreams += f"    command: {command}\n    cwd: {ROOT}\n"
                    upstreams += f"    env: {{LEDGER: {made.ledgers[name]}}}\n"
        if "legacy" in eras:
            # One that does not wait long for people.
            made.ledgers["brief-legacy"] = folder / "legacy-http.ledger"
            upstreams += f"  brief-legacy: {{url: {urls['legacy']}, answer_within: 300ms}}\n"
        identities = "".join(identity(name) for name in (*CALLERS, "mute", "formal"))
        write_config(
            folder,
            f"""version: 1
store: sqlite:shim.db
upstreams:
{upstreams}identities:
{identities}grants:
  - name: may-ask
    to: {json.dumps(CALLERS)}
    allow: ["**", "prompt:**", "resource:**"]
    allow_from_upstream: [elicitation, sampling, roots]
  - {{name: may-not-ask, to: [mute], allow: ["**"]}}
  - {{name: forms-alone, to: [formal], allow: ["**"], allow_from_upstream: [elicitation]}}
""",
        )
        serve = [SHIM, "serve", "--config", str(made.config), "--listen", "127.0.0.1:0"]
        with started(serve, folder) as url:
            made.url = url
            yield made


@contextmanager
def _servers(folder: Path, legacy_python: Path, eras: Sequence[Era]) -> Iterator[dict[str, str]]:
    urls: dict[str, str] = {}
    if not eras:
        yield urls
        return
    era = eras[0]
    ledger = str(folder / f"{era}-http.ledger")
    with (
        started(argv(era, "0", legacy_python), folder, LEDGER=ledger) as url,
        _servers(folder, legacy_python, eras[1:]) as others,
    ):
        yield {era: url, **others}


@dataclass
class Person:
    """Answers everything that a client is asked, and remembers what that was."""

    name: str
    asked: list[str] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def elicit(self, _: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params.message)
        if isinstance(params, types.ElicitRequestURLParams):
            self.ids.append(params.elicitation_id)
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content={"value": f"<{params.message}>"})

    async def sample(self, _: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        content = params.messages[0].content
        assert isinstance(content, types.TextContent)
        self.asked.append(content.text)
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(text=f"<{content.text}>"), model="person"
        )

    async def roots(self, _: Any) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl(f"file:///{self.name}"))])

    async def hear(self, message: Any) -> None:
        if isinstance(message, types.ElicitCompleteNotification):
            self.done.append(message.params.elicitation_id)
            self.told.set()


@asynccontextmanager
async def client(made: Bridge, person: Person, era: Era, transport: Transport) -> AsyncIterator[Client]:
    """The SDK's client of an era, with a person that answers."""
    answers: dict[str, Any] = {
        "mode": "legacy" if era == "legacy" else "auto",
        "elicitation_callback": person.elicit,
        "sampling_callback": person.sample,
        "list_roots_callback": person.roots,
        "message_handler": person.hear,
    }
    if transport == "stdio":
        arguments = ["stdio", "--identity", person.name, "--config", str(made.config)]
        parameters = StdioServerParameters(command=SHIM, args=arguments, env=environment(made.folder))
        with (made.folder / f"{person.name}.log").open("w") as log:
            async with Client(stdio_client(parameters, errlog=log), **answers) as opened:
                yield opened
    else:
        headers = {"authorization": f"Bearer {token(person.name)}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
            Client(streamable_http_client(made.url, http_client=http), **answers) as opened,
        ):
            yield opened


async def call(opened: Client, upstream: str, tool: str, who: str) -> str:
    """The text of a tool's result."""
    result = await opened.call_tool(f"{upstream}__{tool}", {"who": who})
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def events(made: Bridge) -> list[JsonObject]:
    """All events of the record, in order."""
    argv = [SHIM, "log", "export", "--events", "--format", "jsonl", "--config", str(made.config)]
    out = subprocess.run(argv, env=environment(made.folder), capture_output=True, check=True).stdout
    return [json.loads(json.loads(line)["event"]) for line in out.splitlines()]


def asked_of(made: Bridge, kind: str) -> list[JsonObject]:
    """The bodies of the events of a kind `upstream.*`, each with its invocation."""
    return [{**event["body"], "of": event["invocation"]} for event in events(made) if event["kind"] == kind]
