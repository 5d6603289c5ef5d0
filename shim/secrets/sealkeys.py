"""`key` of a source that keeps what people gave: where the key is that seals it, and how one is made."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Protocol

from pydantic import AfterValidator

from shim import jsontext
from shim.errors import InvalidText, RecordUnavailable
from shim.model import JsonObject
from shim.paths import KEY
from shim.sealed import Sealer
from shim.secrets.aside import Aside
from shim.secrets.file import read
from shim.secrets.keyring import keep, look_up
from shim.secrets.source import Around, Unavailable
from shim.secrets.vault import Vault
from shim.store.files import open_private, private_folder, sync, sync_folder

_USE: Final = "mcp-shim given"
_SHORTEST: Final = 32
_SERVICE: Final = "mcp-shim"
_IN_VAULT: Final = re.compile(r"vault:([^/\s]+)/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})")


def _known(text: str) -> str:
    is_file = text.startswith("file:") and len(text) > len("file:") and "\0" not in text
    if text != "keyring:" and not is_file and not _IN_VAULT.fullmatch(text):
        raise ValueError(
            "`key` says where the key is that seals what people give: file:PATH, vault:SOURCE/KEY (of the engine "
            'transit), or "keyring:" in quotes'
        )
    return text


KeyText = Annotated[str, AfterValidator(_known), KEY]
"""`file:PATH`, whose path is absolute once the configuration is read, `vault:SOURCE/KEY`, or `keyring:`."""


class SealKey(Protocol):
    """Seals what people give to one source, each bound to what it is about. Raises Unavailable."""

    async def seal(self, about: bytes, content: JsonObject, *, make: bool) -> bytes:
        """`make`: the key may be made, for nothing is sealed with it yet."""

    async def open(self, about: bytes, sealed: bytes) -> JsonObject | None:
        """What was sealed about this; None where another key sealed it."""


def seal_key(source: str, key: str, around: Around) -> SealKey:
    """The key of a source, where that says that it is."""
    found = _IN_VAULT.fullmatch(key)
    return InVault(found[1], found[2], around.sources) if found is not None else Local(source, key, around)


def vault_of(key: str) -> str | None:
    """The source of type vault that a key is in; None where it is in none."""
    found = _IN_VAULT.fullmatch(key)
    return found[1] if found is not None else None


class InVault:
    """A key that never leaves the vault: what is sealed goes there to be opened, each time."""

    def __init__(self, source: str, key: str, sources: Callable[[str], object]) -> None:
        self._source = source
        self._key = key
        self._sources = sources

    async def seal(self, about: bytes, content: JsonObject, *, make: bool) -> bytes:  # noqa: ARG002 (Vault decides)
        """See `SealKey`."""
        return await self._vault.sealed(self._key, about, jsontext.dump(content))

    async def open(self, about: bytes, sealed: bytes) -> JsonObject | None:
        """See `SealKey`."""
        plain = await self._vault.opened(self._key, about, sealed)
        try:
            return jsontext.parse_object(plain) if plain is not None else None
        except InvalidText:
            return None

    @property
    def _vault(self) -> Vault:
        vault = self._sources(self._source)
        if not isinstance(vault, Vault):
            raise Unavailable(f"no source of type vault is named {self._source}, where its key is")
        return vault


class Local:
    """A key in a file or the keyring: read once, and made when it is missing and nothing is sealed with it yet."""

    def __init__(self, source: str, key: str, around: Around) -> None:
        self._random = around.random
        self._path = key.removeprefix("file:") if key.startswith("file:") else None
        self._user = f"key of {source}"
        self._aside: Aside[bytes] = Aside("the key that seals what people give")
        self._sealer: Sealer | None = None

    async def seal(self, about: bytes, content: JsonObject, *, make: bool) -> bytes:
        """See `SealKey`."""
        return (await self._ready(make=make)).seal(about, content)

    async def open(self, about: bytes, sealed: bytes) -> JsonObject | None:
        """See `SealKey`."""
        return (await self._ready(make=False)).open(about, sealed)

    async def _ready(self, *, make: bool) -> Sealer:
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
