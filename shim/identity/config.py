"""`identities:` of the configuration, and the entries of `tokens.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from shim.identity.expiry import instant
from shim.units import Block


def _expiry(text: str) -> str:
    instant(text)
    return text


def _token_id(text: str) -> str:
    if text in ("local", "anonymous"):
        raise ValueError(f"a token cannot have the id {text!r}: records name other credentials so; choose another")
    return text


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")]
TokenId = Annotated[Name, AfterValidator(_token_id)]
RunName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,128}$")]
Expiry = Annotated[str, AfterValidator(_expiry)]


class TokenBlock(Block):
    """One API token: the lower-case hex SHA-256 of the whole token as sent after `Bearer `.

    `expires` is RFC 3339, or a date (the end of that day, UTC); None: never. `run`: the run it was issued for.
    """

    id: TokenId
    sha256: Sha256
    expires: Expiry | None = None
    run: RunName | None = None
    created: str | None = None


class IdentityBlock(Block):
    """Who may call, and what proves it. `local`: the command line and `stdio` need no token to be this identity."""

    groups: tuple[Name, ...] = ()
    tokens: tuple[TokenBlock, ...] = ()
    local: bool = False
    anonymous: bool = False
    runs: Literal["auto", "idle"] = "auto"
