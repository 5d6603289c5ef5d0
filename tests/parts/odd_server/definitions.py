"""The tools on offer, with definitions that hold more than any revision names."""

from __future__ import annotations

from tests.parts.odd_server.wire import JsonObject

MISBEHAVIOURS = ("never", "twice", "wrong-id", "not-json", "not-utf8", "half", "flood", "unasked", "close", "crash")


def _schema(properties: JsonObject | None = None, *required: str) -> JsonObject:
    schema: JsonObject = {"type": "object", "properties": properties or {}}
    if required:
        schema["required"] = list(required)
    return schema


def _tool(name: str, description: str, schema: JsonObject | None = None, **more: object) -> JsonObject:
    return {"name": name, "description": description, "inputSchema": schema or _schema(), **more}


EXTRA = _tool("extra", "Comes and goes with `change_list`.")

TOOLS: tuple[JsonObject, ...] = (
    _tool("echo", "Gives back its arguments.", {"type": "object"}),
    {
        # Unknown members, nulls and an order of its own, in the definition itself.
        "x-before": None,
        "inputSchema": {
            "type": "object",
            "properties": {"b": {"type": ["string", "null"], "default": None, "x-ui": {"w": 2**64}}, "a": True},
            "$comment": "kept",
            "additionalProperties": False,
            "x-schema": [None],
        },
        "name": "odd",
        "annotations": {"title": "Odd", "readOnlyHint": True, "futureHint": None},
        "description": "Answers with members that no revision knows. \u202e",
        "_meta": {"example.com/definition": {"z": 1, "a": None}},
        "icons": [{"src": "data:image/png;base64,", "mimeType": "image/png", "sizes": ["any"], "theme": "dark"}],
        "futureMember": {"list": [None, {}]},
    },
    _tool("every_content", "One block of every known type.", title="Every content"),
    _tool("numbers", "Integers and floats at the edges."),
    _tool("key_order", "Keys in an order that nothing sorts."),
    _tool(
        "structured",
        "Structured content that fits its schema.",
        outputSchema={
            "type": "object",
            "properties": {
                "temperature": {"type": "number"},
                "conditions": {"type": "string"},
                "humidity": {"type": "integer"},
            },
            "required": ["temperature", "conditions", "humidity"],
        },
    ),
    _tool("tool_error", "Fails as tools fail."),
    _tool("rpc_error", "Fails as the protocol fails, with data."),
    _tool("progress", "Reports each of its steps.", _schema({"steps": {"type": "integer"}})),
    _tool("logs", "Logs once at every level."),
    _tool("slow", "Ends when it is cancelled; `slept` says so.", _schema({"key": {"type": "string"}}, "key")),
    _tool("slept", "The keys of `slow` calls: `started` and `cancelled`."),
    _tool("change_list", "Adds or removes the tool `extra`, and says so to those who listen."),
    _tool(
        "by_region",
        "Has two parameters that travel in headers too.",
        _schema(
            {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "where": {
                    "type": "object",
                    "properties": {"floor": {"type": "integer", "x-mcp-header": "Floor"}},
                },
            },
            "region",
        ),
    ),
    _tool("note", "Leaves its id in the ledger.", _schema({"id": {"type": "string"}}, "id")),
    _tool("large", "A text of so many bytes.", _schema({"bytes": {"type": "integer"}}, "bytes")),
    _tool("forget_session", "Ends the caller's legacy HTTP session after the answer."),
    _tool("misbehave", "Breaks the protocol.", _schema({"how": {"enum": list(MISBEHAVIOURS)}}, "how")),
)
