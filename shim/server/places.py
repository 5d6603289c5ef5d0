"""Under which addresses a server is known to those who come to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from shim.server.config import ServerBlock


def endpoint(block: ServerBlock, port: int) -> str:
    """The URL of `/mcp`: the configured one, else that of what is listened on."""
    if block.url is not None:
        return block.url
    host = block.listen.rpartition(":")[0]
    return f"{'https' if block.tls is not None else 'http'}://{host}:{port}/mcp"


def base(block: ServerBlock, port: int) -> str:
    """What the addresses of its pages begin with, without a slash at the end: the endpoint less its `/mcp`."""
    parts = urlsplit(endpoint(block, port))
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/mcp')}"
