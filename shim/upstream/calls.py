"""The calls of one upstream: each in a session of the pool that its caller may share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim import jsontext
from shim.errors import UpstreamUnavailable
from shim.extensions import GET
from shim.lending import Leased, Need
from shim.model import Call, Caller, JsonObject, Listener, Offered, Reply
from shim.upstream import asking, questions
from shim.upstream.condition import Condition
from shim.upstream.config import UpstreamBlock
from shim.upstream.exchange import Ask
from shim.upstream.failures import Busy, fault, unavailable
from shim.upstream.handing import Handed, Handing
from shim.upstream.oftask import OfTask
from shim.upstream.opening import Opening
from shim.upstream.pool import Key, Pool
from shim.upstream.questions import Asker, Questions
from shim.upstream.rounds import Rounds, is_url_required
from shim.upstream.session import Opened, Peer
from shim.upstream.surroundings import Surroundings

_PATIENCE = 10.0


# Errors that say that what is known of the upstream is not true any more.
_OUT_OF_DATE = frozenset({HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION, METHOD_NOT_FOUND})

_COMPLETE = "completion/complete"
_NOTHING_TO_COMPLETE: JsonObject = {"completion": {"values": [], "total": 0, "hasMore": False}}


class Calls:
    """Sends them, once each. `doubt` is called when the upstream seems not to be what it was."""

    def __init__(
        self,
        name: str,
        block: UpstreamBlock,
        opening: Opening,
        condition: Condition,
        around: Surroundings,
        doubt: Callable[[], None],
    ) -> None:
        self._name = name
        self._block = block
        self._opening = opening
        self._condition = condition
        self._around = around
        self._doubt = doubt
        self._handing = Handing(block)
        self._pool = Pool(
            name,
            around.spawn,
            limit=block.pool.max,
            idle=block.pool.idle,
            patience=min(_PATIENCE, block.timeout),
        )

    def needs(self, bind: tuple[tuple[str, str], ...] = ()) -> tuple[Need, ...]:
        """What each call needs of secrets, with those of `bind` behind their names."""
        return self._handing.needs_under(bind)

    def forget(self, fingerprint: bytes) -> None:
        """These secrets ended: no session that was handed them serves another call."""
        self._pool.forget(fingerprint)

    async def send(self, call: Call, target: Offered, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        """See `Upstreams.call`."""
        handed = self._handing.hand(leased)
        capabilities = questions.declared(call) if call.may_ask else {}
        await self._condition.ready()
        try:
            async with self._session(call, handed, capabilities) as opened:
                if call.method == _COMPLETE and _completes_nothing(opened.peer):
                    return Reply(dict(_NOTHING_TO_COMPLETE), None, 0)
                ask = asking.callers(call, target, params, listener, self._block, opened.dialect, handed, capabilities)
                await opened.dialect.prepare(ask)
                if capabilities or call.method == GET:
                    reply = await self._asked(call, listener, opened, ask, capabilities)
                else:
                    reply = self._unasked(await opened.session.request(ask), call, opened.peer)
        except Busy:
            raise
        except UpstreamUnavailable:
            self._doubt()
            raise
        if reply.error is not None and reply.error.get("code") in _OUT_OF_DATE:
            self._doubt()
        return reply

    def hand(self, leased: Leased) -> Handed:
        """The values of secrets where they go. Raises SecretUnavailable."""
        return self._handing.hand(leased)

    def owner(self, caller: Caller) -> str:
        """Whose sessions a caller's calls go through: nobody's in particular where all share them."""
        peer = self._condition.peer
        is_stateless = self._opening.over_http and peer is not None and peer.era == "modern"
        if self._block.isolation == "shared" or (is_stateless and not self._handing.needs):
            return ""
        return caller.identity.name

    @asynccontextmanager
    async def held(self, caller: Caller, handed: Handed) -> AsyncIterator[Opened]:
        """The session of a caller's calls, to hear what it says beside them, while it lives. Raises the Refusals."""
        if not self._is_stateless:
            async with self._pool.hold(
                Key(self.owner(caller), handed.fingerprint), partial(self._open, handed, {})
            ) as opened:
                yield opened
            return
        opened = await self._without_state()
        try:
            yield opened
        finally:
            self._around.spawn(opened.close)

    @property
    def _is_stateless(self) -> bool:
        # Nothing is kept between two requests, and each carries its own credentials.
        return self._opening.over_http and self._condition.era == "modern"

    async def tend(self) -> None:
        """End sessions when they are idle, for ever."""
        await self._pool.tend()

    async def end(self) -> None:
        """End each session with its last call, and return when there is none left."""
        await self._pool.end()

    async def _asked(self, call: Call, listener: Listener, opened: Opened, ask: Ask, capabilities: JsonObject) -> Reply:
        """A call whose client may be asked meanwhile, or a look at a task that may ask."""
        asker = Asker(self._name, call, capabilities, listener, self._block.answer_within, self._around)
        if call.method == GET:
            return await OfTask(asker, opened.session, ask).state()
        async with Questions(asker) as open_questions:
            rounds = Rounds(asker, opened.peer.era, opened.session.inbox)
            return await rounds.run(opened.session.request, replace(ask, asked=open_questions))

    def _unasked(self, reply: Reply, call: Call, peer: Peer) -> Reply:
        """A URL that a person shall open is a question, too, and this upstream may ask none."""
        if peer.era == "legacy" and is_url_required(reply):
            self._around.event("upstream.refused", {"upstream": self._name, "method": questions.ELICIT}, call.id)
            raise fault(self._name, "needs a person to open a URL, which it may not ask for here")
        return reply

    def _session(self, call: Call, handed: Handed, capabilities: JsonObject) -> AbstractAsyncContextManager[Opened]:
        """A session that this call may share (DESIGN, "Upstream sessions")."""
        era = self._condition.era
        if self._opening.over_http and era == "modern":
            # Nothing is kept between two requests, and each carries its own credentials.
            return self._pool.session(Key(), self._without_state)
        caller = call.caller
        owner = "" if self._block.isolation == "shared" else caller.identity.name
        if not capabilities or era == "modern":
            return self._pool.session(Key(owner, handed.fingerprint), partial(self._open, handed, {}))
        make, said = partial(self._open, handed, capabilities), jsontext.digest(capabilities)
        if caller.protocol in MODERN_PROTOCOL_VERSIONS or caller.session is None:
            # One call at a time: over such a session a question names no call.
            return self._pool.session(Key(owner, handed.fingerprint, said), make, alone=caller.identity.name)
        return self._pool.session(Key(caller.identity.name, handed.fingerprint, said, caller.session), make)

    async def _open(self, handed: Handed, capabilities: JsonObject) -> Opened:
        return await self._opening.open(handed, self._condition.era, capabilities)

    async def _without_state(self) -> Opened:
        if self._condition.peer is None:
            raise unavailable(self._name, "it has not been read yet")
        return await self._opening.without_state(self._condition.peer)


def _completes_nothing(peer: Peer) -> bool:
    # The face says for all upstreams together that it completes. The capability came with revision 2025-03-26.
    return not peer.can("completions") and peer.protocol != "2024-11-05"
