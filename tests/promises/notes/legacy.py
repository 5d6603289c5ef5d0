# mypy: ignore-errors
"""Notes over stdio on the SDK 1.x, which speaks the handshake alone. Run by the interpreter that has it."""

import os

import anyio
import mcp.types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from pydantic import AnyUrl

NOTES = ("note:///a", "note:///b", "note:///c")
server = Server("notes")
subscribed = {}


@server.list_resources()
async def resources():
    return [types.Resource(uri=AnyUrl(uri), name=uri[-1]) for uri in NOTES]


@server.read_resource()
async def read(uri):
    return f"{uri} as it is"


@server.subscribe_resource()
async def subscribe(uri):
    subscribed.setdefault(str(uri), set()).add(server.request_context.session)


@server.unsubscribe_resource()
async def unsubscribe(uri):
    subscribed.get(str(uri), set()).discard(server.request_context.session)


@server.list_tools()
async def tools():
    schema = {"type": "object", "properties": {"uri": {"type": "string"}}}
    return [types.Tool(name=name, inputSchema=schema) for name in ("write", "subscribed", "pid")]


@server.call_tool()
async def call(name, arguments):
    text = str(os.getpid())
    if name == "write":
        for session in subscribed.get(arguments["uri"], ()):
            await session.send_resource_updated(AnyUrl(arguments["uri"]))
    elif name == "subscribed":
        text = " ".join(sorted(uri for uri, sessions in subscribed.items() if sessions))
    return [types.TextContent(type="text", text=text)]


async def main():
    options = server.create_initialization_options(NotificationOptions(resources_changed=True))
    options.capabilities.resources.subscribe = True
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


anyio.run(main)
