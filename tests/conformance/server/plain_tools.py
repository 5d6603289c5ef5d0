"""Tools that answer at once: each kind of content, an error, structure, and schemas that must arrive whole."""

from __future__ import annotations

from mcp_types import CallToolResult, ResourceLink

from tests.conformance.server.content import audio, embedded, image, text
from tests.conformance.server.offer import Request, ToolOffer, result, tool

SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
IN_HEADERS = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "query": {"type": "string"},
    },
    "required": ["region"],
}
SUM = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"],
}


async def _text(request: Request) -> CallToolResult:
    return result(text("This is a simple text response for testing."))


async def _image(request: Request) -> CallToolResult:
    return result(image())


async def _audio(request: Request) -> CallToolResult:
    return result(audio())


async def _resource(request: Request) -> CallToolResult:
    return result(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


async def _link(request: Request) -> CallToolResult:
    return result(ResourceLink(uri="test://static-text", name="static-text", mime_type="text/plain"))


async def _mixed(request: Request) -> CallToolResult:
    resource = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return result(text("Multiple content types test:"), image(), resource)


async def _error(request: Request) -> CallToolResult:
    return CallToolResult(content=[text("This tool always answers with an error.")], is_error=True)


async def _structured(request: Request) -> CallToolResult:
    total = request.arguments["a"] + request.arguments["b"]
    return CallToolResult(content=[text(str(total))], structured_content={"sum": total})


async def _echo(request: Request) -> CallToolResult:
    return result(text(", ".join(f"{name}={value}" for name, value in sorted(request.arguments.items()))))


TOOLS: tuple[ToolOffer, ...] = (
    tool("test_simple_text", "Answers with text.", _text),
    tool("test_image_content", "Answers with an image.", _image),
    tool("test_audio_content", "Answers with a sound.", _audio),
    tool("test_embedded_resource", "Answers with a resource inside.", _resource),
    tool("test_resource_link", "Answers with a link to a resource.", _link),
    tool("test_multiple_content_types", "Answers with text, an image and a resource.", _mixed),
    tool("test_error_handling", "Answers that it failed.", _error),
    tool(
        "test_structured_content",
        "Adds two numbers and says it as structure too.",
        _structured,
        SUM,
        {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]},
    ),
    tool("json_schema_2020_12_tool", "Has a schema that uses much of JSON Schema 2020-12.", _echo, SCHEMA_2020_12),
    tool("test_header_parameters", "Wants its region in a header too.", _echo, IN_HEADERS),
)
