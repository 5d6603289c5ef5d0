"""`type: user`: what a person typed in on the shim's own page: a personal token, a password, a key."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import StringConstraints, field_validator

from shim.errors import Unfit
from shim.model import JsonObject
from shim.secrets.chest import Chest
from shim.secrets.sealkeys import KeyText
from shim.secrets.source import Around, Issued, LongLived, Purpose, Unavailable, Wanted
from shim.secrets.values import SHORTEST, check
from shim.store.tx import GivenRow
from shim.units import Block

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class Keys(Block):
    """What such a secret is asked for by: what the person is told, and where they get it."""

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern="^[^\x00-\x1f\x7f]*$")] | None = None
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None

    @field_validator("url")
    @classmethod
    def _leads_somewhere(cls, url: str | None) -> str | None:
        if url is not None and not _is_https(url):
            raise ValueError("`url` is where people get it, as an https address")
        return url


class Where(Block):
    """The key that seals what people gave."""

    key: KeyText


class User(LongLived):
    """What was given is handed out until it is deleted, or an upstream does not accept it."""

    def __init__(self, name: str, where: Where, around: Around) -> None:
        self._chest = Chest(name, where.key, around)

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:  # noqa: ARG002
        """See `Source`. Raises Wanted where the person gave nothing yet."""
        kept = await self._chest.get(purpose)
        if kept is None:
            raise Wanted("the person has not given it yet")
        doubt = partial(self._chest.died, kept, "the upstream does not accept it")
        return Issued(dict.fromkeys(fields, str(kept.content["value"])), doubt=doubt)

    async def give(self, identity: str, secret: str, value: str) -> None:
        """Keep what a person typed in. Raises Unfit, Unavailable and RecordUnavailable."""
        # Copied from somewhere, it often comes with a space or the end of a line.
        value = value.strip()
        if not value:
            raise Unfit("Nothing was typed in.")
        if _CONTROL.search(value):
            raise Unfit("It holds the end of a line or another control character: copy it again, in one line.")
        if len(value) < SHORTEST:
            raise Unfit(f"It is shorter than {SHORTEST} characters: see that all of it was copied.")
        try:
            check(value, is_public=False)
        except Unavailable as unavailable:
            raise Unfit(f"It cannot be used: {unavailable}.") from None
        await self._chest.put(identity, secret, {"value": value})

    async def withdraw(self, row: GivenRow) -> None:
        """What is deleted here is not known to anybody who could end it: the person does that where they got it."""

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """Nothing was issued."""


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None and url.isprintable()
