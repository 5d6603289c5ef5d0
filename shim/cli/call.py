"""`call`: one real call through the whole path, recorded as such."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from shim import __version__
from shim.cli import completing, knowing, logs, output
from shim.cli.acting import credential
from shim.cli.errors import PROBLEM
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.text import json_text, visible
from shim.cli.tools import arguments
from shim.model import Answer, Caller, Client, Json, JsonObject, UpstreamStatus

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_PROTOCOL = "2026-07-28"


def call(
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="Who calls.", autocompletion=completing.identities)
    ],
    tool: Annotated[str, typer.Argument(metavar="UP/TOOL", autocompletion=completing.tools)],
    args: Annotated[str, typer.Argument(metavar="JSON", help="The arguments, an object.")] = "{}",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """One real call, decided and recorded as any other. Ends with 0 only if the tool answered without an error."""
    from shim.cli.running import run

    logs.beside_a_report()
    loaded = configuration(config)
    answer = run(_call(loaded, identity, tool, arguments(args, "the arguments")))
    if as_json:
        output.json_object({"result": answer.result} if answer.result is not None else {"error": answer.error})
    elif answer.result is not None:
        _show(answer.result)
    else:
        output.say(f"mcp-shim: {visible(str((answer.error or {}).get('message')))}")
    if not _is_fine(answer):
        raise typer.Exit(PROBLEM)


class _Aloud:
    """Says what a call tells while it runs."""

    async def progress(self, params: JsonObject) -> None:
        self._say(params.get("message"))

    async def log(self, params: JsonObject) -> None:
        self._say(params.get("data"))

    def _say(self, what: Json) -> None:
        if what is not None and sys.stderr.isatty():
            output.say(visible(what if isinstance(what, str) else json_text(what)))


async def _call(loaded: Configuration, identity: str, tool: str, args: JsonObject) -> Answer:
    from shim.app import authenticator, open_app

    # Before anything starts or is recorded: who calls.
    proof = credential(loaded, authenticator(loaded), identity)
    async with open_app(loaded, only=_concerned(loaded, tool)) as app:
        caller = Caller(proof, "cli", _PROTOCOL, Client("mcp-shim", __version__))
        if tool not in app.catalog.now.by_ref:
            await app.upstreams.settled()
        known = app.catalog.now.by_ref.get(tool)
        # What nobody offers goes through as well: that it was asked for, and refused, belongs on the record.
        name = known.wire if known is not None else _wire(loaded, tool)
        answer = await app.gateway.call_tool(caller, {"name": name, "arguments": args}, _Aloud())
        if not _is_fine(answer):
            _say_why(answer, app.upstreams.status().values())
        return answer


def _is_fine(answer: Answer) -> bool:
    return answer.result is not None and answer.result.get("isError") is not True


def _say_why(answer: Answer, upstreams: Iterable[UpstreamStatus]) -> None:
    """What an answer must not tell a caller, and a person at the command line may know: how its upstream stands."""
    told = [block.get("text") for block in _content(answer.result or {}) if isinstance(block, dict)]
    for status in upstreams:
        if status.state != "up" and status.error is not None and status.error not in told:
            output.say(visible(status.error))


def _concerned(loaded: Configuration, tool: str) -> frozenset[str] | None:
    """The upstreams that have to do with this tool; None: any may."""
    upstream, slash, _ = tool.partition("/")
    return knowing.contending(loaded, {upstream}) if slash else None


def _wire(loaded: Configuration, tool: str) -> str:
    from shim.catalog import wire_name

    upstream, _, name = tool.partition("/")
    prefix = dict(knowing.prefixes(loaded)).get(upstream)
    return tool if prefix is None or not name else wire_name(prefix, upstream, name)


def _content(result: JsonObject) -> list[Json]:
    content = result.get("content")
    return content if isinstance(content, list) else []


def _show(result: JsonObject) -> None:
    content = _content(result)
    for block in content:
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
            output.line(visible(block["text"], lines=True))
        else:
            output.json_object(block)
    if not content and result.get("structuredContent") is not None:
        output.json_object(result["structuredContent"])


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(call)
