"""What would be refused of every call, told without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shim.upstream.config import UpstreamBlock
from shim.upstream.placing import Placing
from tests.commandline.given import block

PATHS = {
    "/files/{folder}/{name}": {
        "get": {
            "operationId": "t",
            "parameters": [
                {"name": "folder", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "x-trace", "in": "header", "schema": {"type": "string"}},
                {"name": "theme", "in": "cookie", "schema": {"type": "string"}},
                {"name": "q", "in": "query", "schema": {"type": "string"}},
            ],
        }
    }
}
TOOL: dict[str, Any] = {
    "run": ["show", "{word}", "--with={part}", ["{list}"], {"flag": {"true": "-v"}}],
    "stdin": {"json": "{document}"},
    "input": {
        "word": {"type": "string", "maxLength": 200_000},
        "part": {"type": "string", "maxLength": 9},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3, "optional": True},
        "flag": {"type": "boolean", "default": False},
        "document": {"type": "object", "optional": True},
    },
}


def placing(folder: Path) -> Placing:
    (folder / "api.json").write_text(json.dumps({"openapi": "3.1.0", "paths": PATHS}))
    api = {"openapi": str(folder / "api.json"), "base": "https://x", "operations": ["* /**"]}
    fetched = {**api, "openapi": "https://x/api.json"}
    gone = {**api, "openapi": str(folder / "gone.json")}
    blocks = {name: UpstreamBlock.model_validate(one) for name, one in (("api", api), ("at", fetched), ("gone", gone))}
    server = UpstreamBlock.model_validate({"command": ["server"]})
    return Placing({"git": block("git", TOOL), "server": server, **blocks})


@pytest.mark.parametrize(
    ("upstream", "argument", "value", "why"),
    [
        ("git", "word", "-x", "it begins with `-`"),
        ("git", "word", "a\nb", "it holds a control character"),
        ("git", "word", "x" * 140_000, "longer than systems take"),
        ("git", "list", ["a", "-x"], "it begins with `-`"),
        ("git", "part", "\0", "it holds a control character"),
        ("api", "folder", "..", "it would make a segment of dots"),
        ("api", "name", "%2e%2e", "it would make a segment of dots"),
        ("api", "name", "a/b", "it holds a slash"),
        ("api", "name", "", "it is empty"),
        ("api", "x-trace", "a\r\nb: c", "it holds characters that a header cannot"),
        ("api", "theme", "a; admin=1", "it holds characters that a cookie cannot"),
    ],
)
def test_a_value_that_cannot_stand_in_its_place(
    tmp_path: Path, upstream: str, argument: str, value: Any, why: str
) -> None:
    said = placing(tmp_path).misfit(upstream, "t", argument, value)
    assert why in (said or "")
    assert not isinstance(value, str) or value in ("", "..") or value not in (said or "")


@pytest.mark.parametrize(
    ("upstream", "argument", "value"),
    [
        ("git", "word", "x"),
        ("git", "part", "-x"),
        ("git", "list", []),
        ("git", "flag", True),
        ("git", "document", {"a": "-x\n"}),
        ("api", "folder", "a b%"),
        ("api", "q", "a&b=../c"),
        # What nobody knows before a call.
        ("at", "folder", ".."),
        ("gone", "folder", ".."),
        ("server", "word", "-x"),
        ("nobody", "word", "-x"),
    ],
)
def test_a_value_that_can_or_of_which_nothing_is_known(
    tmp_path: Path, upstream: str, argument: str, value: Any
) -> None:
    found = placing(tmp_path)
    assert found.misfit(upstream, "t", argument, value) is None
    assert found.misfit(upstream, "no-such-tool", argument, "-x") is None
