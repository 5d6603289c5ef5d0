"""The parts that others wrote are there, and are what they are taken for."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts import install, peers
from tests.parts.fixtures import legacy_python, node
from tests.parts.odd import ROOT, odd_argv
from tests.promises.wire import Era, stdio

__all__ = ["legacy_python", "node"]


@pytest.mark.usefixtures("legacy_python")
async def test_the_sqlite_server_speaks_the_handshake_alone(tmp_path: Path) -> None:
    argv = peers.sqlite_server(tmp_path / "data.db")
    async with stdio(argv, "legacy") as there:
        tools = (await there.request("tools/list"))["result"]["tools"]
    assert "read_query" in {tool["name"] for tool in tools}
    async with stdio(argv, "modern") as there:
        assert (await there.request("server/discover"))["error"]["code"] == -32602


async def test_the_everything_server_speaks_the_handshake(node: peers.Node) -> None:
    async with stdio(node.everything(), "legacy") as there:
        tools = (await there.request("tools/list"))["result"]["tools"]
    assert "echo" in {tool["name"] for tool in tools}


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_calls_a_tool(node: peers.Node, era: Era, tmp_path: Path) -> None:
    argv = [*node.inspector(), "--protocol-era", era, "--method", "tools/call", "--tool-name", "structured"]
    process = await asyncio.create_subprocess_exec(
        *argv,
        "--cwd",
        str(ROOT),
        *odd_argv(era),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=install.environment({"HOME": str(tmp_path)}),
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["structuredContent"]["humidity"] == 65


def test_a_part_that_cannot_be_had_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(install.MissingPart, match="do this and that") as caught:
        install.run(["/bin/sh", "-c", "echo the last words; exit 3"], "do this and that", cwd=tmp_path)
    assert "the last words" in str(caught.value)


def test_a_part_is_built_once_and_again_only_when_its_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "PARTS", tmp_path / "parts")
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1\n")
    built: list[str] = []

    def build(folder: Path) -> None:
        assert not list(folder.iterdir())
        (folder / "whole").touch()
        built.append(pins.read_text())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: install.installed("part", [pins], build), range(4)))
    assert built == ["a==1\n"]
    pins.write_text("a==2\n")
    install.installed("part", [pins], build)
    assert built == ["a==1\n", "a==2\n"]


def test_an_interrupted_build_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "PARTS", tmp_path / "parts")
    pins = tmp_path / "pins.txt"
    pins.touch()

    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install.installed("part", [pins], interrupted)
    folder = install.installed("part", [pins], lambda folder: (folder / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]
