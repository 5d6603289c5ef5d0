"""A tool, prompt or resource and what it does, as its module declares it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mcp_types import CallToolResult, ContentBlock, GetPromptResult, Prompt, ReadResourceResult, Resource, Tool

from tests.conformance.server.asking import Asking
from tests.conformance.server.world import Context, World

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One request to a tool, prompt or resource: what it was given and whom it can talk to."""

    ctx: Context
    world: World
    arguments: Arguments
    asking: Asking


Definition = TypeVar("Definition", Tool, Prompt, Resource)
Result = TypeVar("Result", CallToolResult, GetPromptResult, ReadResourceResult)


@dataclass(frozen=True)
class Offer(Generic[Definition, Result]):
    """A definition, and what answers requests for it."""

    definition: Definition
    run: Callable[[Request], Awaitable[Result]]


ToolOffer = Offer[Tool, CallToolResult]
PromptOffer = Offer[Prompt, GetPromptResult]
ResourceOffer = Offer[Resource, ReadResourceResult]

NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}}
"""The schema of a tool without arguments."""


def tool(
    name: str,
    description: str,
    run: Callable[[Request], Awaitable[CallToolResult]],
    schema: Mapping[str, Any] = NOTHING,
    output: Mapping[str, Any] | None = None,
) -> ToolOffer:
    output_schema = dict(output) if output is not None else None
    definition = Tool(name=name, description=description, input_schema=dict(schema), output_schema=output_schema)
    return Offer(definition, run)


def result(*content: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(content))
