"""What every kind of upstream is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shim.upstream.folders import Folders
from shim.upstream.guarding import Guards
from shim.upstream.session import Spawn


@dataclass(frozen=True, slots=True)
class Making:
    """`folder` is what paths are relative to, and where programs run; `environment` is the shim's own, of which
    programs get no more than PATH, HOME and LANG. `guards` starts children, and `folders` makes what only one call has.
    `hiding` takes values out of the lines of a child that has them.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    guards: Guards
    folders: Folders
    spawn: Spawn
    hiding: Callable[[Mapping[str, str]], Callable[[str], str]]
