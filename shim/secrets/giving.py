"""Takes what only a person can give, at a page: see `shim.lending.Giving`. Knows the secrets of one configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shim.errors import NotTheirs, Unfit
from shim.lending import Want
from shim.secrets.config import SecretBlock
from shim.secrets.consents import challenge
from shim.secrets.given import Given
from shim.secrets.oauth import OAuth
from shim.secrets.source import Source, Unavailable
from shim.secrets.tickets import Ticket, Tickets
from shim.secrets.user import User
from shim.store.tx import GivenRow
from shim.units import Block

_OVER = "This page is not good any more. Have the tool called again: you are then led to a new one."


class Giver:
    """See `shim.lending.Giving`. `source` knows the sources that are configured, by name."""

    def __init__(
        self,
        secrets: Mapping[str, tuple[SecretBlock, Block]],
        source: Callable[[str], Source[Any] | None],
        tickets: Tickets,
        given: Given,
    ) -> None:
        self._secrets = secrets
        self._source = source
        self._tickets = tickets
        self._given = given

    def want(self, ticket: str) -> Want | None:
        """See `Giving`."""
        read = self._tickets.read(ticket)
        return self._want(read) if read is not None else None

    def _want(self, ticket: Ticket) -> Want | None:
        block, _ = self._secrets.get(ticket.secret, (None, None))
        if block is None or not block.is_given:
            return None
        source = self._source(block.source)
        if isinstance(source, OAuth):
            prompt = f"Sign in at {source.consent_host}, and allow this server to act for you there."
            return Want(ticket.identity, ticket.secret, prompt, None, is_consent=True)
        return Want(ticket.identity, ticket.secret, block.prompt or "", block.url, is_consent=False)

    async def give(self, ticket: str, identity: str, value: str) -> None:
        """See `Giving`. Raises RecordUnavailable too."""
        _, source, name, _ = self._asked(self._tickets.read(ticket), identity)
        if not isinstance(source, User):
            raise Unfit("Nothing is typed in for this one: go to the server that gives it.")
        try:
            await source.give(identity, name, value)
        except Unavailable as unavailable:
            raise Unfit(f"It cannot be kept now: {unavailable}.") from None

    async def consent(self, ticket: str, identity: str, back: str) -> str:
        """See `Giving`."""
        read, source, _, keys = self._asked(self._tickets.read(ticket), identity)
        if not isinstance(source, OAuth):
            raise Unfit("This one is typed in here.")
        state, leaving = self._tickets.leaving(read, back)
        return source.consents.url(keys, back, state, challenge(leaving.verifier))

    async def agreed(
        self, state: str, identity: str, back: str, code: str | None, error: str | None, iss: str | None
    ) -> Want:
        """See `Giving`. Raises RecordUnavailable too."""
        leaving = self._tickets.back(state)
        ticket, source, name, keys = self._asked(leaving.ticket if leaving is not None else None, identity)
        if leaving is None or not isinstance(source, OAuth) or leaving.back != back:
            raise Unfit(_OVER)
        if not self._tickets.use(state):
            raise Unfit("This was done already: go back to the assistant, or have the tool called again.")
        source.consents.check_issuer(iss)
        if error is not None:
            raise Unfit(
                "You did not allow it, so nothing was kept."
                if error == "access_denied"
                else "The server that you were at did not allow it. Ask whoever runs this why."
            )
        if not code:
            raise Unfit("The server that you were at sent nothing back. Have the tool called again.")
        try:
            await source.consents.redeem(keys, identity, name, back, code, leaving.verifier)
        except Unavailable as unavailable:
            raise Unfit(f"It could not be fetched: {unavailable}. Have the tool called again.") from None
        want = self._want(ticket)
        assert want is not None
        return want

    async def all(self) -> list[GivenRow]:
        """All that people gave: names and times. Raises RecordUnavailable."""
        return await self._given.all()

    async def delete(self, identity: str, source: str, secret: str, *, by: str) -> bool:
        """Forget it, and end it at its source where that can be done; False where nothing was there.

        Raises RecordUnavailable, and Unavailable where it is forgotten but could not be ended.
        """
        row = await self._given.delete(identity, source, secret, by=by)
        if row is None:
            return False
        await withdrawn(self._source(source), row)
        return True

    def _asked(self, ticket: Ticket | None, identity: str) -> tuple[Ticket, Source[Any] | None, str, Any]:
        """The ticket, the source that is asked, and by which keys. Raises Unfit and NotTheirs."""
        if ticket is None or self._want(ticket) is None:
            raise Unfit(_OVER)
        if ticket.identity != identity:
            raise NotTheirs("another is asked for this")
        block, keys = self._secrets[ticket.secret]
        return ticket, self._source(block.source), ticket.secret, keys


async def withdrawn(source: Source[Any] | None, row: GivenRow) -> None:
    """End what was deleted, where its source offers that. Raises Unavailable."""
    if source is None:
        raise Unavailable("it is not configured any more; end it where it was given")
    if isinstance(source, User | OAuth):
        await source.withdraw(row)
