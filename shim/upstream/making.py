"""What every kind of upstream is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shim.upstream.folders import Folders
from shim.upstream.guarding import Guards
from shim.upstream.session import Spawn
from shim.upstream.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Making:
    """`folder` is what paths are relative to, and where programs run; `environment` is the shim's own, of which
    programs get no more than PATH, HOME and LANG. `watchdog` ends children that outlive the shim. `folders` makes what
    only one call has, `guards` starts what runs for one call. `hiding` takes values out of the lines of a child that
    has them.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    watchdog: Watchdog
    folders: Folders
    guards: Guards
    spawn: Spawn
    hiding: Callable[[Mapping[str, str]], Callable[[str], str]]
