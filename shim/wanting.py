"""Secrets that only a person can give: the client is asked to lead its person to the page, and the call waits.

That is the shim's own question, of no upstream, so no grant has to allow it. Source: specification 2025-11-25 and
2026-07-28, client/elicitation, URL mode.
"""

from __future__ import annotations

import asyncio
from typing import Final

import anyio
from mcp_types.methods import INPUT_REQUIRED_METHODS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.errors import RecordUnavailable, Refusal, SecretUnavailable, SecretWanted, Unanswered
from shim.invocations import Invocations
from shim.lending import Leased, Leases, Secrets
from shim.model import Call, Caller, JsonObject, Listener, Question
from shim.upstream.failures import NotAccepted, NotLetIn

ASKING: Final = 300.0
"""Seconds that a person has to say whether they will."""
WAITING: Final = 50.0
"""Seconds that a call waits for what a person said they would give: less than clients usually wait for a call."""
_LOOK: Final = 1.0
_DOUBTING: Final = 10.0


class Wanting:
    """Takes leases for calls, and asks for what is missing. Holds no state."""

    def __init__(
        self, invocations: Invocations, secrets: Secrets, *, asking: float = ASKING, waiting: float = WAITING
    ) -> None:
        self._invocations = invocations
        self._secrets = secrets
        self._asking = asking
        self._waiting = waiting

    def may_ask(self, caller: Caller) -> bool:
        """Whether this caller's client could be asked for some secret."""
        return self._secrets.are_given and _can_be_asked(caller)

    async def take(self, call: Call, leases: Leases, listener: Listener) -> Leased:
        """The leases of a call. Raises SecretUnavailable, which tells where to give what nobody could be asked for."""
        asked: set[str] = set()
        while True:
            try:
                return await leases.take()
            except SecretWanted as wanted:
                if wanted.secret in asked or call.method not in INPUT_REQUIRED_METHODS:
                    raise
                if not _can_be_asked(call.caller):
                    raise
                asked.add(wanted.secret)
                id_ = await self._ask(call, wanted, listener)
                if await self._given(leases, wanted) and id_ is not None:
                    await listener.completed({"elicitationId": id_})

    async def look(self, refusal: Refusal, leases: Leases) -> None:
        """See why a call failed: what people gave and the upstream does not accept is asked for the next time."""
        if isinstance(refusal, NotAccepted | NotLetIn):
            # Whoever leaves meanwhile leaves a call behind whose outcome is not on the record yet.
            with anyio.move_on_after(_DOUBTING, shield=True):
                await leases.doubt()

    async def _given(self, leases: Leases, wanted: SecretWanted) -> bool:
        """Return once it was given, or it was waited for: which of them."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._waiting
        while (left := end - clock()) > 0:
            try:
                await leases.take()
            except SecretWanted as still:
                if still.secret != wanted.secret:
                    return True
            else:
                return True
            await leases.news(min(left, _LOOK))
        return False

    async def _ask(self, call: Call, wanted: SecretWanted, listener: Listener) -> str | None:
        """Return when the person says that they will: the id of the question, in an era that has such.

        Raises SecretUnavailable.
        """
        body: JsonObject = {"identity": call.caller.identity.name, "secret": wanted.secret}
        await self._note(call, wanted, "secret.asked", body)
        params: JsonObject = {"mode": "url", "message": _message(call, wanted), "url": wanted.url}
        id_ = f"{call.id}-{wanted.secret}" if call.caller.protocol not in MODERN_PROTOCOL_VERSIONS else None
        if id_ is not None:
            params["elicitationId"] = id_
        try:
            async with asyncio.timeout(self._asking):
                question = Question({"method": "elicitation/create", "params": params}, self._asking)
                response = await listener.ask(question)
        except (TimeoutError, Unanswered):
            action = "none"
        else:
            said = (response.result or {}).get("action")
            action = said if said in ("accept", "decline", "cancel") else "none"
        await self._note(call, wanted, "secret.answered", {**body, "action": action})
        if action == "decline":
            raise _declined(wanted)
        if action != "accept":
            raise wanted
        return id_

    async def _note(self, call: Call, wanted: SecretWanted, kind: str, body: JsonObject) -> None:
        try:
            await self._invocations.note(call, kind, body)
        except RecordUnavailable as error:
            # Not as what it is: of that a caller is told that the call ran.
            raise SecretUnavailable(wanted.name, f"that it is asked for could not be recorded: {error}") from None


def _declined(wanted: SecretWanted) -> SecretUnavailable:
    told = f"The call was not made: it needs the credential {wanted.name}, and the person declined to give it."
    return SecretUnavailable(wanted.name, "the person was asked for it and declined", told)


def _can_be_asked(caller: Caller) -> bool:
    elicitation = caller.capabilities.get("elicitation")
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)


def _message(call: Call, wanted: SecretWanted) -> str:
    what = f"{call.tool or call.method} needs your credential {wanted.name}, which you give at a page of this server"
    return f"{what}: {wanted.prompt}" if wanted.prompt else f"{what}."
