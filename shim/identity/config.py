"""`identities:` of the configuration, and the entries of `tokens.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from shim.units import Block

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")]


class TokenBlock(Block):
    """One API token: the lower-case hex SHA-256 of the whole token as sent after `Bearer `.

    `expires` is RFC 3339, or a date (the end of that day, UTC); None: never. `run`: the run it was issued for.
    """

    id: Name
    sha256: Sha256
    expires: str | None = None
    run: str | None = None
    created: str | None = None


class IdentityBlock(Block):
    """Who may call, and what proves it. `local`: the command line and `stdio` need no token to be this identity."""

    groups: tuple[Name, ...] = ()
    tokens: tuple[TokenBlock, ...] = ()
    local: bool = False
    anonymous: bool = False
    runs: Literal["auto", "idle"] = "auto"
