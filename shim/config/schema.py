"""The JSON Schema of the configuration, for editors: what this version accepts, made from the blocks themselves.

`python -m shim.config.schema` writes it to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from shim.config.document import Main
from shim.model import Json, JsonObject

_SCALARS = ["string", "number", "boolean"]
"""A scalar is read by the type that its key expects, so text may be written without quotes whatever it looks like."""

_NAMED = ("properties", "patternProperties", "$defs")


def schema() -> JsonObject:
    """A JSON Schema (draft 2020-12) of the main file; defaults are those of the configuration contract."""
    made = Main.model_json_schema(mode="validation")
    _loosen(made)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "mcp-shim configuration",
        "description": "What stands in front of which MCP servers, for whom, and on which terms.",
    }


def text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _loosen(node: Json) -> None:
    """Say of each value how it may be written, where the model says only what it becomes."""
    if isinstance(node, list):
        for item in node:
            _loosen(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if "anyOf" in node:
        # Absent is not the same as null: a key that is written has a value.
        node.update(next(choice for choice in node.pop("anyOf") if choice != {"type": "null"}))
    if node.get("type") == "string" and "enum" not in node:
        node["type"] = _SCALARS
    elif node.get("type") in ("array", "object"):
        # What is left empty is an empty list or mapping.
        node["type"] = [node["type"], "null"]
    if "patternProperties" in node:
        node["additionalProperties"] = False
    # What editors, whose patterns are JavaScript's, cannot read is left to the loader.
    node.pop("gt", None)
    if "\\U" in str(node.get("pattern", "")):
        del node["pattern"]
    if "default" in node and not _is_written_so(node["default"], node.get("type")):
        del node["default"]
    for each in _below(node):
        _loosen(each)


def _below(node: JsonObject) -> Iterator[Json]:
    for key, value in node.items():
        # What stands below these is named by the configuration: a key may be called as a keyword is.
        if key in _NAMED and isinstance(value, dict):
            yield from value.values()
        else:
            yield value


def _is_written_so(default: Json, kind: Json) -> bool:
    # A duration is seconds inside and `2m` in the text; a block's default is those of its keys.
    return isinstance(default, list | str | bool) or (isinstance(default, int) and kind == "integer")


if __name__ == "__main__":
    sys.stdout.write(text())
