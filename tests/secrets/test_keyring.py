"""The source `keyring`, against the library itself."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from shim.errors import SecretUnavailable
from tests.parts.fixtures import keyring_backends
from tests.promises.running import environment, run, write_config
from tests.secrets.asking import broker, taken

__all__ = ["keyring_backends"]

RING = {"s": {"source": "keyring", "service": "tickets", "user": "bob"}}
CONFIG = """version: 1
upstreams:
  time: {command: [mcp-server-time], env: {TICKETS: "${secret:tickets}"}, catalog: {tickets: tickets}}
secrets:
  tickets: {source: keyring, service: tickets, user: bob}
"""


def configure(home: Path, backend: str, where: Path) -> None:
    """The library's own configuration of a home folder."""
    folder = home / ".config" / "python_keyring"
    folder.mkdir(parents=True)
    (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={backend}\nkeyring-path={where}\n")


async def store(home: Path, value: str) -> None:
    """Put a value into the keyring of a home folder by the library's own command."""
    command = (sys.executable, "-m", "keyring", "set", "tickets", "bob")
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env=environment(home))
    await process.communicate(value.encode())
    assert process.returncode == 0


async def test_an_entry_of_a_real_keyring_is_found_by_the_process(tmp_path: Path, keyring_backends: Path) -> None:
    configure(tmp_path, "keyrings.alt.file.PlaintextKeyring", keyring_backends)
    config = write_config(tmp_path, CONFIG)
    code, out, _ = await run(config, "check", "--json")
    problems = json.loads(out)["problems"]
    assert code == 1
    assert [(problem["line"], problem["level"]) for problem in problems] == [(5, "error")]
    assert "the keyring has nothing for service 'tickets' and user 'bob'" in problems[0]["message"]
    await store(tmp_path, "canary-7f3a9c")
    code, out, err = await run(config, "check", "--json")
    assert (code, [problem["level"] for problem in json.loads(out)["problems"]]) == (0, ["warning"]), err
    assert "canary" not in out + err


async def test_a_keyring_that_never_answers_holds_up_neither_calls_nor_the_end(tmp_path: Path) -> None:
    backend = "import threading\nfrom keyring.backend import KeyringBackend\nclass Waits(KeyringBackend):\n"
    backend += "    priority = 1\n    def get_password(self, service, user):\n        threading.Event().wait()\n"
    backend += "    def set_password(self, service, user, password):\n        raise NotImplementedError\n"
    (tmp_path / "waiting.py").write_text(backend)
    configure(tmp_path, "waiting.Waits", tmp_path)
    script = (
        "import asyncio, sys\n"
        "from shim.errors import SecretUnavailable\n"
        "from tests.secrets.asking import broker, taken\n"
        f"asked = broker({RING!r}, patience=0.2)\n"
        "try:\n    asyncio.run(taken(asked, 's'))\n"
        "except SecretUnavailable as refusal:\n    print(refusal.why)\n"
    )
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdout=asyncio.subprocess.PIPE,
        env={**environment(tmp_path), "PYTHONPATH": str(Path.cwd())},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert out.decode() == "its source (keyring) did not answer within 0.2 s\n"
    assert time.monotonic() - began < 10


class Fails(keyring.backend.KeyringBackend):
    """A backend that does what it is told, so that the library's own words are seen."""

    priority = 1

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = threading.Event()
        self.gate = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.set()
        if self.error is not None:
            raise self.error
        self.gate.wait(20)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def backend() -> Iterator[Fails]:
    before = keyring.get_keyring()
    fails = Fails()
    keyring.set_keyring(fails)
    yield fails
    fails.gate.set()
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (keyring.errors.KeyringLocked("canary"), "the keyring is locked; unlock it"),
        (keyring.errors.NoKeyringError("canary"), "no keyring is running here; start one, or use a file"),
        (keyring.errors.InitError("canary"), "no keyring is running here; start one, or use a file"),
        (keyring.errors.KeyringError("canary"), "the keyring failed (KeyringError)"),
        (OSError("canary"), "the keyring failed (OSError)"),
    ],
)
async def test_how_a_keyring_fails_is_said_without_its_words(backend: Fails, error: Exception, why: str) -> None:
    backend.error = error
    with pytest.raises(SecretUnavailable) as caught:
        await taken(broker(RING), "s")
    assert caught.value.why == why


async def test_a_call_that_is_cancelled_while_its_source_is_asked_takes_nothing_from_others(backend: Fails) -> None:
    asked = broker(RING)
    task = asyncio.ensure_future(taken(asked, "s"))
    assert await asyncio.to_thread(backend.asked.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    backend.gate.set()
    with pytest.raises(SecretUnavailable) as caught:
        await taken(asked, "s")
    assert "the keyring has nothing for service 'tickets'" in caught.value.why


async def test_requests_that_hang_are_bounded_and_the_rest_is_refused_at_once(backend: Fails) -> None:
    asked = broker(RING, patience=0.2)
    outcomes = await asyncio.gather(*(taken(asked, "s") for _ in range(70)), return_exceptions=True)
    whys = [outcome.why for outcome in outcomes if isinstance(outcome, SecretUnavailable)]
    assert len(whys) == 70
    assert whys.count("the keyring was not asked: too many earlier requests still wait for an answer") == 6
