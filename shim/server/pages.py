"""Where the HTTP server meets the pages that are for people, whoever has them."""

from __future__ import annotations

from typing import Protocol

from shim.server.exchange import Exchange


class Pages(Protocol):
    """Answers what lies beside `/mcp`. Of a request only Host was looked at: all else is theirs to check."""

    def bound(self, port: int) -> None:
        """Learn the port that is listened on, before the first request."""

    def has(self, path: bytes) -> bool:
        """Whether a path is one of theirs now; all others are unknown."""

    async def respond(self, exchange: Exchange, address: str | None) -> None:
        """The whole response. `address` is the client's, as far as it is known."""
