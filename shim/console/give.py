"""Where people give what only a person can: a credential typed in, or their consent at an upstream's own server.

`GET /give/TICKET` asks first who somebody is, whatever the ticket, so that nobody else learns that there is one. Then
it asks for what the ticket says, if that person is meant. `GET /given` is where an authorization server sends the
browser back to, and where it ends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from shim.console import texts
from shim.console.door import Door
from shim.console.fields import Unreadable, fields, form_of
from shim.console.origins import is_own
from shim.console.sessions import Person, Sessions
from shim.console.showing import lead, show
from shim.errors import NotTheirs, RecordUnavailable, Unfit
from shim.generation import Current
from shim.lending import Giving, Want
from shim.server.authentication import AuthRefused
from shim.server.config import ServerBlock
from shim.server.exchange import Exchange
from shim.server.places import base

_log = logging.getLogger("shim.console")

_GIVE: Final = b"/give/"
_GIVEN: Final = b"/given"
_TICKET: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,8191}")

_OVER = "You are not signed in any more. Sign in again."
_GONE = "There is nothing to give here, or not any more. Have the assistant call the tool again: it gets a new address."
_ENDED = "You are not signed in any more, so nothing was kept. Have the assistant call the tool again, and start over."
_STALE = "This form is not from a page that you were just shown. Load the page again."
_UNKEPT = "It could not be kept just now. Try again in a while."


class GivePages:
    """The pages. They keep nothing of anybody.

    There are none while the configuration in force has nobody who takes what is given. `clock` gives seconds and never
    goes back.
    """

    def __init__(
        self,
        current: Current,
        block: ServerBlock,
        sessions: Sessions,
        *,
        auth_refused: AuthRefused,
        clock: Callable[[], float],
    ) -> None:
        self._block = block
        self._sessions = sessions
        self._current = current
        self._auth_refused = auth_refused
        self._door = Door(current, sessions, auth_refused=auth_refused, clock=clock)
        self._base = base(block, 0)

    def bound(self, port: int) -> None:
        """Learn the port that is listened on."""
        self._base = base(self._block, port)
        self._door.base = self._base

    def has(self, path: bytes) -> bool:
        """Whether a path is that of a page."""
        return (path == _GIVEN or path.startswith(_GIVE)) and self._current.now.giving is not None

    async def respond(self, exchange: Exchange, address: str | None) -> None:
        """The whole response to a request for one of them."""
        giving, method = self._current.now.giving, exchange.scope["method"]
        path: bytes = exchange.scope["raw_path"]
        if giving is None:
            await exchange.early(404)
        elif path == _GIVEN and method == "GET":
            await self._given(exchange, giving)
        elif path != _GIVEN and method in ("GET", "HEAD"):
            await self._get(exchange, giving, _ticket(path), address)
        elif path != _GIVEN and method == "POST":
            await self._post(exchange, giving, _ticket(path), address)
        else:
            await exchange.early(405, headers=[(b"allow", b"GET" if path == _GIVEN else b"GET, HEAD, POST")])

    async def _get(self, exchange: Exchange, giving: Giving, ticket: str, address: str | None) -> None:
        person = self._door.person(exchange)
        if person is None:
            await self._door.show(exchange, 200)
        else:
            await self._ask(exchange, giving, person, ticket, address)

    async def _ask(
        self,
        exchange: Exchange,
        giving: Giving,
        person: Person,
        ticket: str,
        address: str | None,
        status: int = 200,
        alert: str | None = None,
    ) -> None:
        want = giving.want(ticket)
        if want is None:
            await show(exchange, 404, texts.plain("Nothing here", _GONE))
        elif want.identity != person.identity:
            await self._theirs(exchange, person, address)
        else:
            mark = self._sessions.mark(person, ticket)
            await show(exchange, status, texts.ask(want, mark, alert=alert), leaves=want.is_consent)

    async def _theirs(self, exchange: Exchange, person: Person, address: str | None) -> None:
        self._auth_refused(address, f"{person.identity} opened a page that asks another identity")
        await show(exchange, 403, texts.theirs(person.identity))

    async def _post(self, exchange: Exchange, giving: Giving, ticket: str, address: str | None) -> None:
        if not is_own(exchange.headers, self._base):
            await exchange.early(403)
            return
        form = await form_of(exchange)
        if form is None:
            return
        what, person = form.get("do"), self._door.person(exchange)
        if what == "sign-in":
            await self._door.enter(exchange, form.get("token", "").strip(), address, _again(ticket))
        elif what == "leave":
            await self._door.leave(exchange, _again(ticket))
        elif person is None:
            await self._door.show(exchange, 403, _OVER)
        elif not self._sessions.is_marked(person, ticket, form.get("mark", "")):
            await show(exchange, 403, texts.plain("That did not work", _STALE))
        else:
            await self._do(exchange, giving, ticket, person, form, address)

    async def _do(
        self,
        exchange: Exchange,
        giving: Giving,
        ticket: str,
        person: Person,
        form: dict[str, str],
        address: str | None,
    ) -> None:
        want = giving.want(ticket)
        if want is None or want.identity != person.identity or form.get("do") != _deed(want):
            await self._ask(exchange, giving, person, ticket, address)
            return
        try:
            if want.is_consent:
                where = await giving.consent(ticket, person.identity, self._back)
            else:
                await giving.give(ticket, person.identity, form.get("value", ""))
                where = "../given"
        except NotTheirs:
            await self._theirs(exchange, person, address)
        except Unfit as unfit:
            await self._ask(exchange, giving, person, ticket, address, 422, str(unfit))
        except RecordUnavailable as error:
            _log.error("what %s gave could not be kept: %s", person.identity, error)
            await self._ask(exchange, giving, person, ticket, address, 503, _UNKEPT)
        else:
            await lead(exchange, where)

    async def _given(self, exchange: Exchange, giving: Giving) -> None:
        person = self._door.person(exchange)
        if person is None:
            await show(exchange, 403, texts.plain("That did not work", _ENDED))
            return
        query: bytes = exchange.scope["query_string"]
        if not query:
            await show(exchange, 200, texts.given())
            return
        try:
            said = fields(query)
            state, code, error, iss = (said.get(name) for name in ("state", "code", "error", "iss"))
            await giving.agreed(state or "", person.identity, self._back, code, error, iss)
        except Unreadable:
            await show(exchange, 400, texts.plain("That did not work", _GONE))
        except NotTheirs:
            await show(exchange, 403, texts.plain("This is not for you", "Somebody else began this. Nothing was kept."))
        except Unfit as unfit:
            await show(exchange, 422, texts.plain("That did not work", str(unfit)))
        except RecordUnavailable as failed:
            _log.error("what %s consented to could not be kept: %s", person.identity, failed)
            await show(exchange, 503, texts.plain("That did not work", _UNKEPT))
        else:
            # By another address, so that what came in this one is neither kept in the browser's bar nor sent again.
            await lead(exchange, "./given")

    @property
    def _back(self) -> str:
        return f"{self._base}{_GIVEN.decode()}"


def _deed(want: Want) -> str:
    return "consent" if want.is_consent else "give"


def _ticket(path: bytes) -> str:
    """The ticket that a path ends in; one that cannot be one asks for nothing, as those do that are over."""
    text = path[len(_GIVE) :].decode("latin-1")
    return text if _TICKET.fullmatch(text) else ""


def _again(ticket: str) -> str:
    return f"./{ticket}"
