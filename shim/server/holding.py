"""Held calls: calls of modern clients that are asked something in the middle, and answer with another request.

The call stays with a task of this process, whatever its upstream is; the client gets `input_required` with its
questions and a sealed `requestState`, and its next request with that state takes the call up again. A call is never
begun a second time by that.

Source: specification 2026-07-28, basic/patterns/mrtr.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from shim.errors import ProtocolError, Unanswered
from shim.model import Answer, Caller, Json, JsonObject, Listener, Offered
from shim.server.held import Held
from shim.server.sealing import Sealer, Ticket, request_digest, wrong

_log = logging.getLogger("shim.server")

Check: TypeAlias = Callable[[Offered], None]
"""Raises ProtocolError where a request's headers contradict it; called once the caller is known to see the target."""

Run: TypeAlias = Callable[[Listener, Check], Awaitable[Answer]]
"""Makes the call, from intent to answer, heard by this listener. May raise ProtocolError."""

_STOPPED = Answer(error={"code": INTERNAL_ERROR, "message": "The call was cancelled: the server is stopping"})


class Holding:
    """Owns the calls that may be held, each with a task of its own. Enter `running` first.

    So many may wait for their clients at once, of one identity and in all: a question over that is not asked.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        per_identity: int = 64,
        in_all: int = 1024,
    ) -> None:
        self._sealer = Sealer(random, clock)
        self._clock = clock
        self._random = random
        self._per_identity = per_identity
        self._in_all = in_all
        self._held: dict[str, Held] = {}
        self._of: Counter[str] = Counter()
        self._scopes: dict[Held, anyio.CancelScope] = {}
        self._group: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the calls; leaving cancels those that still run, and each records its end."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    def now(self) -> float:
        """See `Holder`."""
        return self._clock()

    def seal(self, ticket: Ticket) -> str:
        """See `Holder`."""
        return self._sealer.seal(ticket)

    def abandon(self) -> None:
        """Cancel every call that still runs."""
        for scope in tuple(self._scopes.values()):
            scope.cancel()

    async def begin(
        self,
        caller: Caller,
        method: str,
        params: JsonObject,
        listener: Listener,
        check: Check | None,
        run: Run,
        given: JsonObject,
    ) -> Answer:
        """Make a call that may be held: its answer, or the first questions. Cancelling cancels the call.

        `given` are answers that came with it, by the names of the questions: those are not put to the client again.
        """
        if self._group is None:
            raise RuntimeError("not running")
        identity = caller.identity.name
        held = Held(self, self._random(16).hex(), identity, _scopes(caller), request_digest(method, params), given)

        def seen(target: Offered) -> None:
            held.target = target
            if check is not None:
                check(target)

        self._scopes[held] = anyio.CancelScope()
        self._group.start_soon(self._run, held, run, seen)
        return await self._answered(held, listener)

    async def resume(
        self, caller: Caller, method: str, params: JsonObject, listener: Listener, check: Check | None
    ) -> Answer:
        """Take up the call that a request with answers belongs to. Raises ProtocolError; then nothing was run."""
        state, inputs = params.get("requestState"), inputs_of(params)
        if not isinstance(state, str):
            raise ProtocolError(INVALID_PARAMS, "Invalid params: requestState must be a string")
        identity = caller.identity.name
        ticket = self._sealer.open(state, identity, request_digest(method, params))
        held = self._held.get(ticket.call)
        if held is None:
            raise wrong("the call is over")
        if not _scopes(caller) >= held.scopes:
            raise wrong("the call began with an access token of more scopes: send one that has them")
        if check is not None and held.target is not None:
            check(held.target)
        held.take(ticket, inputs)
        return await self._answered(held, listener)

    async def _answered(self, held: Held, listener: Listener) -> Answer:
        try:
            return await held.answered(listener)
        except asyncio.CancelledError:
            scope = self._scopes.get(held)
            if scope is not None:
                scope.cancel()
            raise

    async def _run(self, held: Held, run: Run, seen: Check) -> None:
        answer: Answer | Exception = _STOPPED
        try:
            with self._scopes[held]:
                answer = await run(held, seen)
        except ProtocolError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 (the boundary of a background task; who waits answers for it)
            _log.exception("a held call failed")
            answer = error
        finally:
            self._forget(held)
            held.end(answer)

    def keep(self, held: Held) -> None:
        """See `Holder`."""
        if held.is_kept:
            return
        if len(self._held) >= self._in_all or self._of[held.identity] >= self._per_identity:
            raise Unanswered("too many calls wait for answers already")
        held.is_kept = True
        self._held[held.id] = held
        self._of[held.identity] += 1

    def _forget(self, held: Held) -> None:
        del self._scopes[held]
        if self._held.pop(held.id, None) is not None:
            self._of[held.identity] -= 1
            if not self._of[held.identity]:
                del self._of[held.identity]


def _scopes(caller: Caller) -> frozenset[str]:
    return caller.credential.scopes or frozenset()


def inputs_of(params: JsonObject) -> JsonObject:
    """The answers that a request brings. Raises ProtocolError for what is none."""
    inputs: Json = params.get("inputResponses")
    if inputs is None:
        return {}
    if not isinstance(inputs, dict) or not all(isinstance(value, dict) for value in inputs.values()):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: inputResponses must be an object of objects")
    return inputs
