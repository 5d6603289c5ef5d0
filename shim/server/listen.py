"""Listening: the socket, TLS, and an end that lets running calls finish."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from shim.server.config import ServerTlsBlock
from shim.server.http import HttpFace
from shim.server.protocol import Bounds, bounded

_log = logging.getLogger("shim.server")

BACKLOG = 2048
SETTLE_SECONDS = 5.0
"""How long cancelled calls may take to record their end."""


def split_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[V6]:PORT`. Raises ValueError with what would be right."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535 or (":" in host) != host.startswith("["):
        raise ValueError(f"{text!r} is not an address; write HOST:PORT, such as 127.0.0.1:8765 or [::1]:8765")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command line decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve_http(
    face: HttpFace,
    *,
    listen: str,
    stop: asyncio.Event,
    tls: ServerTlsBlock | None = None,
    on_listening: Callable[[str], None] | None = None,
    grace: float = 30.0,
    bounds: Bounds | None = None,
) -> None:
    """Serve until `stop` is set; then take no more, close streams gracefully and let calls finish, `grace` seconds.

    `listen` is `HOST:PORT`; `on_listening` gets the URL, with the port that was bound, once requests are taken. Raises
    ValueError and OSError where that address cannot be listened on. Cancelling ends at once.
    """
    host, port = split_listen(listen)
    bounds = bounds or Bounds()
    with bind(host, port) as sock:
        port = sock.getsockname()[1]
        face.bound(port)
        config = uvicorn.Config(
            face,
            http=bounded(bounds),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(bounds.idle_seconds),
            timeout_graceful_shutdown=round(grace + SETTLE_SECONDS),
            ssl_certfile=tls.cert if tls is not None else None,
            ssl_keyfile=tls.key if tls is not None else None,
        )
        server = _Server(config)
        async with face.running(), asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[sock]))
            stopping = group.create_task(_stop(face, server, stop, grace))
            await server.listening.wait()
            if on_listening is not None:
                name = f"[{host}]" if ":" in host else host
                on_listening(f"{'https' if tls is not None else 'http'}://{name}:{port}/mcp")
            await serving
            stopping.cancel()


async def _stop(face: HttpFace, server: uvicorn.Server, stop: asyncio.Event, grace: float) -> None:
    await stop.wait()
    face.face.closing.begin()
    server.should_exit = True
    await asyncio.sleep(grace)
    # Ours first: uvicorn cancels tasks in a way that no shield around the recording of an outcome withstands.
    face.abandon()
