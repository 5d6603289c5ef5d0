"""`tools:` of the configuration: what the operator says of tools, by pattern; and those tools as clients see them.

Patterns count in file order: each adds to those before it, and of what is said twice the last holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shim import inputs, jsontext, templates
from shim.model import META_PREFIX, Fixed, Json, JsonObject, Offered, Tool
from shim.policy.globs import Glob
from shim.units import Block, Duration
from shim.upstream import arguments

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


_IDLE: Mapping[str, str] = {
    "fixes": "it is sent to none, and refused of callers",
    "hides": "there is nothing to hide, and it is refused of callers",
    "defaults": "it is sent to none",
}

Places: TypeAlias = Callable[[str, str, str, Json], str | None]
"""Of an upstream, a tool, an argument and a value that its schema takes: why it cannot be used, without it."""

ArgumentName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
MetaKey = Annotated[str, AfterValidator(_meta_key)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class ToolBlock(Block):
    """What the operator says of the tools that a pattern matches.

    `rename`: their name on the wire, behind the upstream's prefix. `description`: in the place of theirs. `hide`:
    arguments that callers neither see nor send. `fixed`: arguments that are hidden and always sent; `default`: those
    that are sent where callers leave them out; `meta`: members of the request's `_meta`. Texts within `fixed` and
    `meta` may hold `${secret:NAME}` (here as `shim.templates` has it). `timeout`: seconds, in the place of the
    upstream's.
    """

    rename: ToolName | None = None
    description: Annotated[str, StringConstraints(min_length=1, max_length=16_384)] | None = None
    hide: tuple[ArgumentName, ...] = ()
    fixed: dict[ArgumentName, Json] = Field(default_factory=dict, repr=False)
    default: dict[ArgumentName, Json] = Field(default_factory=dict)
    meta: dict[MetaKey, Json] = Field(default_factory=dict, repr=False)
    timeout: Annotated[Duration, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_value(self) -> ToolBlock:
        for name in self.default:
            if name in self.fixed:
                raise ValueError(
                    f"`default` gives {name[:80]!r} a value that never counts: it is `fixed`; take one out"
                )
        return self


@dataclass(frozen=True, slots=True)
class Idle:
    """An argument that a pattern is about and no tool that it matches has. `tools`: how many it matches.

    `what`: `fixes`, `hides` or `defaults`.
    """

    pattern: str
    argument: str
    tools: int
    what: str = "fixes"

    def __str__(self) -> str:
        none = (
            "the tool has no such argument" if self.tools == 1 else f"none of {self.tools} tools has such an argument"
        )
        return f"`{self.pattern}` {self.what} {self.argument!r}, and {none}: {_IDLE[self.what]}"


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A pattern that no tool fits, of an upstream whose tools are known: what it was to hide is not hidden."""

    pattern: str

    def __str__(self) -> str:
        return f"`{self.pattern}` matches no tool that is known now"


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that a pattern gives to an argument, and that a tool does not take; `why` is without it."""

    pattern: str
    argument: str
    tool: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"`{self.pattern}` {self.what} {self.argument!r} to what {self.tool} does not take: {self.why}"


@dataclass(frozen=True, slots=True)
class Renamed:
    """What a tool is called on the wire behind its upstream's prefix, and the pattern that says so."""

    pattern: str
    name: str


@dataclass(slots=True)
class _Said:
    """All that is said of one tool, each pattern on top of those before it."""

    fixed: dict[str, Json] = field(default_factory=dict)
    default: dict[str, Json] = field(default_factory=dict)
    meta: dict[str, Json] = field(default_factory=dict)
    hide: set[str] = field(default_factory=set)
    rename: Renamed | None = None
    description: str | None = None
    timeout: float | None = None

    @property
    def hidden(self) -> frozenset[str]:
        return frozenset(self.fixed) | self.hide

    def add(self, pattern: str, block: ToolBlock) -> None:
        self.fixed |= block.fixed
        self.default |= block.default
        self.meta |= block.meta
        self.hide.update(block.hide)
        self.rename = Renamed(pattern, block.rename) if block.rename is not None else self.rename
        self.description = block.description if block.description is not None else self.description
        self.timeout = block.timeout if block.timeout is not None else self.timeout


def _anywhere(_upstream: str, _tool: str, _argument: str, _value: Json) -> str | None:
    return None


