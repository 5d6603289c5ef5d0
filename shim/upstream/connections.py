"""Connections towards one origin, kept between requests, with exact knowledge of what has been sent.

A gateway must know whether a request may have reached the other side; here a request is "not sent" exactly until the
first of its bytes was handed to a connection, and nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

from shim.upstream.pace import Pace
from shim.upstream.wire import Connection

_KEPT = 4.0


class NotSent(Exception):
    """No byte of the request left; `str()` says why, in words that are safe to show."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go. `tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Connections:
    """All connections to one origin, at most `limit`; each is awaited for `patience` seconds at most."""

    def __init__(self, origin: Origin, pace: Pace, *, limit: int, patience: float) -> None:
        self.pace = pace
        self._origin = origin
        self._patience = patience
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._limit = limit

    async def acquire(self) -> Connection:
        """A connection for one request: a kept one that is fresh, or a new one. Raises NotSent."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.abort()
        if len(self._all) >= self._limit:
            raise NotSent("too many requests to it are running")
        try:
            async with asyncio.timeout(self._patience):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self),
                    self._origin.host,
                    self._origin.port,
                    ssl=self._origin.tls,
                )
        except ssl.SSLCertVerificationError:
            raise NotSent("its TLS certificate is not valid") from None
        except ssl.SSLError:
            raise NotSent("TLS with it failed") from None
        except TimeoutError:
            raise NotSent("it does not accept connections in time") from None
        except socket.gaierror:
            raise NotSent("its host name does not resolve") from None
        except ConnectionRefusedError:
            raise NotSent("it refuses connections") from None
        except (OSError, UnicodeError):
            raise NotSent("it cannot be reached") from None
        self._all.add(connection)
        return connection

    def keep(self, connection: Connection) -> None:
        """Take back a connection. It is used again within seconds or not at all: less than servers keep theirs."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0].kept_until <= now:
            self._idle.pop(0).abort()
        connection.kept_until = now + _KEPT
        self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Cut every connection."""
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()
