"""Where `init` keeps the keys that it found: files beside the configuration, or the system's keyring."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from shim.cli.errors import problem
from shim.cli.making import Making

SERVICE = "mcp-shim"

_OCCUPIED = ""
"""The value of what holds none that could be used: no key is empty."""


class Keeping(Protocol):
    """A place for keys."""

    def where(self, name: str) -> str:
        """Where a secret of this name is, for people."""

    def to_give(self, name: str) -> str:
        """How somebody puts a value there: "put it into …"."""

    def standing(self, name: str) -> str | None:
        """The value that a secret of this name has there; None: the name is free. Raises Stop."""

    def source(self, name: str) -> Mapping[str, str]:
        """What a secret's block in the configuration says."""

    def keep(self, secrets: Mapping[str, str], awaited: Sequence[str], making: Making) -> None:
        """Put them there, those that are not there already, and make room for those that somebody will. Raises Stop."""


class Files:
    """One file a key in the folder `secrets` beside the configuration; `shown` is that folder for people."""

    def __init__(self, folder: Path, shown: str) -> None:
        self._folder = folder
        self._shown = shown

    def where(self, name: str) -> str:
        return f"{self._shown}/{name}"

    def to_give(self, name: str) -> str:
        return f"put it into {self.where(name)}, for you alone (chmod 600)"

    def standing(self, name: str) -> str | None:
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return _OCCUPIED
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077 or found.st_uid != os.geteuid():
                return _OCCUPIED
            return _value(file.read(_LONGEST + 1).decode("utf-8", "replace"))

    def source(self, name: str) -> Mapping[str, str]:
        return {"source": "file", "path": f"secrets/{name}"}

    def keep(self, secrets: Mapping[str, str], awaited: Sequence[str], making: Making) -> None:
        if not secrets and not awaited:
            return
        if making.private_folder(self._folder):
            # Configurations are often kept under version control; keys never are.
            making.file(self._folder / ".gitignore", "*\n")
        for name, value in secrets.items():
            if self.standing(name) != value:
                making.file(self._folder / name, f"{value}\n" if value.endswith("\n") else value)


_LONGEST = 64 * 1024


def _value(text: str) -> str:
    # As the source `file` reads it.
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


class Keyring:
    """The system's keyring, service `mcp-shim`. Raises Stop where there is none."""

    def __init__(self) -> None:
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError:
            raise problem("--keyring needs the extra: pip install 'mcp-shim[keyring]'") from None
        self._keyring, self._error = keyring, KeyringError
        # Asked once for nothing, so that a keyring that cannot be used is known before anything is made.
        self.standing(SERVICE)

    def where(self, name: str) -> str:
        return f"the keyring (service {SERVICE}, user {name})"

    def to_give(self, name: str) -> str:
        # The command `keyring` is not in PATH where an installer hides what a program brings along.
        return f"put it there with `{shlex.quote(sys.executable)} -m keyring set {SERVICE} {name}`"

    def standing(self, name: str) -> str | None:
        try:
            return self._keyring.get_password(SERVICE, name)
        except (self._error, OSError, RuntimeError) as error:
            raise _no_keyring(error) from None

    def source(self, name: str) -> Mapping[str, str]:
        return {"source": "keyring", "service": SERVICE, "user": name}

    def keep(self, secrets: Mapping[str, str], _awaited: Sequence[str], making: Making) -> None:
        for name, value in secrets.items():
            if self.standing(name) == value:
                continue
            making.otherwise(partial(self._forget, name))
            try:
                self._keyring.set_password(SERVICE, name, value)
            except (self._error, OSError, RuntimeError) as error:
                raise _no_keyring(error) from None
            if self.standing(name) != value:
                raise problem("the keyring does not keep what it is given; leave --keyring out")

    def _forget(self, name: str) -> None:
        try:
            self._keyring.delete_password(SERVICE, name)
        except self._error as error:
            raise OSError(str(error)) from None


def _no_keyring(error: Exception) -> Exception:
    return problem(
        f"the keyring cannot be used ({type(error).__name__}); unlock it or start one, or leave --keyring out"
    )
