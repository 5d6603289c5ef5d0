"""What of an upstream's offer can be shown: definitions that clients can read, under names that people can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mcp_types import Prompt as PromptModel
from mcp_types import Resource as ResourceModel
from mcp_types import ResourceTemplate as TemplateModel
from mcp_types import Tool as ToolModel
from pydantic import BaseModel, ValidationError

from shim import jsontext, uritemplates
from shim.curating import Curation
from shim.inputs import CannotHide
from shim.meta import without_own
from shim.model import JsonObject, Offer, Offered, Prompt, Resource, Template, Tool
from shim.naming import strange, strange_uri, wire_name

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A definition that is not offered, and why, in one line for people. `kind` is that of `Offered`."""

    upstream: str
    name: str
    why: str
    kind: str = "tool"

    @property
    def ref(self) -> str:
        """What it would be called by in policy and record."""
        return f"{'' if self.kind == 'tool' else f'{self.kind}:'}{self.upstream}/{self.name}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is kept of one offer. Each list is in the order of its names."""

    offer: Offer
    tools: tuple[Tool, ...]
    prompts: tuple[Prompt, ...]
    resources: tuple[Resource, ...]
    templates: tuple[Template, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def digest(self) -> str:
        """Changes when anything of what is offered does."""
        kept = (self.tools, self.prompts, self.resources, self.templates)
        return jsontext.digest([[[one.name, one.digest] for one in each] for each in kept])


@dataclass(frozen=True, slots=True)
class _Sort:
    """How definitions of one kind are read: where their name is, what is wrong with it, and what clients expect."""

    key: str
    strange: Callable[[object], str | None]
    model: type[BaseModel]


_TOOLS = _Sort("name", strange, ToolModel)
_PROMPTS = _Sort("name", strange, PromptModel)
_RESOURCES = _Sort("uri", strange_uri, ResourceModel)
_TEMPLATES = _Sort("uriTemplate", lambda text: strange_uri(text) or uritemplates.fault(str(text)), TemplateModel)


def read_offer(offer: Offer, prefix: str, curation: Curation) -> Reading:
    """What of an offer can be shown: what is named strangely or malformed is left out, and so is a name's second.

    Tools are as they are curated; one that would still name what is to be hidden is left out.
    """
    left_out: list[LeftOut] = []
    upstream = offer.upstream
    return Reading(
        offer,
        tuple(_curated(offer, prefix, curation, left_out)),
        tuple(
            Prompt(upstream, name, wire_name(prefix, upstream, name), definition, jsontext.digest(definition))
            for name, definition in _kept(upstream, offer.prompts, _PROMPTS, Prompt, left_out).items()
        ),
        tuple(
            Resource(upstream, uri, uri, definition, jsontext.digest(definition))
            for uri, definition in _kept(upstream, offer.resources, _RESOURCES, Resource, left_out).items()
        ),
        tuple(
            Template(upstream, text, text, definition, jsontext.digest(definition))
            for text, definition in _kept(upstream, offer.templates, _TEMPLATES, Template, left_out).items()
        ),
        tuple(left_out),
    )


def _curated(offer: Offer, prefix: str, curation: Curation, left_out: list[LeftOut]) -> Iterator[Tool]:
    upstream = offer.upstream
    kept = _kept(upstream, offer.tools, _TOOLS, Tool, left_out)
    # Over all that was said: members that only the shim may set say what a definition does not show.
    digests = {name: jsontext.digest(raw) for raw in reversed(offer.tools) if isinstance(name := raw.get("name"), str)}
    for name, definition in kept.items():
        wire = wire_name(prefix, upstream, name)
        try:
            yield curation.of(Tool(upstream, name, wire, definition, digests[name]))
        except CannotHide as error:
            left_out.append(LeftOut(upstream, name[:_SHOWN], f"an argument that is `fixed` cannot be hidden: {error}"))


def _kept(
    upstream: str, definitions: Iterable[JsonObject], sort: _Sort, kind: type[Offered], left_out: list[LeftOut]
) -> Mapping[str, JsonObject]:
    kept: dict[str, JsonObject] = {}
    for raw in definitions:
        name = raw.get(sort.key)
        why = sort.strange(name)
        if why is not None or not isinstance(name, str):
            left_out.append(LeftOut(upstream, repr(name)[:_SHOWN], why or "", kind.kind))
            continue
        why = "the upstream offers this name twice; the first is kept" if name in kept else _malformed(raw, sort)
        if why is not None:
            left_out.append(LeftOut(upstream, name[:_SHOWN], why, kind.kind))
            continue
        kept[name] = without_own(raw)
    return dict(sorted(kept.items()))


def _malformed(raw: JsonObject, sort: _Sort) -> str | None:
    """Why clients could not read a definition: one that they refuse would cost them the whole list."""
    if sort is _TOOLS:
        schema = raw.get("inputSchema")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            return "its inputSchema is not a schema of an object"
    try:
        sort.model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"its definition is malformed: {where}: {first['msg']}"
    return None
