"""Builds the distributions, and installs the wheel into an empty environment as a stranger's machine would."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.parts.install import ROOT, installed, run

LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
LIMIT = 300.0


@dataclass(frozen=True, slots=True)
class Built:
    """The two files that a release uploads."""

    wheel: Path
    sdist: Path


def build(source: Path, target: Path) -> Built:
    """Build both from a source tree, without the network: the backend is installed with the project's tests."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", target],
        cwd=source,
        check=True,
        timeout=LIMIT,
        stdout=subprocess.DEVNULL,
    )
    [wheel], [sdist] = target.glob("*.whl"), target.glob("*.tar.gz")
    return Built(wheel, sdist)


def unpacked(sdist: Path, target: Path) -> Path:
    """The source tree that an sdist holds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(target)  # our own archive; `filter` came with Python 3.11.4
    [folder] = target.iterdir()
    return folder


def wheelhouse(wheel: Path) -> Path:
    """Wheels of all that the wheel says it needs, at the locked versions: fetched once. Raises MissingPart."""

    def fetch(folder: Path) -> None:
        # A path followed by brackets is this very file with an extra of it.
        pip: list[str | Path] = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        where: list[str | Path] = ["--constraint", LOCK, "--wheel-dir", folder]
        run([*pip, *where, f"{wheel}[demo]"], "cannot fetch what the wheel needs: check the network")
        for own in folder.glob("mcp_shim-*"):
            own.unlink()

    return installed("wheelhouse", [PROJECT, LOCK], fetch)


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel and what it needs, and a home and a folder that were empty before."""

    bin: Path
    home: Path
    folder: Path

    def environment(self) -> dict[str, str]:
        """What the command finds there: the system, and nothing of this checkout."""
        path = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8"}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command, started in the folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done


def install(wheel: Path, target: Path) -> Installed:
    """A new environment, and the wheel in it. What it needs comes from its own metadata, resolved by pip offline."""
    houses = wheelhouse(wheel)
    home, folder = target / "home", target / "folder"
    home.mkdir()
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", target / "venv"], check=True, timeout=LIMIT)
    made = Installed(target / "venv" / "bin", home, folder)
    pip = (str(made.bin / "python"), "-m", "pip", "install", "--no-compile", "--quiet", "--no-index")
    made.run(*pip, "--find-links", str(houses), f"{wheel}[demo]")
    return made
