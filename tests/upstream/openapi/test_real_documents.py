"""Documents of services that nobody here wrote, each loaded whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from shim.upstream.arguments import compiled
from shim.upstream.openapi.config import OpenApiBlock
from shim.upstream.openapi.document import read
from shim.upstream.openapi.offering import Offering, offering
from tests.parts.fixtures import documents

__all__ = ["documents"]

LEGAL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
BLOCK = OpenApiBlock(openapi="x", base="https://api.example.com", operations=("* /**",))


def loaded(path: Path) -> Offering:
    return offering(read(path.read_bytes()), BLOCK)


@pytest.mark.parametrize(("name", "count"), [("github", 1223), ("directus", 136), ("figma", 54), ("rclone", 101)])
def test_a_real_document_is_offered_whole(documents: Mapping[str, Path], name: str, count: int) -> None:
    made = loaded(documents[name])
    assert made.left_out == ()
    assert len(made.tools) == count
    for tool, held in made.tools.items():
        schema = held.definition["inputSchema"]
        assert LEGAL.fullmatch(tool)
        assert held.definition["name"] == tool
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert all(LEGAL.fullmatch(argument) for argument in schema["properties"])
        compiled(schema)
    # Two operations never go to one place.
    assert len({held.operation.spot for held in made.tools.values()}) == count


def test_a_name_is_its_id_and_stays_it_whatever_else_is_chosen(documents: Mapping[str, Path]) -> None:
    document = read(documents["github"].read_bytes())
    few = offering(document, BLOCK.model_copy(update={"operations": ("GET /repos/*/*", "tag:gists", "!gists_delete*")}))
    assert few.tools["repos_get"].operation.spot == "GET /repos/{owner}/{repo}"
    assert "gists_list" in few.tools
    assert "gists_delete" not in few.tools
    assert few.tools.keys() < loaded(documents["github"]).tools.keys()


def test_references_that_lead_to_themselves_stay_references(documents: Mapping[str, Path]) -> None:
    made = loaded(documents["directus"])
    rounds = [
        name
        for held in made.tools.values()
        for name, schema in held.definition["inputSchema"].get("$defs", {}).items()
        if f"#/$defs/{name}" in str(schema)
    ]
    assert rounds
