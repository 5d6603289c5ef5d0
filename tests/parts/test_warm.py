"""What is started by a fork is as what is started from nothing: by all that it is given, and all that it gives."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.parts import warm
from tests.promises.running import SHIM, environment

TELLS = """
import os, sys
print(sys.argv[1:], os.getcwd(), sorted(os.environ.items()), sys.stdin.read(), sys.stdout.encoding)
print("no", file=sys.stderr)
sys.exit(7)
"""


@pytest.fixture(params=[False, True], ids=["forked", "cold"])
def cold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(warm, "COLD", request.param)
    return bool(request.param)


async def test_it_has_what_it_was_given_and_nothing_else(cold: bool, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    given = {"LANG": "C.UTF-8", "ONE": "1"}
    argv = (sys.executable, "-m", "tells", "a", "b c")
    code, out, err = await warm.run(argv, given, b"in", folder=tmp_path)
    assert (code, err) == (7, "no\n")
    assert out == f"['a', 'b c'] {tmp_path} {sorted(given.items())} in utf-8\n"


async def test_the_command_says_and_ends_as_it_does(cold: bool, tmp_path: Path) -> None:
    assert (await warm.run((SHIM, "--version"), environment(tmp_path)))[0] == 0
    code, out, err = await warm.run((SHIM, "log", "nothing"), environment(tmp_path))
    assert (code, out) == (2, "")
    assert "No such command 'nothing'" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_signal_ends_it_and_is_how_it_ended(cold: bool, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import signal\nprint('here', flush=True)\nsignal.pause()\n")
    pipe = asyncio.subprocess.PIPE
    process = await warm.start((sys.executable, "-m", "waits"), {}, stdin=pipe, stdout=pipe, folder=tmp_path)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    process.send_signal(number)
    assert await process.wait() == process.returncode == -number
