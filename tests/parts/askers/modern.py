"""A server on the SDK 2.x, spoken to in the modern era, whose tools ask their client: the same tools as the legacy one.

Nothing is kept between rounds: what was answered so far is in `requestState`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

# Of two upstreams that offer one URI it would belong to the first.
SCHEME = "modern-stdio" if sys.argv[1] == "stdio" else "modern-http"
TOOLS = ["form", "url", "twice", "both", "sample", "roots", "required", "patient", "lasting", "all", "plain"]
TOOLS += ["later", "endless"]
FORM: types.ElicitRequestedSchema = {
    "type": "object",
    "properties": {"value": {"type": "string"}},
    "required": ["value"],
}


def wrote(name: str, arguments: object) -> None:
    if "LEDGER" in os.environ:
        with Path(os.environ["LEDGER"]).open("a") as file:
            file.write(json.dumps([name, arguments]) + "\n")


def form(message: str) -> types.InputRequest:
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=FORM))


def url(message: str) -> types.InputRequest:
    return types.ElicitRequest(params=types.ElicitRequestURLParams(message=message, url="https://example.com/go"))


def sample(message: str) -> types.InputRequest:
    content = types.TextContent(text=message)
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=content)], max_tokens=9
        )
    )


def said(answers: dict[str, Any], key: str) -> str:
    answer = answers[key]
    if isinstance(answer, types.ElicitResult):
        content = answer.content or {}
        return f"{answer.action}:{content.get('value')}" if content or answer.action != "accept" else answer.action
    if isinstance(answer, types.ListRootsResult):
        return ",".join(str(root.uri) for root in answer.roots)
    return str(getattr(getattr(answer, "content", None), "text", answer))


def ask(state: str | None = None, **requests: types.InputRequest) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests or None, request_state=state)


async def run(params: types.CallToolRequestParams) -> str | types.InputRequiredResult:
    who = str((params.arguments or {}).get("who", "?"))
    answers, state = dict(params.input_responses or {}), params.request_state
    match params.name:
        case "form":
            return f"{who}={said(answers, 'form')}" if answers else ask(form=form(f"form for {who}"))
        case "url":
            return f"{who}={said(answers, 'url')}" if answers else ask(url=url(who))
        case "twice":
            if "second" in answers:
                return f"{who}={state}+{said(answers, 'second')}"
            if "first" in answers:
                first = said(answers, "first")
                return ask(first, second=form(f"second for {who} after {first}"))
            return ask(first=form(f"first for {who}"))
        case "both":
            if answers:
                return f"{who}={said(answers, 'left')}|{said(answers, 'right')}"
            return ask(left=form(f"left for {who}"), right=form(f"right for {who}"))
        case "sample":
            return f"{who}={said(answers, 'sample')}" if answers else ask(sample=sample(f"sample for {who}"))
        case "roots":
            return f"{who}={said(answers, 'roots')}" if answers else ask(roots=types.ListRootsRequest())
        case "all":
            if answers:
                return f"{who}={said(answers, 'form')};{said(answers, 'sample')};{said(answers, 'roots')}"
            return ask(form=form(f"form for {who}"), sample=sample(f"sample for {who}"), roots=types.ListRootsRequest())
        case "required":
            return f"{who}=visited" if answers else ask(who, need=url(f"visit for {who}"))
        case "later":
            return f"{who}=plain" if state == "later" else ask("later")
        case "endless":
            return ask(more=form("and again"))
        case "lasting" if not answers:
            return ask(form=form(f"form for {who}"))
        case "patient" | "lasting":
            await anyio.sleep_forever()
    return f"{who}=plain"


async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult | types.InputRequiredResult:
    wrote(params.name, params.arguments)
    done = await run(params)
    return done if not isinstance(done, str) else types.CallToolResult(content=[types.TextContent(text=done)])


async def tools(_: Any, __: Any) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool(name=name, description=name, input_schema={"type": "object"}) for name in TOOLS]
    )


async def prompts(_: Any, __: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[types.Prompt(name="greet", description="greet")])


async def prompt(_: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult | types.InputRequiredResult:
    who = (params.arguments or {}).get("who", "?")
    if not params.input_responses:
        return ask(form=form(f"form for {who}"))
    content = types.TextContent(text=f"{who}={said(dict(params.input_responses), 'form')}")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])


async def resources(_: Any, __: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=[types.Resource(uri=f"{SCHEME}://it", name="it")])


async def read(_: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult | types.InputRequiredResult:
    if not params.input_responses:
        return ask(form=form("form for it"))
    text = f"it={said(dict(params.input_responses), 'form')}"
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=str(params.uri), text=text)])


server: Server[Any] = Server(
    "asks",
    version="1",
    on_list_tools=tools,
    on_call_tool=call,
    on_list_prompts=prompts,
    on_get_prompt=prompt,
    on_list_resources=resources,
    on_read_resource=read,
)


async def stdio() -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http(port: int) -> None:
    import uvicorn

    sock = socket.create_server(("127.0.0.1", port))
    print(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        anyio.run(stdio)
    else:
        http(int(sys.argv[1]))
