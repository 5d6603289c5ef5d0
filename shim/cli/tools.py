"""`tools` and `explain`: who sees what of tools, prompts and resources, and why a use would be decided so."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Container, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from shim import jsontext
from shim.cli import completing, knowing, logs, output
from shim.cli.admitting import Admitting
from shim.cli.errors import PROBLEM, Stop, problem, usage
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration, store_path
from shim.cli.text import visible
from shim.errors import InvalidText, RecordUnavailable
from shim.model import Identity, JsonObject, Reason

if TYPE_CHECKING:
    from shim.catalog import Catalog
    from shim.config.configuration import Configuration
    from shim.policy.engine import Policy

_DIGEST = re.compile(r"[0-9A-Fa-f]{8,64}")


def tools(
    config: Config = DEFAULT_CONFIG,
    identity: Annotated[
        str | None,
        typer.Option("--identity", metavar="NAME", help="What this one sees.", autocompletion=completing.identities),
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--tool",
            metavar="UP/TOOL",
            help="Who can use this one; also prompt:UP/NAME, resource:UP/URI.",
            autocompletion=completing.tools,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Who sees what: tools, prompts, resources, templates.

    By the catalog that was read last: upstreams are reached only if they never were.
    """
    from shim.policy.engine import Policy
    from shim.policy.patterns import upstream_of

    logs.beside_a_report()
    loaded = configuration(config)
    who = [knowing.identity(loaded, identity)] if identity is not None else knowing.identities(loaded)
    policy = Policy(loaded.grants)
    asked = {upstream_of(tool)} if tool is not None and "/" in tool else loaded.upstreams
    seen = {name for name in loaded.upstreams if name in asked and _may_see(who, policy, name)}
    catalog = _catalog(loaded, seen)
    rows = _rows(who, policy, catalog, knowing.meant(catalog, tool) if tool is not None else None)
    if as_json:
        output.json_array(rows)
        return
    cells = ((row["identity"], row["tool"], _name(row), ", ".join(row["grants"])) for row in rows)
    output.table(("identity", "tool", "name", "grants"), cells, "nobody sees anything that matches")


def _name(row: JsonObject) -> str:
    # What a URI is called is what it is.
    return str(row["name"] if row["kind"] in ("tool", "prompt") else row["kind"])


def _may_see(who: list[Identity], policy: Policy, upstream: str) -> bool:
    to = {"*", *(one.name for one in who), *(f"group:{group}" for one in who for group in one.groups)}
    return any(
        rule.effect == "allow"
        and not rule.to.isdisjoint(to)
        and any(pattern.glob.possible(f"{upstream}/") for pattern in rule.patterns)
        for rule in policy.rules
    )


def _catalog(loaded: Configuration, upstreams: Container[str]) -> Catalog:
    """What is known; these upstreams are read where they never were."""
    from shim.cli.reaching import reach

    try:
        offers = dict(knowing.remembered(loaded))
    except RecordUnavailable:
        offers = {}
    unread = knowing.contending(loaded, upstreams) - offers.keys()
    if unread:
        # A fresh installation has read nothing yet, and an empty answer would look like a policy that grants nothing.
        found = reach(loaded, only=unread)
        offers |= found.offers
        for name, status in found.status.items():
            if name not in offers:
                why = visible(status.error or "no answer")
                output.say(f"{name} could not be reached, what it offers is not shown: {why}")
    return knowing.catalog(loaded, offers)


def _rows(who: list[Identity], policy: Policy, catalog: Catalog, wanted: str | None) -> Iterator[JsonObject]:
    from shim.views import Views

    for identity in who:
        for one in Views(catalog, policy).of(identity).offered:
            if wanted is None or one.ref == wanted:
                yield {
                    "identity": identity.name,
                    "tool": one.ref,
                    "name": one.wire,
                    "kind": one.kind,
                    "upstream": one.upstream,
                    "grants": list(policy.matching_grants(identity, one.ref)),
                    "approval": None,
                }


