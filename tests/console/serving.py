"""The pages on a real server, with credentials kept in memory: a double of what keeps them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from shim.console.attempts import SECONDS
from shim.console.give import GivePages
from shim.console.sessions import Sessions
from shim.errors import NotTheirs, RecordUnavailable, Unfit
from shim.generation import Current
from shim.lending import Want
from shim.server.authentication import AuthRefused
from shim.server.config import ServerBlock
from tests.server.doubles import Tokens
from tests.server.running import Served, serving

KEY = bytes(range(32))
PROMPT = 'A token of <forge> & "friends"'
ALICES = Want("alice", "forge", PROMPT, "https://forge.test/tokens?a=1&b=2", is_consent=False)
CONSENT = Want("alice", "mail", "Mail for the assistant", None, is_consent=True)


@dataclass
class Keeping:
    """Tickets and what was given for each. `server` is where consent is asked for; `down`: nothing can be kept."""

    tickets: dict[str, Want] = field(default_factory=lambda: {"alices": ALICES, "consent": CONSENT})
    server: str = "https://as.test/authorize"
    given: list[tuple[str, str, str]] = field(default_factory=list)
    agreements: list[tuple[str, str | None, str | None, str | None]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    backs: set[str] = field(default_factory=set)
    down: bool = False

    def want(self, ticket: str) -> Want | None:
        self.asked.append(ticket)
        return self.tickets.get(ticket)

    async def give(self, ticket: str, identity: str, value: str) -> None:
        self._theirs(ticket, identity)
        if len(value) < 8:
            raise Unfit("It is shorter than 8 characters: <look again>.")
        self.given.append((ticket, identity, value))

    async def consent(self, ticket: str, identity: str, back: str) -> str:
        self._theirs(ticket, identity)
        self.backs.add(back)
        return f"{self.server}?state={ticket}.state&redirect_uri={back}"

    async def agreed(
        self, state: str, identity: str, back: str, code: str | None, error: str | None, iss: str | None
    ) -> Want:
        ticket = state.removesuffix(".state")
        if ticket not in self.tickets or ticket == state:
            raise Unfit("That is not known here.")
        self._theirs(ticket, identity)
        if error is not None or code is None:
            raise Unfit("You did not agree, or the server did not: nothing was kept.")
        self.backs.add(back)
        self.agreements.append((ticket, code, error, iss))
        return self.tickets[ticket]

    def _theirs(self, ticket: str, identity: str) -> None:
        if self.down:
            raise RecordUnavailable("the store is down")
        if self.tickets[ticket].identity != identity:
            raise NotTheirs("another")


def sessions(clock: Callable[[], float] = time.time) -> Sessions:
    return Sessions(KEY, os.urandom, clock)


@dataclass
class Shown:
    """The server, what was given there, and how far its clock is ahead."""

    served: Served
    keeping: Keeping
    ahead: list[float]

    @property
    def base(self) -> str:
        return self.served.url.removesuffix("/mcp")

    def give(self, ticket: str = "alices") -> str:
        return f"{self.base}/give/{ticket}"

    def renew(self) -> None:
        """As after a start, a while later: for another test."""
        self.keeping.__dict__.update(vars(Keeping()))
        self.served.tokens.__dict__.update(vars(Tokens("alice", "bob")))
        self.served.refused.clear()
        self.ahead[0] += SECONDS
        self.keeps(True)

    def keeps(self, does: bool) -> None:
        """Have somebody keep what is given, or nobody."""
        current = self.served.face.current
        current.replace(replace(current.now, giving=self.keeping if does else None))


@asynccontextmanager
async def showing(
    *, block: ServerBlock | None = None, tokens: Tokens | None = None, keeping: Keeping | None = None
) -> AsyncIterator[Shown]:
    """`alice` and `bob` may sign in."""
    kept, ahead = keeping or Keeping(), [0.0]

    def pages(current: Current, auth_refused: AuthRefused) -> GivePages:
        current.replace(replace(current.now, giving=kept))
        return GivePages(
            current,
            block or ServerBlock(),
            sessions(lambda: time.time() + ahead[0]),
            auth_refused=auth_refused,
            clock=lambda: time.monotonic() + ahead[0],
        )

    async with serving(block=block, tokens=tokens, pages=pages) as served:
        yield Shown(served, kept, ahead)
