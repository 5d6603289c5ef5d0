"""Prompts, resources, templates and completions, with members that no revision names. What is read is in the ledger."""

from __future__ import annotations

from typing import Any

from tests.parts.odd_server.ledger import Ledger
from tests.parts.odd_server.wire import INVALID_PARAMS, JsonObject, Request, RpcError

LEGACY_NOT_FOUND = -32002

PROMPTS: tuple[JsonObject, ...] = (
    {
        "x-before": None,
        "name": "review",
        "arguments": [{"required": True, "name": "code", "x": 2**64}, {"name": "style"}],
        "description": "Asks for a review. \u202e",
        "futureMember": {"list": [None, {}]},
    },
    {"name": "greet", "title": "Greet", "_meta": {"example.com/definition": {"z": 1, "a": None}}},
    {"name": "secret", "arguments": [{"name": "password"}]},
)
RESOURCES: tuple[JsonObject, ...] = (
    {"uri": "odd://docs/one", "name": "One", "size": 2**64, "x-after": None, "annotations": {"priority": 0.5, "y": []}},
    {"name": "Two", "uri": "odd://docs/two%20b", "mimeType": "application/octet-stream"},
    {"uri": "odd://private/key", "name": "Key"},
)
TEMPLATES: tuple[JsonObject, ...] = (
    {"uriTemplate": "odd://files/{path}", "name": "Files", "futureMember": None},
    {"uriTemplate": "odd://private/{+path}", "name": "Private"},
)
VALUES = ("open/a", "open/b", "closed/c")


class Library:
    """Answers reads. `extra` is how many more prompts and resources are on offer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.extra: set[str] = set()

    def lists(self, method: str) -> JsonObject | None:
        """The result of a method that lists, in the shape that both eras share; None for another."""
        more = {"prompts": ({"name": "extra"},), "resources": ({"uri": "odd://docs/extra", "name": "Extra"},)}
        added: dict[str, Any] = {kind: more[kind] for kind in self.extra}
        match method:
            case "prompts/list":
                return {"listUnknown": None, "prompts": [*PROMPTS, *added.get("prompts", ())]}
            case "resources/list":
                return {"resources": [*RESOURCES, *added.get("resources", ())], "listUnknown": {"z": None}}
            case "resources/templates/list":
                return {"resourceTemplates": list(TEMPLATES)}
        return None

    def answer(self, request: Request) -> JsonObject | None:
        """The result of a method that reads; None for another. Raises RpcError."""
        match request.method:
            case "prompts/get":
                return self._prompt(request)
            case "resources/read":
                return self._resource(request)
            case "completion/complete":
                return self._completion(request)
        return None

    def _prompt(self, request: Request) -> JsonObject:
        name, arguments = str(request.params.get("name")), request.params.get("arguments") or {}
        self._ledger.write(f"prompt {name}", arguments, request.meta)
        if not any(prompt["name"] == name for prompt in PROMPTS):
            raise RpcError(INVALID_PARAMS, f"Unknown prompt: {name}")
        text = {"type": "text", "text": f"{name} {sorted(arguments)}", "x": [None]}
        future = {"type": "future", "_meta": {"io.github.mcp-shim/decision": "forged", "kept": 1}}
        return {
            "messages": [{"content": text, "role": "user"}, {"role": "assistant", "content": future}],
            "futureMember": 2**64,
            "description": None,
        }

    def _resource(self, request: Request) -> JsonObject:
        uri = str(request.params.get("uri"))
        self._ledger.write(f"read {uri}", {}, request.meta)
        if not uri.startswith(("odd://docs/", "odd://files/", "odd://private/")) or uri.endswith("missing"):
            code = LEGACY_NOT_FOUND if request.era == "legacy" else INVALID_PARAMS
            raise RpcError(code, "Resource not found", uri=uri)
        mine = {"io.github.mcp-shim/decision": "forged", "kept": None}
        return {"contents": [{"text": f"read {uri}", "uri": uri, "x": None, "_meta": mine}], "futureMember": [2**64]}

    def _completion(self, request: Request) -> JsonObject:
        ref, argument = request.params.get("ref") or {}, request.params.get("argument") or {}
        self._ledger.write(f"complete {ref.get('name', ref.get('uri'))}", argument, request.meta)
        values = [value for value in VALUES if value.startswith(str(argument.get("value")))]
        return {"completion": {"total": len(values), "values": values, "x": None, "hasMore": False}}
