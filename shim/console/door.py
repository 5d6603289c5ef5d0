"""Where somebody says who they are, before they learn anything else; and who they said they are, afterwards.

What proves it is what proves it in agents' requests: the access token of an identity, by the same authenticator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from shim.console import texts
from shim.console.attempts import Attempts
from shim.console.fields import cookies
from shim.console.sessions import SECONDS, Person, Sessions
from shim.console.showing import lead, show
from shim.errors import Unauthenticated
from shim.generation import Current
from shim.model import Credential
from shim.server.authentication import AuthRefused
from shim.server.exchange import Exchange
from shim.server.headers import is_forwarded

_COOKIE: Final = "mcp-shim-person"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_WRONG: Final = "That token is not known here, or not any more. Look whether you copied all of it."


class Door:
    """Lets people in. It keeps nothing but how often a wrong token was tried: who somebody is, their browser keeps.

    `base` is what the addresses of the pages begin with.
    """

    base = ""

    def __init__(
        self, current: Current, sessions: Sessions, *, auth_refused: AuthRefused, clock: Callable[[], float]
    ) -> None:
        self._current = current
        self._sessions = sessions
        self._auth_refused = auth_refused
        self._attempts = Attempts(clock)

    def person(self, exchange: Exchange) -> Person | None:
        """Who is signed in at this browser, with a credential that still proves it."""
        kept = cookies(exchange.headers.text(b"cookie"), _COOKIE)
        if len(kept) != 1 or b"cookie" in exchange.headers.repeated:
            return None
        person = self._sessions.read(kept[0])
        if person is None or not self._current.now.authenticator.still(person.credential, person.identity):
            return None
        return person

    async def show(self, exchange: Exchange, status: int, alert: str | None = None) -> None:
        """Ask who somebody is, with the same bytes whatever they came for."""
        guest = self._guest(exchange) is not None
        await show(exchange, status, texts.sign_in(alert=alert, guest=guest))

    async def enter(self, exchange: Exchange, token: str, address: str | None, where: str) -> None:
        """Let somebody in who shows a token, and lead them on to `where`. Every wrong one gets the same answer."""
        wait = self._attempts.wait(address)
        if wait:
            sentence = f"Too many tokens were wrong. Try again in {wait} seconds."
            await show(exchange, 429, texts.plain("Too often", sentence))
            return
        try:
            credential = await self._credential(exchange, token)
        except Unauthenticated as error:
            self._attempts.failed(address)
            self._auth_refused(address, error.why)
            await self.show(exchange, 403, _WRONG)
            return
        await lead(exchange, where, cookies=self._cookies(self._sessions.begin(credential), SECONDS))

    async def leave(self, exchange: Exchange, where: str) -> None:
        """Nobody is signed in at this browser any more."""
        await lead(exchange, where, cookies=self._cookies("", 0))

    async def _credential(self, exchange: Exchange, token: str) -> Credential:
        """As in the requests of agents: a bad credential is never taken for none. Raises Unauthenticated."""
        if not token:
            guest = self._guest(exchange)
            if guest is None:
                raise Unauthenticated("no credential")
            return guest
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated("not a bearer token")
        await self._current.now.authenticator.prepare(token)
        return self._current.now.authenticator.bearer(token)

    def _guest(self, exchange: Exchange) -> Credential | None:
        return None if is_forwarded(exchange.headers) else self._current.now.authenticator.anonymous()

    def _cookies(self, value: str, seconds: int) -> tuple[bytes, ...]:
        """For these pages alone, of which none is below the other; `Lax`, because people come back from elsewhere."""
        parts = urlsplit(self.base)
        secure = "; Secure" if parts.scheme == "https" else ""
        return tuple(
            f"{_COOKIE}={value}; Path={parts.path}{path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}".encode()
            for path in ("/give", "/given")
        )
