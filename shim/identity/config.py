"""`identities:` of the configuration, and the entries of `tokens.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints, model_validator

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


ClaimName = Annotated[str, StringConstraints(pattern=r"^[^{}\x00-\x1f\x7f]{1,256}$")]
ClaimValue = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class IdentityBlock(Block):
    """Who may call, and what proves it. `local`: the command line and `stdio` need no token to be this identity.

    `jwt`: claims that a JWT must have with these values, or as one of a list. With `name`, a text with places such as
    `{claims.email}`, each person is an identity of their own, in the group that the block is called.
    """

    groups: tuple[Name, ...] = ()
    tokens: tuple[TokenBlock, ...] = ()
    local: bool = False
    anonymous: bool = False
    runs: Literal["auto", "idle"] = "auto"
    jwt: dict[ClaimName, ClaimValue] | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> IdentityBlock:
        if self.name is None:
            return self
        if self.jwt is None:
            raise ValueError("`name` is made of the claims of a JWT: say with `jwt` which claims these identities have")
        if self.tokens or self.local or self.anonymous:
            raise ValueError(
                "`name` makes each person an identity of their own, which has no tokens and is neither local nor"
                " anonymous: write those under another identity"
            )
        return self
