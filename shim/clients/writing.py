"""The configuration that init writes: a text that allows nothing until somebody takes `# ` away before a tool.

Lines that begin with `##` are remarks. A line that begins with `# ` is configuration once those two characters are
gone, whichever of them go and whichever stay. Nothing that was found stands anywhere but in a scalar or a remark.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath

from shim.clients.listing import Keys, Listing, lines
from shim.clients.plan import Adopted, Place, Plan
from shim.clients.scalars import flow, remark, scalar
from shim.clients.wrapping import Wrapped

SCHEMA = "shim.schema.json"
STORE = PurePath("var/shim.db")
"""Where the record will be, from the configuration's folder."""
MOST_SHOWN = 100
"""Of what was left out."""

IDENTITY = "me"

_ROOM = 4 * 2**20
"""Characters for the tools of all upstreams: half of what a configuration may be."""

_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA}
##
## Made by `mcp-shim init` from what the MCP clients of this machine have. A line that begins with `##` is a remark; to
## use a line that begins with `#`, take `# ` away before it.
##
## 1. Below `grants:`, take `# ` away before each tool that you allow.
## 2. `mcp-shim check` says whether all is well, `mcp-shim tools` who sees what.
## 3. `mcp-shim connect CLIENT --identity {IDENTITY} --write --replace` puts the shim into a client in their place.
##
## A change of this file holds at once where the shim is running.
version: 1

## Every call, in one file beside this one, before it happens.
store: sqlite:{STORE}
"""

_GRANTS = f"""\
## What `{IDENTITY}` may call: nothing, until you take `# ` away before a tool. The headings and [hints] are what each
## server says of its own tools. Nobody has checked them.
"""


_ELSEWHERE = "from its grant, and from its secrets where it has some"

_EXAMPLE = Adopted(
    "git",
    (Place("An example"),),
    command=("uvx", "mcp-server-git", "--repository", "/srv/repo"),
    missing="no server was found, and this is how one is written",
)


def configuration(
    plan: Plan,
    listings: Mapping[str, Listing],
    source: Callable[[str], Mapping[str, str]],
    *,
    read_only: bool,
    keys: Keys,
) -> str:
    """The text. `listings` are by upstream, `source` gives the block of a secret that is kept; `keys` are not shown."""
    upstreams = plan.upstreams or (_EXAMPLE,)
    room = _ROOM // len(upstreams)
    parts = [
        _HEAD,
        *_secrets(plan, source),
        "## What stands behind the shim. Each gets PATH, HOME and LANG, what `env` says, and nothing else of ours.",
        "upstreams:",
        *(line for one in upstreams for line in _upstream(one, listings.get(one.name), keys)),
        *_left_out(plan, keys),
        "## Who may call. `local`: the command line and `mcp-shim stdio` need no token.",
        "identities:",
        f"  {IDENTITY}:",
        "    local: true",
        "",
        _GRANTS + "grants:",
        *(line for one in upstreams for line in _grant(one, listings.get(one.name), room, read_only, keys)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _secrets(plan: Plan, source: Callable[[str], Mapping[str, str]]) -> Iterator[str]:
    names = (*plan.secrets, *plan.awaited, *plan.variables)
    if not names:
        return
    used = {name for one in plan.upstreams if one.missing is None for name in one.secrets}
    yield "## Keys, kept elsewhere and handed to their server alone, call by call."
    yield "secrets:"
    for name in names:
        keys = ", ".join(f"{key}: {scalar(value)}" for key, value in plan.source(name, source).items())
        yield f"  {'' if name in used else '# '}{scalar(name)}: {{{keys}}}"
    yield ""


def _upstream(one: Adopted, listing: Listing | None, keys: Keys) -> Iterator[str]:
    off = "" if one.missing is None else "# "
    yield from remark(keys.hide("; ".join(map(str, one.places))), "  ")
    if one.missing is not None:
        yield from remark(keys.hide(f"Not in use: {one.missing}. Then take `# ` away here, {_ELSEWHERE}."), "  ")
    elif one.needs:
        yield from remark(keys.hide(f"To do: {'; '.join(one.needs)}"), "  ")
    elif listing is not None and listing.problem is not None:
        yield from remark(keys.hide(f"Not reached: {listing.problem}"), "  ")
    for text in one.remarks:
        yield from remark(keys.hide(text), "  ")
    for line in _block(one):
        yield f"  {off}{line}"
    yield ""


def _block(one: Adopted) -> Iterator[str]:
    yield f"{scalar(one.name)}:"
    if one.wrapped is not None:
        yield f"  program: {scalar(one.wrapped.program)}"
        if one.wrapped.path:
            yield f"  path: {flow(one.wrapped.path)}"
    if one.command is not None:
        yield f"  command: {flow(one.command)}"
    if one.url is not None:
        yield f"  url: {scalar(one.url)}"
    if one.cwd is not None:
        yield f"  cwd: {scalar(one.cwd)}"
    for key, values in (("env", one.env), ("headers", one.headers)):
        if values:
            yield f"  {key}:"
            for name, value in values.items():
                yield f"    {scalar(name)}: {scalar(value)}"
    if one.wrapped is not None:
        yield from _tool(one.wrapped)
    if one.secrets:
        pairs = ", ".join(f"{scalar(name)}: {scalar(name)}" for name in one.secrets)
        yield f"  catalog: {{{pairs}}}"


def _tool(wrapped: Wrapped) -> Iterator[str]:
    yield "  tools:"
    yield f"    {scalar(wrapped.tool)}:"
    yield f"      description: {scalar(shlex.join((wrapped.program, *wrapped.run)))}"
    yield f"      run: {flow(wrapped.run)}"
    if wrapped.inputs:
        yield "      input:"
        for name, schema in wrapped.inputs.items():
            pairs = (f"{key}: {value if isinstance(value, int) else scalar(value)}" for key, value in schema.items())
            yield f"        {scalar(name)}: {{{', '.join(pairs)}}}"


def _left_out(plan: Plan, keys: Keys) -> Iterator[str]:
    if not plan.left_out:
        return
    yield "  ## Found, and not taken over:"
    for out in plan.left_out[:MOST_SHOWN]:
        yield from remark(keys.hide(f"{out.place}: {out.why}"), "  ")
    if len(plan.left_out) > MOST_SHOWN:
        yield f"  ## … and {len(plan.left_out) - MOST_SHOWN:,} more"
    yield ""


def _grant(one: Adopted, listing: Listing | None, room: int, read_only: bool, keys: Keys) -> Iterator[str]:
    off = "" if one.missing is None else "# "
    for line in (f"- name: {scalar(one.name)}", f"  to: [{IDENTITY}]", "  allow:"):
        yield f"  {off}{line}"
    known = listing is not None and listing.problem is None
    if listing is not None and known:
        yield from lines(listing, "      ", room, read_only=read_only, keys=keys)
    if listing is None or not (listing.tools or listing.left_out):
        why = "It has no tools." if known else "Its tools are not known yet."
        yield f"      ## {why} One is allowed by its name: `- {one.name}/NAME`."
    yield ""
