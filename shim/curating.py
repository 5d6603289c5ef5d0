"""`tools:` of the configuration: what the operator puts into calls of tools, by pattern; and those tools as clients
see them.

Patterns count in file order: each adds to those before it, and of one argument twice the last value holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from shim import inputs, jsontext
from shim.model import META_PREFIX, Fixed, Json, Offered, Tool
from shim.policy.globs import Glob
from shim.units import Block

_RESERVED = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
_META_KEY = re.compile(
    r"(?:[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*/)?"
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?",
    re.ASCII,
)


def _meta_key(key: str) -> str:
    """A key of `_meta` that is the upstream's own (specification 2026-07-28, basic/index, "_meta")."""
    labels = key.rpartition("/")[0].split(".")
    if key in _RESERVED or labels[1:2] in (["modelcontextprotocol"], ["mcp"]) or labels[0] == "mcp":
        raise ValueError(f"the member {key[:80]} of `_meta` belongs to the protocol; take another")
    if key.startswith(META_PREFIX):
        raise ValueError(f"members of `_meta` under {META_PREFIX} are the shim's own; take another")
    if len(key) > 256 or not _META_KEY.fullmatch(key):
        raise ValueError(f"{key[:80]!r} is no key of `_meta`; write `name` or `com.example/name`")
    return key


ArgumentName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
MetaKey = Annotated[str, AfterValidator(_meta_key)]


class ToolBlock(Block):
    """What the operator puts into calls of the tools that a pattern matches.

    `fixed`: arguments that callers neither see nor send; `meta`: members of the request's `_meta`. Texts within may
    hold `${secret:NAME}` (here as `shim.templates` has it).
    """

    fixed: dict[ArgumentName, Json] = Field(default_factory=dict, repr=False)
    meta: dict[MetaKey, Json] = Field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Idle:
    """An argument that a pattern fixes and no tool that it matches has. `tools`: how many it matches."""

    pattern: str
    argument: str
    tools: int


@dataclass(frozen=True, slots=True)
class _Values:
    fixed: Mapping[str, Json] = field(repr=False)
    meta: Mapping[str, Json] = field(repr=False)


class Curation:
    """The patterns of one configuration, compiled."""

    def __init__(self, blocks: Mapping[str, ToolBlock] | None = None) -> None:
        self._blocks = [(pattern, Glob(pattern), block) for pattern, block in (blocks or {}).items()]

    def fixes(self, ref: str) -> frozenset[str]:
        """The arguments that no caller may send to what is named `upstream/tool`, whether or not there is one."""
        return frozenset(self._values(ref).fixed)

    def of(self, tool: Tool) -> Tool:
        """The tool as clients see it, with what goes into its calls. Itself where there is nothing.

        A fixed argument goes into calls of tools that have it, or that take others than those they name. Raises
        CannotHide.
        """
        values = self._values(tool.ref)
        if not values.fixed and not values.meta:
            return tool
        schema = tool.definition.get("inputSchema")
        takes, hidden = inputs.declared(schema), frozenset(values.fixed)
        sent = {name: value for name, value in values.fixed.items() if takes is None or name in takes}
        fixed = Fixed(sent, values.meta, hidden, None if takes is None else takes - hidden, tool)
        shown = inputs.without(schema, frozenset(sent)) if sent and isinstance(schema, dict) else schema
        if shown is schema:
            return Tool(tool.upstream, tool.name, tool.wire, tool.definition, tool.digest, fixed)
        definition = {**tool.definition, "inputSchema": shown}
        return Tool(tool.upstream, tool.name, tool.wire, definition, jsontext.digest(definition), fixed)

    def idle(self, offered: tuple[Offered, ...]) -> Iterator[Idle]:
        """What is fixed and goes into no call of what is known now. A pattern that matches nothing may wait for it."""
        tools = [one for one in offered if isinstance(one, Tool) and one.fixed is not None]
        for pattern, glob, block in self._blocks:
            matching = [one for one in tools if glob.matches(one.ref)]
            for name in block.fixed:
                if matching and not any(one.fixed is not None and name in one.fixed.arguments for one in matching):
                    yield Idle(pattern, name, len(matching))

    def _values(self, ref: str) -> _Values:
        fixed: dict[str, Json] = {}
        meta: dict[str, Json] = {}
        for _, glob, block in self._blocks:
            if glob.matches(ref):
                fixed |= block.fixed
                meta |= block.meta
        return _Values(fixed, meta)
