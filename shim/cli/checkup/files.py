"""Where the files are, whose they are, and who else can read or write them."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shim.cli.checkup.checks import Check, Section, counted
from shim.errors import ConfigurationError

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_say = Section("files")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file or folder that matters. `private`: nobody else may read it; nobody else may write any of them."""

    name: str
    path: Path
    private: bool = True


def checks(configuration: Configuration) -> Iterator[Check]:
    """All lines of the section for a configuration that could be read.

    Of a secret that is not there only the section on secrets speaks, and of faults in the configuration standard error.
    """
    for kept in _kept(configuration):
        if kept.name not in ("secret", "secrets folder") or kept.path.exists():
            yield look(kept)


def unread(path: Path, fault: ConfigurationError | None) -> Iterator[Check]:
    """What there is to say of a configuration that could not be read."""
    path = path.absolute()
    if not os.path.lexists(path):
        yield _say.error("configuration", f"there is none at {path}", "mcp-shim init writes one; or name it: --config")
        return
    yield look(Kept("configuration", path, private=False))
    if fault is not None:
        text = f"it cannot be used: {counted(len(fault.problems), 'fault')}"
        yield _say.error("configuration", text, "mend what stands on standard error, line by line")


def look(kept: Kept) -> Check:
    """Who can do what with one of them. A link is followed: what counts is what it leads to."""
    path = kept.path
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            return _say.error(kept.name, f"{path} is a link to nothing", f"rm {_quoted(path)}, or mend where it leads")
        return _say.info(kept.name, f"{path}: not there yet")
    except OSError as error:
        return _say.error(kept.name, f"{path} cannot be looked at: {error.strerror}", f"ls -ld {_quoted(path)}")
    text = f"{path} ({_owner(found.st_uid)}, {stat.S_IMODE(found.st_mode):04o})"
    if path.is_symlink():
        text += f", a link to {os.path.realpath(path)}"
    if wrong := _wrong(kept, found):
        return _say.error(kept.name, f"{text}: {wrong}", _remedy(kept, found))
    if found.st_uid not in (os.geteuid(), 0):
        return _say.warning(kept.name, f"{text}: it belongs to somebody else", f"chown {os.geteuid()} {_quoted(path)}")
    return _say.ok(kept.name, text)


def _kept(configuration: Configuration) -> Iterator[Kept]:
    yield Kept("configuration", configuration.path, private=False)
    included = [configuration.folder / name for name, _ in configuration.texts[1:]]
    for path in included:
        yield Kept("include", path, private=False)
    yield Kept("tokens", configuration.tokens, private=False)
    yield from _folders("configuration folder", [configuration.path, *included])
    secrets = [Path(block.path) for block in configuration.secrets.values() if block.source == "file" and block.path]
    for path in dict.fromkeys(secrets):
        yield Kept("secret", path)
    yield from _folders("secrets folder", secrets)
    yield from _of_the_record(configuration)


def _of_the_record(configuration: Configuration) -> Iterator[Kept]:
    from shim.record.checkpoints import file_path, key_path
    from shim.store.files import sidecar

    store = Path(configuration.store.path)
    key = Path(configuration.record.key) if configuration.record.key is not None else key_path(store)
    yield Kept("store", store)
    for suffix in ("-wal", "-shm"):
        if os.path.lexists(beside := sidecar(store, suffix)):
            yield Kept("store", beside)
    yield Kept("key", key)
    yield Kept("checkpoints", file_path(store))
    yield from _folders("store folder", [store])


def _folders(name: str, files: Iterable[Path]) -> Iterator[Kept]:
    # Who can write a folder can put another file under the name of one in it.
    for folder in dict.fromkeys(file.parent for file in files):
        yield Kept(name, folder, private=False)


def _wrong(kept: Kept, found: os.stat_result) -> str | None:
    mode = found.st_mode
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    writers = [] if sticky else _who(mode, stat.S_IWGRP, stat.S_IWOTH)
    readers = _who(mode, stat.S_IRGRP, stat.S_IROTH) if kept.private else []
    parts = [f"{' and '.join(who)} can {verb} it" for who, verb in ((readers, "read"), (writers, "write")) if who]
    return ", ".join(parts) or None


def _who(mode: int, group: int, others: int) -> list[str]:
    return [name for bit, name in ((group, "group"), (others, "others")) if mode & bit]


def _remedy(kept: Kept, found: os.stat_result) -> str:
    how = "go-w" if not kept.private else ("700" if stat.S_ISDIR(found.st_mode) else "600")
    return f"chmod {how} {_quoted(kept.path)}"


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
