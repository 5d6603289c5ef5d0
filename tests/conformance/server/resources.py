"""Resources: text, bytes, one that changes, one that asks first, and those of a template."""

from __future__ import annotations

import json
import re

from mcp_types import BlobResourceContents, ReadResourceResult, Resource, ResourceTemplate, TextResourceContents

from tests.conformance.server.asking import form, said
from tests.conformance.server.content import PNG
from tests.conformance.server.offer import Offer, Request, ResourceOffer
from tests.conformance.server.world import WATCHED

TEMPLATE = "test://template/{id}/data"
_MADE = re.compile(r"test://template/([^/]+)/data")


def _text(uri: str, mime_type: str, words: str) -> ReadResourceResult:
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=words)])


async def _static_text(request: Request) -> ReadResourceResult:
    return _text("test://static-text", "text/plain", "This is the content of the static text resource.")


async def _static_binary(request: Request) -> ReadResourceResult:
    blob = BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=PNG)
    return ReadResourceResult(contents=[blob])


async def _watched(request: Request) -> ReadResourceResult:
    return _text(WATCHED, "text/plain", f"Edition {request.world.state.edition}.")


async def _asking(request: Request) -> ReadResourceResult:
    answers = await request.asking.ask({"reader": form("Who reads this?", {"name": {"type": "string"}}, ["name"])})
    return _text("test://visitors-book", "text/plain", f"Read by {said(answers['reader'])}")


async def _made(request: Request) -> ReadResourceResult:
    match = _MADE.fullmatch(request.arguments["uri"])
    assert match is not None
    words = json.dumps({"id": match[1], "templateTest": True, "data": f"Data for ID: {match[1]}"})
    return _text(request.arguments["uri"], "application/json", words)


def _resource(uri: str, description: str, mime_type: str) -> Resource:
    return Resource(uri=uri, name=uri.removeprefix("test://"), description=description, mime_type=mime_type)


RESOURCES: tuple[ResourceOffer, ...] = (
    Offer(_resource("test://static-text", "Text that never changes.", "text/plain"), _static_text),
    Offer(_resource("test://static-binary", "An image that never changes.", "image/png"), _static_binary),
    Offer(_resource(WATCHED, "Text that changes when a tool writes it.", "text/plain"), _watched),
    Offer(_resource("test://visitors-book", "Text that asks who reads it.", "text/plain"), _asking),
)
MORE: ResourceOffer = Offer(
    _resource("test://dynamic-resource", "Is there after every other change of the list.", "text/plain"), _watched
)
TEMPLATES = tuple(
    ResourceTemplate(uri_template=uri, name=name, description=description, mime_type="application/json")
    for uri, name, description in (
        (TEMPLATE, "data", "Data that is made for an id."),
        ("test://other/{name}/data", "other", "Nothing that could be read."),
    )
)


def made(uri: str) -> ResourceOffer | None:
    """The resource of the template that has this URI."""
    return Offer(_resource(uri, "Made for an id.", "application/json"), _made) if _MADE.fullmatch(uri) else None