def explain(
    config: Config = DEFAULT_CONFIG,
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="NAME", autocompletion=completing.identities)
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--tool",
            metavar="UP/TOOL",
            help="A tool, prompt:UP/NAME or resource:UP/URI.",
            autocompletion=completing.tools,
        ),
    ] = None,
    args: Annotated[
        str | None, typer.Option("--args", metavar="JSON", help="The arguments, an object; else policy alone.")
    ] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", metavar="FILE", help="A line each: {identity, tool, args}; - is stdin.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="S", help="A scope of the caller's token; repeatable.")
    ] = None,
    digest: Annotated[
        str | None, typer.Option("--policy", metavar="DIGEST", help="By a policy on the record, not by that of now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The decision on one call, and why. Nothing is called and nothing is counted."""
    from shim.policy.engine import Policy

    if (batch is None) == (identity is None) or (batch is None) == (tool is None):
        raise usage("write either --identity NAME --tool UP/TOOL, or --batch FILE")
    loaded = configuration(config, expand=False)
    if digest is not None:
        loaded = _recalled(loaded, digest)
    policy, admitting = Policy(loaded.grants), Admitting(loaded)
    if batch is not None:
        if scope:
            raise usage('--scope is for one call; a line of --batch has them as "scopes"')
        if not _explain_batch(loaded, policy, admitting, batch):
            raise typer.Exit(PROBLEM)
        return
    who = knowing.identity(loaded, identity or "")
    given = None if args is None else arguments(args, "--args")
    found = _explain(policy, admitting, who, tool or "", given, scope or ())
    if as_json:
        output.json_object(found)
        return
    by = f", by {found['grant']}" if found["grant"] is not None else ""
    output.line(f"{found['decision']}: {found['reason']}{by}")
    cells = (
        (step["grant"], step["effect"], _condition(step["condition"]), step["reason"])
        for step in found["trail"]
        if step["matched"]
    )
    output.table(("grant", "effect", "condition", "reason"), cells, "no grant is about this")


def _recalled(loaded: Configuration, digest: str) -> Configuration:
    """The configuration whose texts are kept under a digest, or under the only one that begins so. Raises Stop."""
    from shim.config.loader import recalled
    from shim.store.reader import Reader

    if not _DIGEST.fullmatch(digest):
        raise usage("--policy: a policy is named by its digest, or by 8 or more of the hex digits that it begins with")
    with Reader(store_path(loaded)) as record:
        found = record.policies(digest.lower())
        if len(found) != 1:
            many = f"{len(found)} policies on the record begin with {digest}: write more digits"
            none = f"no policy on the record begins with {digest}; `mcp-shim log show ID` names that of a call"
            raise problem(many if found else none)
        texts = record.policy(found[0])
    then = recalled(texts, loaded.path, os.environ)
    for warning in then.warnings:
        output.say(visible(str(warning)))
    return then


def _condition(value: bool | str | None) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def arguments(text: str, what: str) -> JsonObject:
    """The arguments of a call, from the command line. Raises Stop naming `what` they stand in."""
    try:
        return jsontext.parse_object(text.encode("utf-8", "surrogateescape"))
    except InvalidText as error:
        raise usage(f"{what}: {error}") from None


def _explain(
    policy: Policy, admitting: Admitting, identity: Identity, tool: str, given: JsonObject | None, scopes: Iterable[str]
) -> JsonObject:
    # Without arguments nobody asks whether the tool would take none.
    from shim.policy.conditions import Facts
    from shim.policy.patterns import split

    tool = admitting.meant(tool)
    kind, body = split(tool)
    args = given or {}
    if kind in ("resource", "template") and "uri" not in args:
        args = {**args, "uri": body.partition("/")[2]}
    # A fresh run, no client, now: what is asked is what policy says, not what a session has come to.
    found = policy.explain(identity, tool, Facts(args, "", None, datetime.now(UTC), frozenset(scopes))).to_json()
    if found["decision"] != "deny" and given is not None and not admitting.admits(tool, args):
        return {**found, "decision": "deny", "reason": Reason.INVALID_ARGUMENTS.value}
    return found


def _explain_batch(loaded: Configuration, policy: Policy, admitting: Admitting, batch: Path) -> bool:
    if str(batch) == "-":
        return _explain_lines(loaded, policy, admitting, sys.stdin.buffer)
    try:
        with batch.open("rb") as lines:
            return _explain_lines(loaded, policy, admitting, lines)
    except OSError as error:
        raise usage(f"--batch {batch}: {error.strerror}") from None


def _explain_lines(loaded: Configuration, policy: Policy, admitting: Admitting, lines: BinaryIO) -> bool:
    fine = True
    for line in lines:
        try:
            output.json_object(_explain_line(loaded, policy, admitting, line))
        except (Stop, InvalidText) as error:
            fine = False
            output.json_object({"error": str(error)})
    return fine


def _explain_line(loaded: Configuration, policy: Policy, admitting: Admitting, line: bytes) -> JsonObject:
    asked = jsontext.parse_object(line)
    unknown = asked.keys() - {"identity", "tool", "args", "scopes"}
    if unknown:
        raise usage(f"unknown members: {', '.join(sorted(unknown))}; a line is {{identity, tool, args}}")
    name, tool, args = asked.get("identity"), asked.get("tool"), asked.get("args")
    if not isinstance(name, str) or not isinstance(tool, str) or not isinstance(asked.get("args", {}), dict):
        raise usage("a line is {identity, tool, args}: two texts and an object")
    scopes = asked.get("scopes", [])
    if not isinstance(scopes, list) or not all(isinstance(one, str) for one in scopes):
        raise usage("the scopes of a line are a list of texts")
    return _explain(policy, admitting, knowing.identity(loaded, name), tool, args, scopes)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(tools)
    app.command()(explain)
