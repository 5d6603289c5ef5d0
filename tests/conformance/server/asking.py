"""How tools, prompts and resources ask the client something, the same in both eras.

A handler asks as if it could wait. Legacy clients are asked by requests on the stream of the call. Modern ones get an
`input_required` result: the handler ends there and runs anew when the client retries, with all answers so far.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitationCapability,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    RootsCapability,
    SamplingCapability,
    SamplingMessage,
    TextContent,
    UrlElicitationCapability,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from tests.conformance.server.world import Context

Answer = ElicitResult | CreateMessageResult | ListRootsResult

_ANSWERS: dict[type[Any], type[Answer]] = {
    ElicitRequest: ElicitResult,
    CreateMessageRequest: CreateMessageResult,
    ListRootsRequest: ListRootsResult,
}


class AskFirst(Exception):
    """The answer to a modern client for now: what it has to be asked before there can be another."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


class Unable(Exception):
    """A legacy client cannot be asked this: its capabilities do not say so."""


def form(message: str, properties: Mapping[str, Any], required: list[str] | None = None) -> ElicitRequest:
    """A question with a form."""
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required is not None:
        schema["required"] = required
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def page(message: str, url: str, name: str) -> ElicitRequest:
    """A question that sends the person to a page; `name` is its id, which the modern wire does without."""
    return ElicitRequest(params=ElicitRequestURLParams(message=message, url=url, elicitation_id=name))


def sample(prompt: str) -> CreateMessageRequest:
    """A question for the client's model."""
    message = SamplingMessage(role="user", content=TextContent(text=prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def roots() -> ListRootsRequest:
    """The question which folders the client works on."""
    return ListRootsRequest()


def needed(question: InputRequest) -> ClientCapabilities:
    """What a client must have declared to be asked this."""
    if isinstance(question, CreateMessageRequest):
        return ClientCapabilities(sampling=SamplingCapability())
    if isinstance(question, ListRootsRequest):
        return ClientCapabilities(roots=RootsCapability())
    url = UrlElicitationCapability() if isinstance(question.params, ElicitRequestURLParams) else None
    return ClientCapabilities(elicitation=ElicitationCapability(url=url))


def said(answer: Answer) -> str:
    """An answer as one line of text."""
    if isinstance(answer, CreateMessageResult):
        return answer.content.text if isinstance(answer.content, TextContent) else answer.content.type
    if isinstance(answer, ListRootsResult):
        return ", ".join(str(root.uri) for root in answer.roots)
    return f"action={answer.action}, content={json.dumps(answer.content or {})}"


class Asking:
    """The questions of one request."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._answered: dict[str, Any] = {}
        """What the client has said so far to what was asked, as it came."""

    @property
    def modern(self) -> bool:
        return self._ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    def can(self, question: InputRequest) -> bool:
        """Whether the client declared that it can be asked this."""
        need = needed(question)
        if need.elicitation is not None and need.elicitation.url is not None:
            have = self._ctx.session.client_capabilities
            return have is not None and have.elicitation is not None and have.elicitation.url is not None
        return self._ctx.session.check_client_capability(need)

    async def ask(self, questions: Mapping[str, InputRequest], *, remember: bool = False) -> dict[str, Answer]:
        """The answers by the questions' names. With `remember` a modern client is handed a state from the start.

        Raises MCPError for a modern client that cannot be asked, Unable for a legacy one, AskFirst to be asked.
        """
        for question in questions.values():
            self._check(question)
        if self.modern:
            return self._given(questions, remember)
        answers = await asyncio.gather(*(self._send(question) for question in questions.values()))
        return dict(zip(questions, answers, strict=True))

    def _check(self, question: InputRequest) -> None:
        if self.can(question):
            return
        need = needed(question).model_dump(by_alias=True, mode="json", exclude_none=True)
        if not self.modern:
            raise Unable(f"the client does not support {', '.join(need)}")
        data = {"requiredCapabilities": need}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", data)

    async def _send(self, question: InputRequest) -> Answer:
        related = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        return await self._ctx.session.send_request(question, _ANSWERS[type(question)], metadata=related)

    def _given(self, questions: Mapping[str, InputRequest], remember: bool) -> dict[str, Answer]:
        params = self._ctx.params or {}
        state = params.get("requestState")
        given = {**(json.loads(state) if state else {}), **(params.get("inputResponses") or {})}
        found: dict[str, Answer] = {}
        for name, question in questions.items():
            try:
                found[name] = _ANSWERS[type(question)].model_validate(given.get(name), by_name=False)
            except ValidationError:
                continue
            self._answered[name] = given[name]
        if len(found) == len(questions):
            return found
        raise AskFirst(
            InputRequiredResult(
                input_requests={name: question for name, question in questions.items() if name not in found},
                request_state=json.dumps(self._answered) if self._answered or remember else None,
            )
        )
