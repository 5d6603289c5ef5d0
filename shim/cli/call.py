"""`call`: one real call through the whole path, recorded as such."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from shim import __version__
from shim.cli import completing, knowing, logs, output
from shim.cli.acting import credential
from shim.cli.errors import PROBLEM, problem, usage
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.text import json_text, visible
from shim.cli.tools import arguments
from shim.errors import Unanswered
from shim.model import Answer, Caller, Client, Json, JsonObject, Question, Response, UpstreamStatus

if TYPE_CHECKING:
    from shim.catalog import Catalog
    from shim.config.configuration import Configuration
    from shim.wiring import App

_PROTOCOL = "2026-07-28"
_METHODS = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}


def call(
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="Who calls.", autocompletion=completing.identities)
    ],
    tool: Annotated[
        str,
        typer.Argument(metavar="UP/TOOL", help="Or prompt:UP/NAME, resource:UP/URI.", autocompletion=completing.tools),
    ],
    args: Annotated[str, typer.Argument(metavar="JSON", help="The arguments, an object.")] = "{}",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """One real call of a tool, or use of a prompt or resource, decided and recorded as any other.

    Ends with 0 only if it was answered without an error.
    """
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

    async def ask(self, question: Question) -> Response:
        raise Unanswered(f"nobody is asked for {question.method} on the command line")

    async def completed(self, params: JsonObject) -> None:
        """Nothing was asked."""

    def _say(self, what: Json) -> None:
        if what is not None and sys.stderr.isatty():
            output.say(visible(what if isinstance(what, str) else json_text(what)))


async def _call(loaded: Configuration, identity: str, ref: str, args: JsonObject) -> Answer:
    from shim.app import open_app
    from shim.methods import METHODS
    from shim.policy.patterns import split
    from shim.wiring import authenticator

    kind, named = split(ref)
    method = _METHODS.get(kind)
    if method is None:
        raise usage("a template is not called; read one of its resources: resource:UP/URI")
    if kind == "resource" and args:
        raise usage("a resource is read without arguments: what is read is its URI")
    # Before anything starts or is recorded: who calls.
    proof = credential(loaded, authenticator(loaded), identity)
    async with open_app(loaded, only=_concerned(loaded, kind, named)) as app:
        caller = Caller(proof, "cli", _PROTOCOL, Client("mcp-shim", __version__))
        if kind == "resource" or knowing.meant(app.catalog, ref) not in app.catalog.now.by_ref:
            await app.upstreams.settled()
        if kind == "resource":
            params: JsonObject = {"uri": named.partition("/")[2]}
            _check_owner(app, caller, named)
        else:
            params = {"name": _wire(app.catalog, ref, named), "arguments": args}
        answer = await app.gateway.call(caller, METHODS[method], params, _Aloud())
        if not _is_fine(answer):
            _say_why(answer, app.upstreams.status().values())
        return answer


def _check_owner(app: App, caller: Caller, named: str) -> None:
    """Raise Stop where a read of this URI would go to another upstream than the one that was named."""
    from shim.methods import METHODS

    upstream, _, uri = named.partition("/")
    method = METHODS["resources/read"]

    def sees(ref: str) -> bool:
        return app.policy.visible(caller.identity, ref)

    target = method.find(method.read({"uri": uri}), app.catalog, sees).target
    if target is not None and target.upstream != upstream and sees(target.ref):
        raise problem(f"{caller.identity.name} reads this URI of {target.upstream}: write {visible(target.ref)}")


def _is_fine(answer: Answer) -> bool:
    return answer.result is not None and answer.result.get("isError") is not True


def _say_why(answer: Answer, upstreams: Iterable[UpstreamStatus]) -> None:
    """What an answer must not tell a caller, and a person at the command line may know: how its upstream stands."""
    told = [block.get("text") for block in _content(answer.result or {}) if isinstance(block, dict)]
    for status in upstreams:
        if status.state != "up" and status.error is not None and status.error not in told:
            output.say(visible(status.error))


def _concerned(loaded: Configuration, kind: str, named: str) -> frozenset[str] | None:
    """The upstreams that have to do with what is named `upstream/name`; None: any may."""
    upstream, slash, _ = named.partition("/")
    if kind == "resource":
        return frozenset({upstream}) if slash else None
    return knowing.contending(loaded, {upstream}) if slash else None


def _wire(catalog: Catalog, ref: str, named: str) -> str:
    """The name under which a client would use it.

    What nobody offers goes through as well: that it was asked for, and refused, belongs on the record.
    """
    from shim.naming import wire_name

    known = catalog.now.by_ref.get(knowing.meant(catalog, ref))
    if known is not None:
        return known.wire
    upstream, _, name = named.partition("/")
    wire = wire_name(catalog.prefix(upstream), upstream, name) if catalog.has(upstream) and name else named
    # One that was left out must not become the one of its upstream that has its name now.
    holder = catalog.now.by_wire.get(wire)
    return named if holder is not None and holder.upstream == upstream else wire


def _content(result: JsonObject) -> list[Json]:
    return _listed(result, "content")


def _listed(result: JsonObject, key: str) -> list[Json]:
    held = result.get(key)
    return held if isinstance(held, list) else []


def _of_messages(result: JsonObject) -> list[Json]:
    """What a prompt's messages say, in order."""
    return [message.get("content") for message in _listed(result, "messages") if isinstance(message, dict)]


def _show(result: JsonObject) -> None:
    content = [*_content(result), *_of_messages(result), *_listed(result, "contents")]
    for block in content:
        if isinstance(block, dict) and block.get("type", "text") == "text" and isinstance(block.get("text"), str):
            output.line(visible(block["text"], lines=True))
        else:
            output.json_object(block)
    if not content and result.get("structuredContent") is not None:
        output.json_object(result["structuredContent"])


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(call)
