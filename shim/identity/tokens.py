"""Making, listing and revoking API tokens: what `mcp-shim token` does to `tokens.yaml`.

A token is `mcpshim_` and the base64url of 32 random bytes. It is shown once; the file gets its SHA-256. The file is
replaced as a whole, under a lock, so that two that write at once both keep what they wrote and a reader sees either
the old file or the new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from pydantic import ValidationError

from shim.errors import ShimError
from shim.identity import tokenfile
from shim.identity.config import IdentityBlock, TokenBlock
from shim.identity.expiry import instant, written
from shim.model import Json
from shim.units import seconds

DEFAULT_EXPIRY = "90d"
_HEADER = "# Digests of API tokens, written by `mcp-shim token`. Revoke one with `mcp-shim token revoke ID`.\n"
_PATIENCE = 10.0
_PAUSE = 0.02


class TokenError(ShimError):
    """What was asked of the tokens cannot be done; `str()` says why, for a person."""


class UnknownIdentity(TokenError):
    """The configuration has no identity of that name."""


class UnknownToken(TokenError):
    """No token has that id."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token. `token` is the secret itself and is kept nowhere; `expires` is RFC 3339, None: never."""

    id: str
    token: str
    identity: str
    expires: str | None
    run: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """One token as it is listed: never its digest. Times are text as they stand in the file."""

    id: str
    identity: str
    run: str | None
    created: str | None
    expires: str | None


def new(
    path: Path,
    identities: Mapping[str, IdentityBlock],
    identity: str,
    *,
    now: datetime,
    random: Callable[[int], bytes],
    expires: str = DEFAULT_EXPIRY,
    run: str | None = None,
) -> Issued:
    """Make a token for an identity and write its digest to `tokens.yaml`; `expires` is a duration, a date or `never`.

    `random(n)` gives n bytes fit for secrets. Raises UnknownIdentity; TokenError for an `expires` or `run` that cannot
    be, or when the file cannot be written or is busy; TokenFileError when what stands there cannot be believed.
    """
    if identity not in identities:
        raise UnknownIdentity(f"the configuration has no identity {identity!r}")
    if identities[identity].name is not None:
        raise UnknownIdentity(
            f"{identity} is many persons, who prove themselves by JWTs: make a token for an identity of its own"
        )
    token = "mcpshim_" + urlsafe_b64encode(random(32)).rstrip(b"=").decode("ascii")
    digest = hashlib.sha256(token.encode("ascii")).hexdigest()
    end = _end(expires, now)
    with _writing(path) as entries:
        taken = {
            block.id for blocks in (*entries.values(), *(b.tokens for b in identities.values())) for block in blocks
        }
        block = _entry(_fresh_id(random, taken), digest, end, run, written(now))
        entries[identity] = (*entries.get(identity, ()), block)
    return Issued(block.id, token, identity, block.expires, run)


def listed(path: Path, identities: Mapping[str, IdentityBlock]) -> list[Listed]:
    """All tokens: those of the configuration, then those of `tokens.yaml`. Raises TokenFileError."""
    entries = tokenfile.read(path).entries
    configured = [(name, block.tokens) for name, block in identities.items()]
    return [
        Listed(token.id, name, token.run, token.created, token.expires)
        for name, tokens in (*configured, *entries.items())
        for token in tokens
    ]


def revoke(path: Path, identities: Mapping[str, IdentityBlock], token_id: str) -> str:
    """Take a token out of `tokens.yaml`; the name of the identity that it proved. It fails from the next request on.

    Raises UnknownToken; TokenError for one that stands in the configuration itself, which is a person's to edit, or
    when the file cannot be written or is busy; TokenFileError when what stands there cannot be believed.
    """
    for name, block in identities.items():
        if any(token.id == token_id for token in block.tokens):
            raise TokenError(
                f"the token {token_id} stands in the configuration, under identities.{name}.tokens: take it out there"
            )
    with _writing(path) as entries:
        for name, tokens in entries.items():
            kept = tuple(token for token in tokens if token.id != token_id)
            if kept != tokens:
                entries[name] = kept
                return name
        raise UnknownToken(f"no token has the id {token_id!r}")


def _end(expires: str, now: datetime) -> str | None:
    if expires == "never":
        return None
    try:
        return written(now + timedelta(seconds=seconds(expires)))
    except OverflowError:
        raise TokenError(f"{expires!r} is too long; write `never` for a token without an end") from None
    except ValueError:
        pass
    try:
        end = instant(expires)
    except ValueError:
        message = f"{expires[:60]!r} is no expiry; write a duration (90d), a date (2027-06-01), or `never`"
        raise TokenError(message) from None
    if end <= now:
        raise TokenError(f"{expires!r} is in the past")
    return expires


def _fresh_id(random: Callable[[int], bytes], taken: Collection[str]) -> str:
    while True:
        fresh = "t" + random(5).hex()
        if fresh not in taken:
            return fresh


def _entry(token_id: str, digest: str, end: str | None, run: str | None, created: str) -> TokenBlock:
    try:
        return TokenBlock(id=token_id, sha256=digest, expires=end, run=run, created=created)
    except ValidationError:
        raise TokenError("a run's name has 1 to 128 characters and no control characters") from None


@contextmanager
def _writing(path: Path) -> Iterator[dict[str, tuple[TokenBlock, ...]]]:
    """The entries of the file, to be changed; written when the block ends without an error."""
    try:
        with _locked(path.parent):
            if path.is_symlink():
                raise TokenError(f"{path} is a symbolic link and is not followed; put the file itself there")
            entries = dict(tokenfile.read(path).entries)
            yield entries
            _replace(path, entries)
    except OSError as error:
        raise TokenError(f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # The folder itself is locked: the file is replaced, so a lock on it would be a lock on what is no longer there.
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TokenError(
                        f"another process is changing the tokens in {folder}; try again when it is done"
                    ) from None
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, entries: Mapping[str, tuple[TokenBlock, ...]]) -> None:
    document: dict[str, Json] = {
        name: [token.model_dump(exclude_none=True) for token in tokens] for name, tokens in entries.items() if tokens
    }
    text = _HEADER + (yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False) if document else "")
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
