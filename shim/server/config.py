"""`server:` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shim.units import Block, Size


class ServerTlsBlock(Block):
    """Paths of the certificate chain and its key, both PEM; the key must not be readable by others."""

    cert: str
    key: str


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class JwtBlock(Block):
    """Whose OAuth access tokens are accepted, made for whom, and signed how. `audience` is what their `aud` must name.

    `jwks_url`: where the issuer's keys are, by default where its metadata says.
    """

    issuer: str
    audience: Annotated[str, Field(min_length=1, max_length=1024)]
    jwks_url: str | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")


class ServerBlock(Block):
    """Where the shim listens and what it believes of a request. Beyond loopback only with `tls` or `behind_proxy`."""

    listen: str = "127.0.0.1:8765"
    url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_request: Annotated[Size, Field(gt=0)] = 4 * 2**20
    tls: ServerTlsBlock | None = None
    behind_proxy: bool = False
    jwt: JwtBlock | None = None
