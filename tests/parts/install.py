"""Installing what tests need and the project does not depend on: once, pinned, under `.parts` of the checkout.

Each part is built whole and then marked; a build that was interrupted is thrown away and begun again. Several test
runs may ask at once: one builds, the others wait. Where something cannot be had, MissingPart says in one line how to
get it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / ".parts"
LOCKS = Path(__file__).parent / "locks"
PATIENCE = 900.0
"""Seconds for one command of an installation, and for another process's installation to end."""

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class MissingPart(Exception):
    """A part that cannot be had here; the message is one line that says what to do."""


@contextmanager
def _alone(name: str) -> Iterator[None]:
    PARTS.mkdir(exist_ok=True)
    deadline = time.monotonic() + PATIENCE
    with (PARTS / f"{name}.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise MissingPart(f"another process has been installing {name} for too long: end it") from None
                # Another process builds; there is nothing that would wake us but its end.
                time.sleep(0.1)
        yield


def installed(name: str, pins: Sequence[Path], build: Callable[[Path], None]) -> Path:
    """The folder of a part, built if it is not there or was built from other pins (the texts of these files).

    `build` fills the folder, which exists and is empty. Raises MissingPart.
    """
    digest = hashlib.sha256(sys.version.encode())
    for pin in pins:
        digest.update(pin.read_bytes())
    folder, mark = PARTS / name, PARTS / f"{name}.ready"
    with _alone(name):
        if mark.exists() and mark.read_text() == digest.hexdigest() and folder.is_dir():
            return folder
        mark.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        build(folder)
        mark.write_text(digest.hexdigest())
    return folder


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of an installation: the caller's, with a home of ours where there is none."""
    result = {**os.environ, **(more or {})}
    if not Path(result.get("HOME", "")).is_dir() or not result.get("HOME"):
        home = PARTS / "home"
        home.mkdir(parents=True, exist_ok=True)
        result["HOME"] = str(home)
    if "NODE_EXTRA_CA_CERTS" not in result:
        # Node brings its own list and ignores the system's, where a site's own authority would be.
        bundle = next((path for path in _BUNDLES if Path(path).exists()), None)
        if bundle is not None:
            result["NODE_EXTRA_CA_CERTS"] = bundle
    return result


def run(command: Sequence[str | Path], advice: str, *, more: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
    """One command of an installation. Raises MissingPart: its last words, and the advice."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=environment(more),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPart(f"{advice} ({error})") from None
    if done.returncode != 0:
        words = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        raise MissingPart(f"{advice} ({words[-1] if words else f'exit code {done.returncode}'})")


def venv(name: str, pins: Path, *, compiled: bool = True) -> Path:
    """A virtual environment of its own with exactly the packages of a pip freeze; the folder. Raises MissingPart.

    `compiled`: whether all of them are compiled at once, and not each module when it is first imported.
    """

    def build(folder: Path) -> None:
        advice = f"cannot install {pins.name} from the package index: check the network or pip's configuration"
        # This interpreter's own pip installs there: another for each takes longer than what it installs.
        without = f"python -m venv does not work: install it for {sys.executable}"
        run([sys.executable, "-m", "venv", "--without-pip", folder], without)
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", *([] if compiled else ["--no-compile"])]
        run([*pip, *options, "--requirement", pins], advice)

    return installed(name, [pins], build)
