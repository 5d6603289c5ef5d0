"""Which texts of a block are paths, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shim.paths import KEY, LOCATION, PATH, PROGRAM, absolute, paths
from shim.units import Block


class Inner(Block):
    under: Annotated[str, PATH] | None = None
    name: str = "n"


class Outer(Block):
    file: Annotated[str, PATH]
    program: Annotated[str, PROGRAM]
    key: Annotated[str, KEY] | None = None
    document: Annotated[str, LOCATION] | None = None
    folders: tuple[Annotated[str, PATH], ...] = ()
    tools: dict[str, Inner] = Field(default_factory=dict)
    plain: tuple[str, ...] = ()


def test_marked_texts_are_absolute_wherever_they_stand_and_others_stay() -> None:
    block = Outer(
        file="a/../b",
        program="bin/x",
        key="file:k",
        document="d.json",
        folders=("bin", "/bin"),
        tools={"one": Inner(under="u", name="u")},
        plain=("a/b",),
    )
    found = absolute(block, Path("/srv"))
    assert (found.file, found.program, found.key, found.document) == (
        "/srv/a/../b",
        "/srv/bin/x",
        "file:/srv/k",
        "/srv/d.json",
    )
    assert (found.folders, found.tools["one"], found.plain) == (
        ("/srv/bin", "/bin"),
        Inner(under="/srv/u", name="u"),
        ("a/b",),
    )
    assert list(paths(found)) == [(("file",), "/srv/a/../b"), (("key",), "/srv/k")]


def test_what_is_no_path_by_its_shape_stays() -> None:
    block = Outer(file="/a", program="git", key="keyring:", document="https://example.com/d.json")
    assert absolute(block, Path("/srv")) == block
