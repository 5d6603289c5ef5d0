"""Where one source keeps what people gave it: sealed, a row for each person and secret."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime

from shim import jsontext
from shim.errors import RecordUnavailable
from shim.model import JsonObject
from shim.secrets.given import Given
from shim.secrets.sealkeys import seal_key
from shim.secrets.source import Around, Purpose, Unavailable
from shim.store.chain import stamp
from shim.store.tx import GivenRow

_log = logging.getLogger("shim.secrets")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a person gave: the row, and what is sealed in it."""

    row: GivenRow
    content: JsonObject = field(repr=False)


class Chest:
    """What was given to one source. What is sealed for one person and secret opens as nobody else's."""

    def __init__(self, source: str, key: str, around: Around) -> None:
        self._source = source
        self._key = seal_key(source, key, around)
        self._given = around.given

    async def get(self, purpose: Purpose) -> Kept | None:
        """What the person gave for whom this is; None: nothing, or what cannot be opened. Raises Unavailable."""
        if purpose.identity is None:
            raise Unavailable("each person gives their own, and nobody is there when a catalog is read")
        try:
            row = await self._store.of(purpose.identity, self._source, purpose.secret)
        except RecordUnavailable as error:
            raise Unavailable(f"the store cannot be asked for it: {error}") from None
        return await self.opened(row) if row is not None else None

    async def opened(self, row: GivenRow) -> Kept | None:
        """A row with what is sealed in it; None where another key sealed it. Raises Unavailable."""
        content = await self._key.open(_about(row), row.sealed)
        if content is None:
            _log.warning(
                "what %s gave of %s was sealed with another key: it is asked for again", row.identity, row.secret
            )
        return Kept(row, content) if content is not None else None

    async def put(self, identity: str, secret: str, content: JsonObject, expires: datetime | None = None) -> None:
        """Keep what a person gave. Raises Unavailable and RecordUnavailable."""
        # A key that is gone is not made anew as long as something waits for it to come back.
        is_first = not await self._store.all(self._source)
        row = GivenRow(identity, self._source, secret, b"", "", _stamp(expires))
        await self._store.keep(replace(row, sealed=await self._key.seal(_about(row), content, make=is_first)))

    async def claim(self, kept: Kept, seconds: float) -> Kept | None:
        """Have it to oneself for so long; None where somebody else has it. Raises Unavailable."""
        try:
            row = await self._store.claim(kept.row, seconds)
        except RecordUnavailable as error:
            raise Unavailable(f"the store cannot be asked for it: {error}") from None
        return replace(kept, row=row) if row is not None else None

    async def leave(self, kept: Kept) -> None:
        """Who claimed it has no use for it. Where that cannot be said it is free again in time."""
        try:
            await self._store.leave(kept.row)
        except RecordUnavailable as error:
            _log.warning("a credential that was to be refreshed is not free yet: %s", error)

    async def refresh(self, kept: Kept, content: JsonObject, expires: datetime | None) -> Kept | None:
        """Put this in its place; None where that was taken. Raises Unavailable."""
        sealed = await self._key.seal(_about(kept.row), content, make=False)
        try:
            row = await self._store.refresh(kept.row, sealed, _stamp(expires))
        except RecordUnavailable as error:
            raise Unavailable(f"what it was refreshed to could not be kept: {error}") from None
        return Kept(row, content) if row is not None else None

    async def doubt(self, kept: Kept, content: JsonObject) -> None:
        """Keep it with a doubt that `content` says. Raises Unavailable."""
        sealed = await self._key.seal(_about(kept.row), content, make=False)
        try:
            await self._store.doubt(kept.row, sealed)
        except RecordUnavailable as error:
            raise Unavailable(f"it is not accepted, which could not be kept: {error}") from None

    async def died(self, kept: Kept, why: str) -> None:
        """It is of no use any more. Raises Unavailable."""
        try:
            await self._store.died(kept.row, why)
        except RecordUnavailable as error:
            raise Unavailable(f"it is of no use any more, which could not be kept: {error}") from None

    @property
    def _store(self) -> Given:
        if self._given is None:
            raise Unavailable("people give it to a server that runs, and nothing is recorded here")
        return self._given


def _about(row: GivenRow) -> bytes:
    return jsontext.dump([row.identity, row.source, row.secret])


def _stamp(time: datetime | None) -> str | None:
    return stamp(time) if time is not None else None
