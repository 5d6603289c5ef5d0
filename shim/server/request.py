"""One request of a client, as every face hands it to what answers it."""

from __future__ import annotations

from dataclasses import dataclass

from shim.gateway import Gateway
from shim.generation import Sender
from shim.model import Caller
from shim.server.message import Message, RequestId
from shim.server.notices import Ask, Deliver


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, in which words, and the way back to the client before the answer: `deliver` sends it a notification.

    Of a legacy client: `ask` puts a question to it, and `aside` sends it a notification that belongs to no request.
    """

    id: RequestId
    sender: Sender
    caller: Caller
    message: Message
    deliver: Deliver
    ask: Ask | None = None
    aside: Deliver | None = None

    @property
    def gateway(self) -> Gateway:
        """The gateway of the generation that the request belongs to."""
        return self.sender.generation.gateway