class Curation:
    """The patterns of one configuration, compiled."""

    def __init__(self, blocks: Mapping[str, ToolBlock] | None = None) -> None:
        self._blocks = [(pattern, Glob(pattern), block) for pattern, block in (blocks or {}).items()]

    def hides(self, ref: str) -> frozenset[str]:
        """The arguments that no caller may send to what is named `upstream/tool`, whether or not there is one."""
        said = self._said(ref)
        return said.hidden if said is not None else frozenset()

    def renamed(self, ref: str) -> Renamed | None:
        """What is said of the name of what policy calls so."""
        said = self._said(ref)
        return said.rename if said is not None else None

    def of(self, tool: Tool) -> Tool:
        """The tool as clients see it, with what goes into its calls; called on the wire as it is. Itself where there
        is nothing.

        A value goes into calls of tools that have the argument, or that take others than those they name. Raises
        CannotHide.
        """
        said = self._said(tool.ref)
        if said is None:
            return tool
        own = replace(tool, timeout=said.timeout)
        schema = tool.definition.get("inputSchema")
        takes, hidden = inputs.declared(schema), said.hidden
        # What is hidden and has a value is sent whatever callers do.
        given = {**{name: value for name, value in said.default.items() if name in hidden}, **said.fixed}
        sent, defaults = (
            {name: value for name, value in each.items() if takes is None or name in takes}
            for each in (given, {name: value for name, value in said.default.items() if name not in hidden})
        )
        fixed = Fixed(sent, said.meta, hidden, None if takes is None else takes - hidden, own, defaults)
        definition = _shown(tool.definition, said, frozenset(sent), defaults)
        digest = tool.digest if definition == tool.definition else jsontext.digest(definition)
        return replace(own, definition=definition, digest=digest, fixed=fixed)

    def lint(
        self, offered: tuple[Offered, ...], places: Places = _anywhere, left_out: Iterable[str] = ()
    ) -> Iterator[Unmatched | Idle | Misfit]:
        """What does nothing of what is said of tools, or breaks calls, by what is known now. A pattern of an upstream
        of which nothing is known may wait. `places` knows more than schemas do. `left_out`: what it has, and cannot
        be offered.
        """
        yield from self._unmatched({*(one.ref for one in offered if isinstance(one, Tool)), *left_out})
        tools = [one for one in offered if isinstance(one, Tool) and one.fixed is not None]
        schemas = {one.ref: one.fixed.own.definition.get("inputSchema") for one in tools if one.fixed}
        takes = {ref: inputs.declared(schema) for ref, schema in schemas.items()}
        for pattern, glob, block in self._blocks:
            matching = [one.ref for one in tools if glob.matches(one.ref)]
            for what, names in (("fixes", block.fixed), ("hides", block.hide), ("defaults", block.default)):
                for name in names:
                    if matching and not any(takes[ref] is None or name in (takes[ref] or ()) for ref in matching):
                        yield Idle(pattern, name, len(matching), what)
            for what, values in (("fixes", block.fixed), ("defaults", block.default)):
                for name, value in values.items():
                    # What a secret becomes a part of is known only in the call.
                    if not _holds_secret(value):
                        found = Misfit(pattern, name, "", what, "")
                        yield from _misfits(found, value, {ref: schemas[ref] for ref in matching}, takes, places)

    def _unmatched(self, known: Collection[str]) -> Iterator[Unmatched]:
        upstreams = {ref.partition("/")[0] for ref in known}
        for pattern, glob, _ in self._blocks:
            upstream, slash, _ = glob.prefix.partition("/")
            if slash and upstream in upstreams and not any(map(glob.matches, known)):
                yield Unmatched(pattern)

    def _said(self, ref: str) -> _Said | None:
        said = None
        for pattern, glob, block in self._blocks:
            if glob.matches(ref):
                said = said or _Said()
                said.add(pattern, block)
        return said


def _shown(definition: JsonObject, said: _Said, sent: frozenset[str], defaults: Mapping[str, Json]) -> JsonObject:
    """A definition as clients see it. Raises CannotHide."""
    shown, schema = definition, definition.get("inputSchema")
    if isinstance(schema, dict):
        seen = inputs.without(schema, sent) if sent else schema
        never = said.hidden - sent
        seen = inputs.never(seen, never) if never else seen
        seen = inputs.optional(seen, defaults) if defaults else seen
        shown = {**shown, "inputSchema": seen}
    return shown if said.description is None else {**shown, "description": said.description}


def _misfits(
    found: Misfit,
    value: Json,
    schemas: Mapping[str, Json],
    takes: Mapping[str, Collection[str] | None],
    places: Places,
) -> Iterator[Misfit]:
    for ref, schema in schemas.items():
        why = arguments.unfit(schema, found.argument, value)
        if why is None and found.argument in (takes[ref] or ()):
            upstream, _, tool = ref.partition("/")
            why = places(upstream, tool, found.argument, value)
        if why is not None:
            yield replace(found, tool=ref, why=why)


def _holds_secret(value: Json) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_secret, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and templates.MARK in value
