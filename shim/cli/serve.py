"""`serve` and `stdio`: being the MCP server."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

from shim.cli import completing, knowing, logs, output
from shim.cli.acting import credential
from shim.cli.errors import problem, usage
from shim.cli.options import DEBUG_VARIABLE, DEFAULT_CONFIG, Config, configuration

_log = logging.getLogger("shim.cli")


def serve(
    config: Config = DEFAULT_CONFIG,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Instead of `listen`.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", hidden=True)] = None,
) -> None:
    """The HTTP server."""
    if workers is not None:
        raise usage("--workers: not supported by this version")
    from shim import app
    from shim.cli import running

    loaded = configuration(config)
    if listen is not None:
        loaded = loaded.listening_on(listen)
    logs.configure(logging.INFO, debug=bool(os.environ.get(DEBUG_VARIABLE)))
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    try:
        running.serve(
            lambda stop: app.serve(loaded, stop=stop, on_listening=lambda url: output.say(f"listening on {url}"))
        )
    except OSError as error:
        raise problem(f"cannot listen on {loaded.server.listen}: {error.strerror or error}") from None


def stdio(
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="Who the client is.", autocompletion=completing.identities)
    ],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """One client over standard input and output."""
    from shim import app
    from shim.cli import running

    loaded = configuration(config)
    knowing.identity(loaded, identity)
    who = credential(loaded, app.authenticator(loaded), identity)
    logs.configure(logging.WARNING, debug=bool(os.environ.get(DEBUG_VARIABLE)))
    running.serve(lambda stop: app.stdio(loaded, who, stop=stop))


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(serve)
    app.command()(stdio)
