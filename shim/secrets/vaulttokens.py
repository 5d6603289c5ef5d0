"""The shim's own tokens for Vault: one that is used, and those before it under which leases are still alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from shim.secrets.source import Unavailable
from shim.secrets.vaultapi import VaultApi
from shim.secrets.vaultauth import Login, Own

_AGAIN = timedelta(seconds=5)


class Tokens:
    """A token is renewed when it is needed after half of its time; nothing runs between calls.

    So whatever is leased under one has at least half of its time before it, and says when it ends.
    """

    def __init__(self, login: Login, api: VaultApi, clock: Callable[[], datetime]) -> None:
        self._login = login
        self._api = api
        self._clock = clock
        self._now: Own | None = None
        self._all: dict[str, Own] = {}
        self._lock = asyncio.Lock()

    async def current(self) -> Own:
        """The token to use: renewed, or a new one, where that is due. Raises Unavailable."""
        async with self._lock:
            own, now = self._now, self._clock()
            if own is not None and not own.retired and (own.ends is None or now < own.ends):
                # One that cannot be renewed is replaced towards its end, for what is leased ends with it.
                if own.renew is None or now < own.renew:
                    return own
                try:
                    if await self._login.renewed(own):
                        return own
                except Unavailable:
                    own.renew = now + _AGAIN
                try:
                    return await self._new(own)
                except Unavailable:
                    return own
            return await self._new(own)

    async def _new(self, before: Own | None) -> Own:
        own = await self._login.own()
        # An operator's token is the same as before: what is known of it goes on.
        self._now = self._all.setdefault(own.token, own)
        if self._now is not own:
            self._now.ends, self._now.renew, self._now.retired = own.ends, own.renew, False
        elif before is not None:
            await self._retire(before)
        return self._now

    async def over(self, own: Own, lease: str) -> None:
        """A lease under this token is over."""
        own.leases.discard(lease)
        own.lost.discard(lease)
        if own.retired:
            await self._retire(own)

    async def end_with(self, token: str, lease: str) -> None:
        """End a lease of which no more is known than the token that it was made under.

        That token is used for no other any more, and ended when the last other lease under it is over. Raises
        Unavailable until then.
        """
        own = self._all.get(token)
        if own is None:
            if await self._api.is_good(token):
                raise Unavailable(
                    "it ends with the token that it was made under, which another process of the shim goes on to use; "
                    "let the shim's policy have `update` on sys/leases/revoke"
                )
            return
        own.retired = True
        own.lost.add(lease)
        if others := own.leases - own.lost:
            raise Unavailable(
                "Vault's answer was lost, so this lease ends with the token that it was made under, once "
                f"{len(others)} others under it are over"
            )
        await self._api.end(token)
        self._all.pop(token, None)

    async def doubt(self, own: Own) -> None:
        """Vault denied something: a token that it does not know any more is not used again."""
        if not await self._api.is_good(own.token):
            own.retired = True
            self._all.pop(own.token, None)
            raise Unavailable("Vault ended the token of the shim meanwhile; the next call has a new one")

    async def close(self) -> None:
        """End all that are the shim's own."""
        for own in [*self._all.values()]:
            if not own.given:
                with suppress(Unavailable):
                    await self._api.end(own.token)
        self._all.clear()
        self._now = None

    async def _retire(self, own: Own) -> None:
        """Use it no more, and end it once nothing but what was lost is alive under it."""
        own.retired = True
        if own.leases <= own.lost and not own.given and own.token in self._all:
            # Else it ends by itself.
            with suppress(Unavailable):
                await self._api.end(own.token)
                self._all.pop(own.token, None)
