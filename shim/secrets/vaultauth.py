"""How the shim proves itself to Vault: each way as it is configured, and the one login that comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from shim.model import Json, JsonObject
from shim.paths import PATH
from shim.secrets.aside import Aside
from shim.secrets.file import read
from shim.secrets.source import MAX_BYTES, Unavailable
from shim.secrets.vaultapi import Refused, VaultApi
from shim.units import Block

_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CHILD: Final[JsonObject] = {"ttl": "1h", "renewable": True, "display_name": "mcp-shim"}

_Text = Annotated[str, StringConstraints(min_length=1)]
_Mount = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]


class AppRole(Block):
    role_id: _Text
    secret_id: Annotated[_Text, Field(repr=False)]
    mount: _Mount = "approle"


class Jwt(Block):
    """A token of an issuer that Vault believes: one in a file, or the caller's own."""

    role: _Text
    token_file: Annotated[_Text, PATH] | None = None
    caller: bool = False
    mount: _Mount = "jwt"

    @model_validator(mode="after")
    def _one(self) -> Jwt:
        if self.caller == (self.token_file is not None):
            raise ValueError("`jwt` has one of `token_file` and `caller: true`")
        return self


class Kubernetes(Block):
    """The token of the service account as which the shim runs."""

    role: _Text
    token_file: Annotated[_Text, PATH] = _ACCOUNT
    mount: _Mount = "kubernetes"


class Auth(Block):
    """Exactly one way."""

    token: Annotated[_Text | None, Field(repr=False)] = None
    token_file: Annotated[_Text, PATH] | None = None
    approle: AppRole | None = None
    jwt: Jwt | None = None
    kubernetes: Kubernetes | None = None

    @model_validator(mode="after")
    def _one(self) -> Auth:
        ways = list(type(self).model_fields)
        if sum(getattr(self, way) is not None for way in ways) != 1:
            raise ValueError(f"`auth` has exactly one of {', '.join(ways)}")
        return self

    @property
    def is_callers(self) -> bool:
        """Whether each lease is asked for by the caller's own token."""
        return self.jwt is not None and self.jwt.caller


@dataclass(slots=True, eq=False)
class Own:
    """One token of the shim's. `given`: the operator's own, that nothing of ours may end. `ends` None: never.

    `leases` are those made under it that are not over; what became of the `lost` ones among them is not known.
    """

    token: str = field(repr=False)
    given: bool
    ends: datetime | None
    renew: datetime | None
    retired: bool = False
    leases: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


class Login:
    """Makes tokens. Files are read for each, so one that was replaced holds from the next on."""

    def __init__(self, auth: Auth, api: VaultApi, clock: Callable[[], datetime]) -> None:
        self._auth = auth
        self._api = api
        self._clock = clock
        self._aside: Aside[bytes] = Aside("the file with what the shim proves itself to Vault with")

    async def own(self) -> Own:
        """A new token for the shim itself. Raises Unavailable."""
        auth = self._auth
        if auth.approle is not None:
            content: JsonObject = {"role_id": auth.approle.role_id, "secret_id": auth.approle.secret_id}
            return await self._login(auth.approle.mount, content)
        if auth.jwt is not None and auth.jwt.token_file is not None:
            jwt = await self._text(partial(read, auth.jwt.token_file))
            return await self._login(auth.jwt.mount, {"role": auth.jwt.role, "jwt": jwt})
        if auth.kubernetes is not None:
            jwt = await self._text(partial(_mounted, auth.kubernetes.token_file))
            return await self._login(auth.kubernetes.mount, {"role": auth.kubernetes.role, "jwt": jwt})
        return await self._child(await self._given())

    async def callers(self, token: str | None) -> Own:
        """A new token for one caller, by the caller's own. Raises Unavailable."""
        jwt = self._auth.jwt
        assert jwt is not None
        if token is None:
            raise Unavailable("it is asked for by the caller's own access token, and there is none: it has to be a JWT")
        return await self._login(jwt.mount, {"role": jwt.role, "jwt": token})

    async def renewed(self, own: Own) -> bool:
        """Whether a token goes on for much longer than it had; else it comes to its last end. Raises Unavailable."""
        before, now = own.ends, self._clock()
        content = await self._api.send("PUT", "auth/token/renew-self", own.token, {})
        if not own.given and (self._auth.token or self._auth.token_file):
            # What it is a child of ends it when it ends.
            with suppress(Unavailable):
                await self._api.send("PUT", "auth/token/renew-self", await self._given(), {})
        other = self._made(content, given=own.given)
        own.ends, own.renew = other.ends, other.renew
        return before is None or other.ends is None or other.ends - now > (before - now) * 1.5

    async def _given(self) -> str:
        if self._auth.token is not None:
            return self._auth.token
        assert self._auth.token_file is not None
        return await self._text(partial(read, self._auth.token_file))

    async def _child(self, given: str) -> Own:
        """A token below the operator's: what it made can be ended by ending it. The operator's where that is denied."""
        try:
            return self._made(await self._api.send("PUT", "auth/token/create", given, _CHILD), given=False)
        except Refused as refused:
            if refused.status != 403:
                raise
        try:
            found = await self._api.send("GET", "auth/token/lookup-self", given)
        except Refused as refused:
            if refused.status != 403:
                raise
            raise Unavailable("Vault knows the token in `auth` no more, or not yet; give it a new one") from None
        data = found.get("data")
        data = data if isinstance(data, dict) else {}
        ends, renew = self._times(data.get("ttl"), is_renewable=data.get("renewable") is True)
        return Own(given, given=True, ends=ends, renew=renew)

    async def _login(self, mount: str, content: JsonObject) -> Own:
        return self._made(await self._api.send("PUT", f"auth/{mount}/login", None, content), given=False)

    def _made(self, content: JsonObject, *, given: bool) -> Own:
        auth = content.get("auth")
        token = auth.get("client_token") if isinstance(auth, dict) else None
        if not isinstance(auth, dict) or not isinstance(token, str) or not token:
            raise Unavailable("Vault gave no token where the shim proved itself; see that `address` is Vault's")
        ends, renew = self._times(auth.get("lease_duration"), is_renewable=auth.get("renewable") is True)
        # One of a batch cannot be revoked, so there is no ending what was made under it.
        return Own(token, given=given or auth.get("token_type") == "batch", ends=ends, renew=renew)

    def _times(self, seconds: Json, *, is_renewable: bool) -> tuple[datetime | None, datetime | None]:
        life = duration(seconds)
        if life is None:
            return None, None
        now = self._clock()
        return now + life, now + life / 2 if is_renewable else None

    async def _text(self, reading: Callable[[], bytes]) -> str:
        return (await self._aside.run(reading)).decode("utf-8", "replace").strip()


def duration(seconds: Json) -> timedelta | None:
    """What Vault says for how long; None: for ever, or it does not say."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds < 10**10:
        return None
    return timedelta(seconds=seconds)


def _mounted(path: str) -> bytes:
    """A file that Kubernetes mounts, which has it readable for others. Blocks; raises Unavailable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_BYTES)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise Unavailable(f"the service account's token in {path} cannot be read: {why}") from None
