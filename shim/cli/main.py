"""`mcp-shim`: all verbs, and the one place where what escapes a verb becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from shim import __version__
from shim.cli import call, check, connect, demo, doctor, export, init, lending, log, options, serve, token, tools
from shim.cli.errors import PROBLEM, USAGE, Stop, usage
from shim.cli.output import say
from shim.cli.text import visible
from shim.errors import ConfigurationError, ShimError

LATER = ("policy", "approvals", "freeze", "thaw", "pins")
"""Verbs of the contract that this version does not have."""

app = typer.Typer(
    name="mcp-shim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcp-shim {__version__}")
        raise typer.Exit


@app.callback()
def root(
    config: Annotated[Path | None, typer.Option("--config", metavar="PATH", help="The configuration.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """One MCP server in front of your tools: each agent sees what policy grants, and every call is on record first."""
    if config is not None:
        # Where each verb's own --config looks next, so that the option may stand before the verb as well.
        os.environ[options.CONFIG_VARIABLE] = str(config)


def _refuse(verb: str) -> Callable[[], None]:
    def refuse() -> None:
        raise usage(f"`{verb}`: not supported by this version")

    return refuse


serve.add_to(app)
check.add_to(app)
tools.add_to(app)
call.add_to(app)
token.add_to(app)
log.add_to(app, export.add_to)
lending.add_to(app)
demo.add_to(app)
init.add_to(app)
connect.add_to(app)
doctor.add_to(app)
for _verb in LATER:
    app.command(
        _verb,
        hidden=True,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    )(_refuse(_verb))


def _find_servers_beside_us() -> None:
    # An assistant starts `/somewhere/.venv/bin/mcp-shim` without activating anything; upstreams that were installed
    # beside it are found all the same. At the end, so that it never hides what PATH already leads to.
    beside = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    if beside not in path.split(os.pathsep):
        os.environ["PATH"] = f"{path}{os.pathsep}{beside}" if path else beside


def _run() -> int:
    try:
        app(prog_name="mcp-shim")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else PROBLEM
    except Stop as stop:
        if str(stop):
            say(f"mcp-shim: {visible(str(stop), lines=True)}")
        return stop.code
    except ConfigurationError as error:
        for fault in error.problems:
            say(visible(str(fault)))
        return USAGE
    except ShimError as error:
        say(f"mcp-shim: {visible(str(error), lines=True)}")
        return PROBLEM
    # The boundary of the process: whatever it is, the person gets a sentence and a way to more.
    except Exception as error:
        if os.environ.get(options.DEBUG_VARIABLE):
            raise
        name = type(error).__name__
        say(f"mcp-shim: {name}: {visible(str(error))} (set {options.DEBUG_VARIABLE}=1 to see where)")
        return PROBLEM
    return 0


def main() -> None:
    """The entry point of the command."""
    if sys.platform == "win32":
        say("mcp-shim runs on Linux and macOS; on Windows, use it within WSL")
        raise SystemExit(USAGE)
    _find_servers_beside_us()
    code = PROBLEM
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left (`| head`): it wants no more, and no complaint either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PROBLEM
    raise SystemExit(code)
