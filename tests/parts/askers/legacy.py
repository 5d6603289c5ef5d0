# mypy: ignore-errors
# Written for another major version of the SDK than the one that the checker sees.
"""A server on the SDK 1.x whose tools ask their client: elicitation, sampling, roots. Runs without this project."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.shared.exceptions import McpError, UrlElicitationRequiredError

server: Server[Any] = Server("asks")
visited: set[str] = set()
telling: set[asyncio.Future[None]] = set()
# Of two upstreams that offer one URI it would belong to the first.
SCHEME = "legacy-stdio" if sys.argv[1] == "stdio" else "legacy-http"
FORM = {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]}
TOOLS = ["form", "url", "twice", "both", "sample", "roots", "required", "patient", "lasting", "all", "plain"]


def wrote(name: str, arguments: object) -> None:
    if "LEDGER" in os.environ:
        with Path(os.environ["LEDGER"]).open("a") as file:
            file.write(json.dumps([name, arguments]) + "\n")


@server.list_tools()
async def tools() -> list[types.Tool]:
    return [types.Tool(name=name, description=name, inputSchema={"type": "object"}) for name in TOOLS]


async def form(message: str) -> str:
    context = server.request_context
    answer = await context.session.elicit_form(message, FORM, related_request_id=context.request_id)
    return f"{answer.action}:{(answer.content or {}).get('value')}"


async def url(message: str) -> str:
    context = server.request_context
    answer = await context.session.elicit_url(
        message, "https://example.com/go", f"id-{message}", related_request_id=context.request_id
    )
    if answer.action == "accept":
        await context.session.send_elicit_complete(f"id-{message}", related_request_id=context.request_id)
    return answer.action


async def sample(message: str) -> str:
    context = server.request_context
    content = types.TextContent(type="text", text=message)
    answer = await context.session.create_message(
        [types.SamplingMessage(role="user", content=content)], max_tokens=9, related_request_id=context.request_id
    )
    return getattr(answer.content, "text", "?")


async def roots() -> str:
    # It rides the standing stream: this SDK gives it no related request.
    found = await server.request_context.session.list_roots()
    return ",".join(str(root.uri) for root in found.roots)


@server.call_tool(validate_input=False)
async def call(name: str, arguments: dict[str, Any]) -> list[types.TextContent]:
    wrote(name, arguments)
    who = str(arguments.get("who", "?"))
    try:
        text = await run(name, who)
    except UrlElicitationRequiredError:
        raise
    except McpError as error:
        text = f"error:{error.error.code}:{error.error.message}"
    return [types.TextContent(type="text", text=text)]


async def run(name: str, who: str) -> str:
    match name:
        case "form":
            return f"{who}={await form(f'form for {who}')}"
        case "url":
            return f"{who}={await url(who)}"
        case "twice":
            first = await form(f"first for {who}")
            return f"{who}={first}+{await form(f'second for {who} after {first}')}"
        case "both":
            answers: dict[str, str] = {}

            async def one(which: str) -> None:
                answers[which] = await form(f"{which} for {who}")

            async with anyio.create_task_group() as group:
                group.start_soon(one, "left")
                group.start_soon(one, "right")
            return f"{who}={answers['left']}|{answers['right']}"
        case "sample":
            return f"{who}={await sample(f'sample for {who}')}"
        case "roots":
            return f"{who}={await roots()}"
        case "all":
            return f"{who}={await form(f'form for {who}')};{await sample(f'sample for {who}')};{await roots()}"
        case "required":
            if who not in visited:
                visited.add(who)
                if who == "needy":
                    # This person is done in a moment, which is said on the standing stream: no request is open by then.
                    session = server.request_context.session
                    asyncio.get_running_loop().call_later(0.2, tell_later, session, f"need-{who}")
                params = types.ElicitRequestURLParams(
                    mode="url", message=f"visit for {who}", url="https://example.com/need", elicitationId=f"need-{who}"
                )
                raise UrlElicitationRequiredError([params])
            return f"{who}=visited"
        case "patient" | "lasting":
            if name == "lasting":
                await form(f"form for {who}")
            await anyio.sleep_forever()
    return f"{who}=plain"


@server.list_prompts()
async def prompts() -> list[types.Prompt]:
    return [types.Prompt(name="greet", description="greet")]


@server.get_prompt()
async def prompt(name: str, arguments: dict[str, str] | None) -> types.GetPromptResult:
    who = (arguments or {}).get("who", "?")
    content = types.TextContent(type="text", text=f"{who}={await form(f'form for {who}')}")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])


@server.list_resources()
async def resources() -> list[types.Resource]:
    return [types.Resource(uri=f"{SCHEME}://it", name="it")]


@server.read_resource()
async def read(uri: Any) -> list[ReadResourceContents]:
    return [ReadResourceContents(content=f"it={await form('form for it')}", mime_type="text/plain")]


def tell_later(session: Any, elicitation: str) -> None:
    task = asyncio.ensure_future(session.send_elicit_complete(elicitation))
    telling.add(task)
    task.add_done_callback(telling.discard)


async def stdio() -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http(port: int) -> None:
    import socket

    import uvicorn
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.applications import Starlette
    from starlette.routing import Mount

    manager = StreamableHTTPSessionManager(server)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    sock = socket.create_server(("127.0.0.1", port))
    print(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp/", flush=True)
    app = Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=lifespan)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        anyio.run(stdio)
    else:
        http(int(sys.argv[1]))
