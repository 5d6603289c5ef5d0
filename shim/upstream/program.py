"""The program of a stdio upstream: what a configured command means on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class CannotStart(Exception):
    """The program cannot be started; `str()` says why in words that are safe to show."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `argv[0]` is an absolute path, `env` all the variables it gets, secrets among them."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str


def program(command: tuple[str, ...], env: Mapping[str, str], cwd: str, ours: Mapping[str, str]) -> Program:
    """Find a configured command. Of our own environment it gets PATH, HOME and LANG, no more.

    Without a slash it is looked up in PATH, with one it is relative to `cwd`. Raises CannotStart.
    """
    given = {key: ours[key] for key in ("PATH", "HOME", "LANG") if key in ours} | dict(env)
    given.setdefault("PATH", os.defpath)
    if not Path(cwd).is_dir():
        raise CannotStart("its working directory does not exist")
    wanted = command[0]
    found = shutil.which(str(Path(cwd, wanted)) if "/" in wanted else wanted, path=given["PATH"])
    if found is None:
        raise CannotStart(f"the program {wanted} was not found, or may not be executed")
    return Program((str(Path(found).absolute()), *command[1:]), given, cwd)
