"""What becomes of a program's output: the result of a tool, as MCP has it (specification 2026-07-28, server/tools)."""

from __future__ import annotations

import base64
from typing import Final

from shim import jsontext
from shim.errors import InvalidText
from shim.model import Json, JsonObject
from shim.upstream.arguments import compiled

_NOTHING: Final = "(no output)"
_LISTED: Final[JsonObject] = {"type": "array", "items": {"type": "string"}}


def schema_of(output: str, schema: JsonObject | None) -> JsonObject | None:
    """The tool's output schema; None: it has none. Whatever is no object is the member `result` of one."""
    if output == "lines":
        return _wrapped(_LISTED)
    if output != "json" or schema is None:
        return None
    return _meant(schema) if _is_of_objects(schema) else _wrapped(schema)


def _is_of_objects(schema: JsonObject) -> bool:
    return schema.get("type", "object" if "properties" in schema else None) == "object"


def _meant(schema: JsonObject) -> JsonObject:
    """Who writes `properties` alone means an object, and MCP wants it said."""
    return {"type": "object", **schema} if _is_of_objects(schema) else schema


def least(output: str, written: bytes) -> int:
    """Bytes that the result of a program that ended well has at least, as JSON: told without making it.

    A result may be far larger than what was written, and take long to be made: a list of lines that are empty, above
    all.
    """
    if output != "lines":
        return len(written)
    ends = written.count(b"\n")
    # All of it as text, where each end is escaped; the lines without ends, and two quotes and a comma for each.
    return (len(written) + ends) + (len(written) - ends - written.count(b"\r\n")) + 3 * ends


def result(output: str, schema: JsonObject | None, written: bytes, invocation: str | None) -> JsonObject:
    """Of a program that ended well."""
    match output:
        case "text":
            return {"content": _texts(written)}
        case "lines":
            content = _texts(written)
            return {"content": content, "structuredContent": {"result": _lines(written)}}
        case "json":
            return _json(schema, written)
    data = base64.b64encode(written).decode()
    kind = output.partition("/")[0]
    if kind in ("image", "audio"):
        return {"content": [{"type": kind, "data": data, "mimeType": output}]}
    uri = f"urn:mcp-shim:output:{invocation or 'none'}"
    return {"content": [{"type": "resource", "resource": {"uri": uri, "mimeType": output, "blob": data}}]}


def failed(program: str, code: int, output: str, written: bytes, said: str) -> JsonObject:
    """Of a program that ended otherwise: how, the end of what it said about that, and what it wrote as text."""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    # Where it is installed is nothing for callers.
    first = f"{program.rpartition('/')[2]} {how}." + (f"\n{said}" if said else "")
    content: list[Json] = [{"type": "text", "text": first}]
    if written and "/" not in output:
        content += _texts(written)
    return {"content": content, "isError": True}


def _lines(written: bytes) -> list[Json]:
    # Not `splitlines`, which takes form feeds and a dozen other characters within a line for its end.
    lines = written.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _json(schema: JsonObject | None, written: bytes) -> JsonObject:
    try:
        value = jsontext.parse(written)
    except InvalidText as error:
        return _unfit(f"The program's output is not the JSON that it should be: {error}.")
    is_object = isinstance(value, dict) if schema is None else _is_of_objects(schema)
    if schema is not None and (fault := _fault(_meant(schema), value)) is not None:
        return _unfit(f"The program's output does not fit the tool's output schema: {fault}.")
    return {"content": _texts(written), "structuredContent": value if is_object else {"result": value}}


def _fault(schema: JsonObject, value: Json) -> str | None:
    judge = compiled(schema)
    try:
        if judge.is_valid(value):
            return None
        return next(iter(judge.iter_errors(value))).message[:300]
    except UnicodeEncodeError:
        return "it holds half of a character (a lone surrogate)"


def _unfit(why: str) -> JsonObject:
    return {"content": [{"type": "text", "text": why}], "isError": True}


def _texts(written: bytes) -> list[Json]:
    try:
        return [{"type": "text", "text": written.decode() or _NOTHING}]
    except UnicodeDecodeError:
        text = written.decode("utf-8", "replace")
        note = "Some of the output is no UTF-8 text; what is not stands as \N{REPLACEMENT CHARACTER} above."
        return [{"type": "text", "text": text}, {"type": "text", "text": note}]


def _wrapped(schema: JsonObject) -> JsonObject:
    return {"type": "object", "properties": {"result": schema}, "required": ["result"]}
