"""The sample repository of the tour and of `make run`: a few commits on `main`, and one change not yet committed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_AUTHOR = "Sample Author"
_EMAIL = "author@example.com"
_WHEN = "2026-08-0{day}T10:00:00+00:00"

_HISTORY = (
    ("Begin a list of things to pack", {"packing.md": "# To pack\n\n- passport\n"}),
    ("Remember the charger", {"packing.md": "# To pack\n\n- passport\n- charger\n"}),
    ("Say where we are going", {"README.md": "# A weekend in Trieste\n\nWhat to take stands in packing.md.\n"}),
)
_UNCOMMITTED = {"packing.md": "# To pack\n\n- passport\n- charger\n- an umbrella\n"}


def _git(folder: Path, *arguments: str, day: int = 1) -> None:
    # Nothing of the person's own git configuration, so that hooks, signing and templates of theirs do not act here.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": _WHEN.format(day=day),
        "GIT_COMMITTER_DATE": _WHEN.format(day=day),
    }
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)


def make(folder: Path) -> bool:
    """Make the repository at `folder` unless something is there already; whether it was made.

    Raises FileNotFoundError when there is no git, and CalledProcessError when git cannot do it.
    """
    if folder.exists():
        return False
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made aside and moved into place whole, so that an interrupted run leaves nothing that looks finished.
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _git(making, "init", "--quiet")
        # `init --initial-branch` is younger than some gits in use.
        _git(making, "symbolic-ref", "HEAD", "refs/heads/main")
        _git(making, "config", "user.name", _AUTHOR)
        _git(making, "config", "user.email", _EMAIL)
        for day, (message, files) in enumerate(_HISTORY, start=1):
            for name, text in files.items():
                (making / name).write_text(text)
            _git(making, "add", ".")
            _git(making, "commit", "--quiet", "--message", message, day=day)
        for name, text in _UNCOMMITTED.items():
            (making / name).write_text(text)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return True
