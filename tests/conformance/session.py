"""A scripted session with the reference server: what a client asks one after the other, and all that it hears."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from shim.model import JsonObject
from tests.conformance.likeness import neutral
from tests.conformance.server.resources import TEMPLATE
from tests.promises.wire import Era, HttpPeer


@dataclass(frozen=True, slots=True)
class Step:
    """One request."""

    method: str
    params: JsonObject

    def __str__(self) -> str:
        return f"{self.method} {json.dumps(self.params)}"


def call(tool: str, **arguments: object) -> Step:
    """A call whose client wants to hear of progress and, as a modern one, of the log."""
    meta = {"progressToken": f"of-{tool}", "io.modelcontextprotocol/logLevel": "info"}
    return Step("tools/call", {"name": tool, "arguments": arguments, "_meta": meta})


def _completion(ref: JsonObject, argument: str, value: str) -> JsonObject:
    return {"ref": ref, "argument": {"name": argument, "value": value}}


TOOLS: tuple[Step, ...] = (
    Step("tools/list", {}),
    call("test_simple_text"),
    call("test_image_content"),
    call("test_audio_content"),
    call("test_embedded_resource"),
    call("test_resource_link"),
    call("test_multiple_content_types"),
    call("test_error_handling"),
    call("test_structured_content", a=2, b=2**70),
    call("json_schema_2020_12_tool", name="n", contactMethod="phone", phone="1"),
    call("test_tool_with_progress"),
    call("test_missing_capability"),
    call("no_such_tool"),
)
PROMPTS: tuple[Step, ...] = (
    Step("prompts/list", {}),
    Step("prompts/get", {"name": "test_simple_prompt"}),
    Step("prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "one", "arg2": "\u00e9"}}),
    Step("prompts/get", {"name": "test_prompt_with_embedded_resource", "arguments": {"resourceUri": "test://x"}}),
    Step("prompts/get", {"name": "test_prompt_with_image"}),
    Step("prompts/get", {"name": "no_such_prompt"}),
    Step(
        "completion/complete", _completion({"type": "ref/prompt", "name": "test_prompt_with_arguments"}, "arg1", "pa")
    ),
    Step("completion/complete", _completion({"type": "ref/resource", "uri": TEMPLATE}, "id", "12")),
)
RESOURCES: tuple[Step, ...] = (
    Step("resources/list", {}),
    Step("resources/templates/list", {}),
    Step("resources/read", {"uri": "test://static-text"}),
    Step("resources/read", {"uri": "test://static-binary"}),
    Step("resources/read", {"uri": "test://watched-resource"}),
    Step("resources/read", {"uri": "test://template/7/data"}),
    Step("resources/read", {"uri": "test://no-such-resource"}),
)
LOGGING: tuple[Step, ...] = (call("test_tool_with_logging"), call("test_logging_tool"))


async def held(peer: HttpPeer, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Each step and, as text, the answer to it and what was heard before; what may differ is taken out."""
    lines: list[tuple[str, str]] = []
    for step in steps:
        del peer.heard[:]
        answer = await peer.request(step.method, step.params)
        heard = [neutral(message) for message in peer.heard]
        lines.append((str(step), json.dumps([heard, neutral(answer)], indent=1)))
    return lines


def steps_of(era: Era) -> tuple[Step, ...]:
    """What is asked in an era."""
    return TOOLS + PROMPTS + RESOURCES + LOGGING
