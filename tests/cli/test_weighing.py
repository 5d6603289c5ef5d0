"""What the tools of an upstream cost a model."""

from __future__ import annotations

import pytest

from shim import jsontext
from shim.cli.weighing import weights
from shim.model import Prompt, Tool


def tools(count: int, description: str) -> list[Tool]:
    definitions = [{"name": f"t{n}", "description": description} for n in range(count)]
    return [Tool("api", one["name"], f"api__{one['name']}", one, "d") for one in definitions]


@pytest.mark.parametrize(("count", "length", "is_too_much"), [(128, 1, False), (129, 1, True), (2, 110_000, True)])
def test_more_than_a_model_can_take_is_said(count: int, length: int, is_too_much: bool) -> None:
    offered = tools(count, "x" * length)
    found = weights([*offered, Prompt("api", "p", "p", {}, "d")])["api"]
    assert found.tools == count
    assert found.bytes == sum(len(jsontext.dump({**one.definition, "name": one.wire})) for one in offered)
    assert (found.too_much is not None) is is_too_much
    if found.too_much is not None:
        assert f"its {count} tools" in found.too_much
        assert str(found.tokens) in found.too_much
