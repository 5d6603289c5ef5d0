"""`server:` of the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shim.units import Block, Size


class ServerTlsBlock(Block):
    """Paths of the certificate chain and its key, both PEM; the key must not be readable by others."""

    cert: str
    key: str


class ServerBlock(Block):
    """Where the shim listens and what it believes of a request. Beyond loopback only with `tls` or `behind_proxy`."""

    listen: str = "127.0.0.1:8765"
    url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_request: Annotated[Size, Field(gt=0)] = 4 * 2**20
    tls: ServerTlsBlock | None = None
    behind_proxy: bool = False
