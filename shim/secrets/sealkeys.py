"""`key` of a source that keeps what people gave: where the key is that seals it, and how one is made."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from shim.errors import RecordUnavailable
from shim.secrets.aside import Aside
from shim.secrets.file import read
from shim.secrets.keyring import keep, look_up
from shim.secrets.sealed import Sealer
from shim.secrets.source import KEY, Around, Unavailable
from shim.store.files import open_private, private_folder, sync, sync_folder

_USE: Final = "mcp-shim given"
_SHORTEST: Final = 32
_SERVICE: Final = "mcp-shim"


def _known(text: str) -> str:
    if text.startswith("vault:"):
        raise ValueError('`key` in a vault is not supported by this version; write file:PATH, or "keyring:"')
    if text != "keyring:" and not (text.startswith("file:") and len(text) > len("file:") and "\0" not in text):
        raise ValueError('`key` says where the key is that seals what people give: file:PATH, or "keyring:" in quotes')
    return text


KeyText = Annotated[str, AfterValidator(_known), KEY]
"""`file:PATH`, whose path is absolute once the configuration is read, or `keyring:`."""


class SealKey:
    """The key of one source: read once, and made when it is missing and nothing is sealed with it yet."""

    def __init__(self, source: str, key: str, around: Around) -> None:
        self._random = around.random
        self._path = key.removeprefix("file:") if key.startswith("file:") else None
        self._user = f"key of {source}"
        self._aside: Aside[bytes] = Aside("the key that seals what people give")
        self._sealer: Sealer | None = None

    async def sealer(self, *, make: bool) -> Sealer:
        """Who seals with it. `make`: it may be made. Raises Unavailable."""
        if self._sealer is None:
            key = await self._aside.run(lambda: self._found(make=make))
            if len(key) < _SHORTEST:
                raise Unavailable(f"{self._where} is shorter than {_SHORTEST} bytes; take a longer one")
            self._sealer = Sealer(key, _USE, self._random)
        return self._sealer

    @property
    def _where(self) -> str:
        return self._path or f"the key in the keyring (service {_SERVICE}, user {self._user!r})"

    def _found(self, *, make: bool) -> bytes:
        if self._path is None:
            return self._in_keyring(make=make)
        path = Path(self._path)
        if not os.path.lexists(path):
            if not make:
                raise self._missing()
            _made(path, self._fresh())
        return read(self._path).strip()

    def _fresh(self) -> bytes:
        return b64encode(self._random(_SHORTEST))

    def _missing(self) -> Unavailable:
        return Unavailable(f"{self._where} is missing, with which it is sealed; put it back, or have it given again")

    def _in_keyring(self, *, make: bool) -> bytes:
        value = look_up(_SERVICE, self._user)
        if value is None:
            if not make:
                raise self._missing()
            keep(_SERVICE, self._user, self._fresh().decode())
            # What is there now: another process may have been quicker.
            value = look_up(_SERVICE, self._user)
        return (value or "").encode("utf-8", "surrogatepass")


def _made(path: Path, content: bytes) -> None:
    """Whole or not at all, and never in place of one that another process made meanwhile."""
    try:
        private_folder(path.parent)
        making = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = open_private(making, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, content + b"\n")
            sync(descriptor)
            os.link(making, path)
        except FileExistsError:
            return
        finally:
            os.close(descriptor)
            making.unlink()
        sync_folder(path.parent)
    except RecordUnavailable as error:
        raise Unavailable(f"the key cannot be made: {error}") from None
    except OSError as error:
        raise Unavailable(f"the key {path} cannot be made: {error.strerror}") from None
