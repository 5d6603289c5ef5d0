"""Every command of the README runs from a fresh copy, and prints what the README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.console import Command, agrees, blocks, commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COPIED = (
    "shim",
    "config/shim.yaml",
    "config/shim.schema.json",
    "examples",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
)
LIMIT = 300.0

SERVES = ("make run",)
"""Commands that run until they are told to stop."""

INSIDE = ("make test",)
"""What runs this very test: make is only asked what it would do."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `git clone` and the first `make` give, on a port that is free; the environment is the one that runs here."""
    folder = tmp_path / "mcp-shim"
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "var"))
        else:
            shutil.copy(source, target)
    installed = folder / ".venv"
    installed.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (installed / name).symlink_to(Path(sys.prefix) / name)
    (installed / ".ready").touch()
    config = folder / "config" / "shim.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:8765", f"127.0.0.1:{_free_port()}"))
    return folder


def _environment(folder: Path) -> dict[str, str]:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": f"{folder}/.venv/bin:{os.defpath}:/usr/local/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def _run(folder: Path, text: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout


@contextmanager
def _running(folder: Path, command: str) -> Iterator[str]:
    """One that serves, until the block ends; what it printed until it listened."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            printed.append(line)
            if line.startswith("listening on "):
                break
        yield "".join(printed)
    finally:
        timer.cancel()
        os.killpg(process.pid, 15)
        process.communicate()


def _hold(command: Command, code: int, printed: str, folder: Path) -> None:
    where = f"README.md:{command.line}: $ {command.text}"
    assert code == 0, f"{where} ended with {code}:\n{printed}"
    address = re.search(r"127\.0\.0\.1:\d+", (folder / "config" / "shim.yaml").read_text())
    assert address is not None
    expected = command.output.replace("127.0.0.1:8765", address[0])
    assert not expected or agrees(expected, printed), f"{where} printed:\n{printed}"


def test_every_command_prints_what_the_page_says(copy: Path) -> None:
    first, *rest = commands(README)
    assert first.text in SERVES
    with _running(copy, first.text) as told:
        _hold(first, 0, told, copy)
        _paste(told)
        for command in rest:
            text = command.text.replace("make", "make --dry-run") if command.text in INSIDE else command.text
            _hold(command, *_run(copy, text), copy)


def _paste(told: str) -> None:
    # What the page says to paste is what `make run` says, but for the token and the places.
    told = re.sub(r"mcpshim_[\w-]{43}", "mcpshim_…", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8765", told))
    [claude] = blocks(README, "sh")
    remote, local = blocks(README, "json")
    assert claude.strip() in told
    assert remote.strip() in told
    shim = json.loads(local)["mcpServers"]["mcp-shim"]
    assert re.search(rf"\S+/mcp-shim {' '.join(shim['args'][:3])} --config \S+/config/shim\.yaml", told)


def test_it_runs_again_with_the_same_token_and_says_when_the_port_is_taken(copy: Path) -> None:
    with _running(copy, "make run") as first:
        code, second = _run(copy, "make run")
        assert code != 0
        assert "already in use" in second
    with _running(copy, "make run") as third:
        pass
    tokens = [re.findall(r"mcpshim_[\w-]{43}", told) for told in (first, third)]
    assert tokens[0]
    assert set(tokens[0]) == set(tokens[1])


def test_the_first_allowlist_is_one(tmp_path: Path) -> None:
    [text] = blocks(README, "yaml")
    (tmp_path / "shim.yaml").write_text(text)
    shim = Path(sys.executable).parent / "mcp-shim"
    done = subprocess.run(
        [shim, "check", "--offline", "--config", tmp_path / "shim.yaml"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ok: 2 grants, 1 upstreams")
