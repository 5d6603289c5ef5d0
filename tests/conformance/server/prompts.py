"""Prompts: plain, with arguments, with a resource, with an image, and one that asks first."""

from __future__ import annotations

from mcp_types import ContentBlock, GetPromptResult, Prompt, PromptArgument, PromptMessage

from tests.conformance.server.asking import form, said
from tests.conformance.server.content import embedded, image, text
from tests.conformance.server.offer import Offer, PromptOffer, Request


def _messages(*content: ContentBlock) -> GetPromptResult:
    return GetPromptResult(messages=[PromptMessage(role="user", content=block) for block in content])


async def _simple(request: Request) -> GetPromptResult:
    return _messages(text("This is a simple prompt for testing."))


async def _with_arguments(request: Request) -> GetPromptResult:
    first, second = request.arguments.get("arg1", ""), request.arguments.get("arg2", "")
    return _messages(text(f"Prompt with arguments: arg1='{first}', arg2='{second}'"))


async def _with_resource(request: Request) -> GetPromptResult:
    resource = embedded(request.arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return _messages(resource, text("Please process the embedded resource above."))


async def _with_image(request: Request) -> GetPromptResult:
    return _messages(image(), text("Please analyze the image above."))


async def _asking(request: Request) -> GetPromptResult:
    fields = {"context": {"type": "string"}}
    question = form("What context should the prompt use?", fields, ["context"])
    answers = await request.asking.ask({"user_context": question})
    return _messages(text(f"Prompt with context: {said(answers['user_context'])}"))


def _prompt(name: str, description: str, *arguments: str) -> Prompt:
    wanted = [PromptArgument(name=argument, description=f"The {argument}.", required=True) for argument in arguments]
    return Prompt(name=name, description=description, arguments=wanted)


PROMPTS: tuple[PromptOffer, ...] = (
    Offer(_prompt("test_simple_prompt", "A prompt without arguments."), _simple),
    Offer(_prompt("test_prompt_with_arguments", "A prompt with two arguments.", "arg1", "arg2"), _with_arguments),
    Offer(_prompt("test_prompt_with_embedded_resource", "A prompt with a resource.", "resourceUri"), _with_resource),
    Offer(_prompt("test_prompt_with_image", "A prompt with an image."), _with_image),
    Offer(_prompt("test_input_required_result_prompt", "A prompt that asks first."), _asking),
)
MORE: PromptOffer = Offer(_prompt("test_dynamic_prompt", "Is there after every other change of the list."), _simple)
