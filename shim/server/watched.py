"""The resources that one session, or one stream, is told of."""

from __future__ import annotations

from collections.abc import Callable

from mcp_types import INVALID_PARAMS

from shim.errors import ProtocolError, Unanswered
from shim.methods import SUBSCRIBE
from shim.model import Answer, Caller, JsonObject, Question, Response
from shim.server.request import Request

MOST = 1000
"""How many resources one session or stream may be told of."""


class Watched:
    """A `Subscriber`. `tell` is told of each that changed: its URI, and what policy calls it."""

    def __init__(self, tell: Callable[[str, str], None] = lambda _uri, _ref: None) -> None:
        self.tell = tell
        self.caller: Caller | None = None
        """Who subscribed last: all of a session or stream are one identity."""
        self._releases: dict[str, Callable[[], None]] = {}
        self._closed = False

    async def subscribe(self, request: Request, uri: str | None = None) -> Answer:
        """One governed subscription; `uri` in the place of the one in the request's params. Raises ProtocolError."""
        params = request.message.params if uri is None else {"uri": uri}
        if len(self._releases) >= MOST and params.get("uri") not in self._releases:
            raise ProtocolError(INVALID_PARAMS, f"Invalid params: more than {MOST} resources are subscribed to")
        self.caller = request.caller
        before = self._releases.get(str(params.get("uri")))
        answer = await request.gateway.call(request.caller, SUBSCRIBE, params, self)
        if answer.result is None and self._releases.get(str(params.get("uri"))) is not before:
            # The upstream took it, but its outcome could not be recorded.
            self.leave(str(params.get("uri")))
        return answer

    def leave(self, uri: str) -> None:
        """Be told of this one no more."""
        release = self._releases.pop(uri, None)
        if release is not None:
            release()

    def close(self) -> None:
        """Be told of none any more."""
        self._closed = True
        for uri in tuple(self._releases):
            self.leave(uri)

    def heard(self, uri: str, release: Callable[[], None]) -> None:
        self.leave(uri)
        self._releases[uri] = release
        if self._closed:
            self.leave(uri)

    def updated(self, uri: str, ref: str) -> None:
        self.tell(uri, ref)

    async def progress(self, params: JsonObject) -> None:
        """Subscribing has none."""

    async def log(self, params: JsonObject) -> None:
        """What an upstream logs meanwhile belongs to no call."""

    async def ask(self, question: Question) -> Response:  # noqa: ARG002 (as a listener has it)
        raise Unanswered("no question belongs to a subscription")

    async def completed(self, params: JsonObject) -> None:
        """Nothing was asked."""
