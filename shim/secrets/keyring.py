"""`source: keyring`: the system's keyring, by the library `keyring` and whichever backend it finds.

The library is an extra and slow to load, so it is imported when a secret is first asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Annotated

from pydantic import StringConstraints

from shim.secrets.aside import Aside
from shim.secrets.source import Issued, LongLived, Purpose, Unavailable
from shim.units import Block

_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,255}$")]


class Keys(Block):
    """What such a secret is asked for by."""

    service: _Text | None = None
    user: _Text | None = None


class Keyring(LongLived):
    """Entries are looked up at each call. A locked keyring may ask its owner to unlock it, while the call waits."""

    def __init__(self) -> None:
        self._aside: Aside[str] = Aside("the keyring")

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:  # noqa: ARG002
        """See `Source`."""
        value = await self._aside.run(partial(_look_up, secret.service or "", secret.user or ""))
        return Issued(dict.fromkeys(fields, value))


def _look_up(service: str, user: str) -> str:
    value = look_up(service, user)
    if value is None:
        raise Unavailable(f"the keyring has nothing for service {service!r} and user {user!r}; store it there")
    return value


def look_up(service: str, user: str) -> str | None:
    """What the keyring has; None where that is nothing. Blocks; raises Unavailable."""
    with _library() as keyring:
        found: str | None = keyring.get_password(service, user)
    return found


def keep(service: str, user: str, value: str) -> None:
    """Put it there. Blocks; raises Unavailable."""
    with _library() as keyring:
        keyring.set_password(service, user, value)


@contextmanager
def _library() -> Iterator[ModuleType]:
    try:
        import keyring
        from keyring.errors import InitError, KeyringError, KeyringLocked, NoKeyringError
    except ImportError:
        raise Unavailable("the library for keyrings is not installed; pip install 'mcp-shim[keyring]'") from None
    try:
        yield keyring
    except KeyringLocked:
        raise Unavailable("the keyring is locked; unlock it") from None
    except (NoKeyringError, InitError):
        raise Unavailable("no keyring is running here; start one, or use a file") from None
    except (KeyringError, OSError, RuntimeError, UnicodeError) as error:
        raise Unavailable(f"the keyring failed ({type(error).__name__})") from None
