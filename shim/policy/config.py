"""`grants:` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shim.units import Block, SecretName

GrantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

Scope = Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}$")]
"""An OAuth scope (RFC 6749, section 3.3)."""


class GrantBlock(Block):
    """One rule: whom it is for, what it allows or denies, and on which condition (CEL).

    `to` holds identities, `group:NAME`, or `*`; `allow` and `deny` hold patterns on `upstream/tool`,
    `prompt:upstream/name` and `resource:upstream/uri`; `scopes` those that the caller's access token must carry, all of
    them; `bind`: for a logical name of a secret the one that stands behind it; `allow_from_upstream` what an upstream
    may ask of the client in a call that is allowed.
    """

    name: GrantName
    to: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    when: str | None = None
    scopes: tuple[Scope, ...] = ()
    bind: dict[SecretName, SecretName] = Field(default_factory=dict)
    allow_from_upstream: tuple[Literal["elicitation", "sampling", "roots"], ...] = ()
