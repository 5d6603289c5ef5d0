"""MCP Apps pass through: a tool's page is a resource, and governed like one (extension io.modelcontextprotocol/ui)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parts.fixtures import typescript
from tests.parts.peers import TypeScript
from tests.promises.running import identity, serving, token, write_config
from tests.promises.wire import Era, http

__all__ = ["typescript"]

PAGE = "ui://get-time/mcp-app.html"


def config(folder: Path, typescript: TypeScript) -> Path:
    return write_config(
        folder,
        f"""\
version: 1
server: {{listen: 127.0.0.1:0}}
upstreams:
  clock: {{command: {json.dumps(typescript.app())}}}
identities:
{identity("ann")}{identity("bob")}
grants:
  - {{name: all, to: [ann], allow: ["clock/*", "resource:clock/ui://**"]}}
  - {{name: tool, to: [bob], allow: ["clock/*"]}}
""",
    )


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_tool_and_its_page(tmp_path: Path, typescript: TypeScript, era: Era) -> None:
    async with serving(config(tmp_path, typescript)) as shim:
        async with http(shim.url, era, token=token("ann")) as peer:
            tool = (await peer.request("tools/list"))["result"]["tools"][0]
            assert tool["_meta"]["ui"]["resourceUri"] == PAGE
            assert PAGE in [one["uri"] for one in (await peer.request("resources/list"))["result"]["resources"]]
            page = (await peer.request("resources/read", {"uri": PAGE}))["result"]["contents"][0]
            assert page["mimeType"] == "text/html;profile=mcp-app"
            assert "<html" in page["text"]
            said = (await peer.request("tools/call", {"name": tool["name"], "arguments": {}}))["result"]
            assert said["content"]
        async with http(shim.url, era, token=token("bob")) as peer:
            assert (await peer.request("tools/list"))["result"]["tools"] == [tool]
            assert (await peer.request("resources/list"))["result"]["resources"] == []
            hidden = (await peer.request("resources/read", {"uri": PAGE}))["error"]
            unknown = (await peer.request("resources/read", {"uri": "ui://nothing"}))["error"]
            assert (hidden["code"], hidden["message"]) == (unknown["code"], unknown["message"])
