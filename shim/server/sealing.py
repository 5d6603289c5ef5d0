"""The `requestState` of questions: what ties a client's answers to the call that waits for them.

Sealed with a key of this process alone (AES-256-GCM), so that a client can neither read nor make one, and bound to the
identity, the request and the round that it was made for. That one is used once only is for the holder to see to.

Source: specification 2026-07-28, basic/patterns/mrtr, "Server Requirements".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from mcp_types import INVALID_PARAMS

from shim import jsontext
from shim.errors import ProtocolError
from shim.model import JsonObject

_NONCE = 12
_LONGEST = 2048
_APART = ("_meta", "inputResponses", "requestState")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a state says: which call, which round of it, whose, of which request, and until when (on the clock)."""

    call: str
    round: int
    identity: str
    request: str
    until: float


def request_digest(method: str, params: JsonObject) -> str:
    """What a retry must have in common with its first request: the method and all params but those of the round."""
    return jsontext.digest([method, {key: value for key, value in params.items() if key not in _APART}])


class Sealer:
    """Makes states and reads them. `random` gives that many unpredictable bytes, `clock` seconds."""

    def __init__(self, random: Callable[[int], bytes], clock: Callable[[], float]) -> None:
        self._random = random
        self._clock = clock
        self._cipher = AESGCM(random(32))
        # Not a secret: by it a state is known to be another process's, where it could only be told to be wrong.
        self._process = random(8).hex()

    def seal(self, ticket: Ticket) -> str:
        """The state of a ticket: text that a client passes on as it is."""
        said = [ticket.call, ticket.round, ticket.identity, ticket.request, ticket.until]
        nonce = self._random(_NONCE)
        sealed = self._cipher.encrypt(nonce, json.dumps(said).encode(), self._process.encode())
        return f"{self._process}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, state: str, identity: str, request: str) -> Ticket:
        """The ticket of a state that this identity sends with this request. Raises ProtocolError for any other."""
        process, _, text = state.partition(".")
        if len(state) > _LONGEST or len(process) != 16 or not state.isascii():
            raise wrong("it is not one that this server gave")
        if process != self._process:
            raise wrong("another process of this server holds the call, or held it before it was restarted")
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
            said = json.loads(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], process.encode()))
        except (binascii.Error, InvalidTag, ValueError):
            raise wrong("it is not one that this server gave") from None
        ticket = Ticket(*said)
        if ticket.identity != identity:
            raise wrong("it was given to somebody else")
        if ticket.request != request:
            raise wrong("it belongs to another request: send the same method, name and arguments again")
        if ticket.until < self._clock():
            raise wrong("it came too late, and the question was withdrawn")
        return ticket


def wrong(why: str) -> ProtocolError:
    """What a client is told of a state that leads nowhere; nothing was run."""
    return ProtocolError(INVALID_PARAMS, f"Invalid params: requestState is refused, and nothing was run: {why}")
