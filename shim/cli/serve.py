"""`serve` and `stdio`: being the MCP server."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import completing, knowing, logs, output
from shim.cli.acting import TOKEN_VARIABLE, credential
from shim.cli.errors import problem, usage
from shim.cli.options import DEBUG_VARIABLE, DEFAULT_CONFIG, Config, configuration
from shim.errors import Unauthenticated

if TYPE_CHECKING:
    import asyncio

    from shim.generation import Authenticator
    from shim.model import Credential

_log = logging.getLogger("shim.cli")


def serve(
    config: Config = DEFAULT_CONFIG,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Instead of `listen`.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", hidden=True)] = None,
) -> None:
    """The HTTP server."""
    if workers is not None:
        raise usage("--workers: not supported by this version")
    import asyncio

    from shim import app
    from shim.cli import running

    loaded = configuration(config)
    address = (loaded if listen is None else loaded.listening_on(listen)).server.listen
    logs.configure(logging.INFO, debug=bool(os.environ.get(DEBUG_VARIABLE)))
    for warning in loaded.warnings:
        _log.warning("%s", warning)

    async def main(stop: asyncio.Event) -> None:
        asked = asyncio.Event()
        # From a terminal it says that the window is closed; a service is asked to read its configuration.
        heard = stop if sys.stderr.isatty() else asked
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heard.set)
        await app.serve(
            loaded, stop=stop, asked=asked, listen=listen, on_listening=lambda url: output.say(f"listening on {url}")
        )

    try:
        running.serve(main)
    except OSError as error:
        raise problem(f"cannot listen on {address}: {error.strerror or error}") from None


def stdio(
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="Who the client is.", autocompletion=completing.identities)
    ],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """One client over standard input and output."""
    from shim import app
    from shim.cli import running
    from shim.wiring import authenticator

    loaded = configuration(config)
    knowing.identity(loaded, identity)
    # Said to whoever starts it, before it is a client's: this identity, and by this token.
    credential(loaded, authenticator(loaded), identity)
    token = os.environ.get(TOKEN_VARIABLE)

    def prove(known: Authenticator) -> Credential:
        try:
            return known.local(identity)
        except Unauthenticated:
            found = known.bearer(token or "")
        if found.identity.name != identity:
            raise Unauthenticated("the token is another identity's")
        return found

    debug = bool(os.environ.get(DEBUG_VARIABLE))
    logs.configure(logging.WARNING, debug=debug)
    if not debug:
        # What servers say on their stderr a client has heard of them without us, too.
        logging.getLogger("shim.upstream").setLevel(logging.INFO)
    running.serve(lambda stop: app.stdio(loaded, prove, stop=stop))


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(serve)
    app.command()(stdio)
