"""`type: vault`: OpenBao or HashiCorp Vault, for what it keeps and for what it makes for one call."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import anyio
from pydantic import AfterValidator, Field, StringConstraints, field_validator

from shim import templates
from shim.model import Json, JsonObject
from shim.paths import PATH
from shim.secrets.filling import PLACE, filled, segment
from shim.secrets.source import Around, Issued, Purpose, Unavailable
from shim.secrets.vaultapi import Refused, VaultApi
from shim.secrets.vaultauth import Auth, Login, Own, duration
from shim.secrets.vaulttokens import Tokens
from shim.units import Block, Duration
from shim.urls import is_safe

_SHORTENING = 2.0
"""Seconds for making a lease shorter than Vault has it. Where that fails, the broker ends it in time all the same."""
_ENDING = 3.0


def _is_path(path: str) -> str:
    parts = PLACE.sub("x", path).split("/")
    if any(part in ("", ".", "..") for part in parts) or not PLACE.sub("", path).isprintable():
        raise ValueError("`path` is none of Vault's API; write it as in `secret/data/x`, without / at its ends or `..`")
    if any(character in PLACE.sub("", path) for character in "{}\\?#"):
        raise ValueError("`path` may hold {identity}, {claims.NAME}, {tool} and {invocation}, and no other { } \\ ? #")
    return path


class Keys(Block):
    """What such a secret is asked for by. With `params` it is a POST that sends them."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_is_path)] | None = None
    field: Annotated[str, StringConstraints(pattern=f"^{templates.FIELD}$")] | None = None
    params: dict[str, Any] | None = None
    wrap: Annotated[Duration, Field(ge=1, le=3600)] | None = None


class Tls(Block):
    """The authorities that are believed, in place of the system's."""

    ca: Annotated[str, StringConstraints(min_length=1), PATH]


class Where(Block):
    """The server, and how the shim proves itself there."""

    address: str
    namespace: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")] | None = None
    tls: Tls | None = None
    auth: Auth

    @field_validator("address")
    @classmethod
    def _safe(cls, address: str) -> str:
        if not is_safe(address):
            raise ValueError("`address` is neither https nor on this machine; secrets could be read on the way")
        return address


@dataclass(slots=True)
class _Open:
    """A lease that was prepared: whether something may have come of it, and what."""

    own: Own
    was_sent: bool = False
    lease: str | None = field(default=None, repr=False)


class Vault:
    """One server. Each lease remembers the token that it was made under, which ends it where nothing else is known."""

    def __init__(self, _name: str, where: Where, around: Around) -> None:
        self._is_callers = where.auth.is_callers
        self._clock = around.clock
        self._api = VaultApi(where.address, where.namespace, where.tls.ca if where.tls is not None else None)
        self._login = Login(where.auth, self._api, around.clock)
        self._tokens = Tokens(self._login, self._api, around.clock)
        self._open: dict[str, _Open] = {}

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:
        """See `Source`. What a KV engine keeps has no lease, so nothing is left of having read it."""
        _path(secret, purpose)
        if is_kept(secret):
            return None
        own = await self._token(purpose)
        own.leases.add(purpose.lease)
        self._open[purpose.lease] = _Open(own)
        return self._revocation(own, purpose.lease, None)

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`."""
        opened = self._open.get(purpose.lease)
        if opened is not None:
            return await self._leased(secret, fields, purpose, opened)
        own = await self._token(purpose)
        try:
            answer = await self._asked(secret, purpose, own)
        finally:
            if self._is_callers:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_ENDING):
                    await self._api.end(own.token)
        if answer.get("lease_id"):
            raise Unavailable(f"Vault leases what is at {secret.path}, which is no path of a KV engine")
        return Issued(_values(secret, fields, _kept(answer)))

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """See `Source`."""
        token, of, kind = (str(revocation[key]) for key in ("token", "of", "kind"))
        opened = self._open.get(of)
        lease = revocation.get("lease") or (opened.lease if opened is not None else None)
        if kind == "caller":
            await self._api.end(token)
        elif opened is not None and not opened.was_sent:
            await self._tokens.over(opened.own, of)
        else:
            await self._ended(token, of, lease if isinstance(lease, str) else None, kind, orphaned=orphaned)
            if opened is not None:
                await self._tokens.over(opened.own, of)
        self._open.pop(of, None)

    async def sealed(self, key: str, about: bytes, plain: bytes) -> bytes:
        """What a key of the engine transit makes of this, bound to what it is about. Raises Unavailable."""
        content = {"plaintext": b64encode(plain).decode(), "associated_data": b64encode(about).decode()}
        return _text_under("ciphertext", await self._transit("encrypt", key, content)).encode()

    async def opened(self, key: str, about: bytes, sealed: bytes) -> bytes | None:
        """What was sealed so; None where that key did not. Raises Unavailable."""
        content = {"ciphertext": sealed.decode("ascii", "replace"), "associated_data": b64encode(about).decode()}
        try:
            plain = _text_under("plaintext", await self._transit("decrypt", key, content))
        except Refused as refused:
            if refused.status != 400:
                raise
            return None
        try:
            return b64decode(plain, validate=True)
        except ValueError:
            return None

    async def _transit(self, what: str, key: str, content: JsonObject) -> JsonObject:
        own = await self._tokens.current()
        try:
            return await self._api.send("POST", f"transit/{what}/{key}", own.token, content)
        except Refused as refused:
            if refused.status == 403:
                await self._tokens.doubt(own)
            raise

    async def close(self) -> None:
        """See `Source`."""
        await self._tokens.close()
        await self._api.close()

    async def _ended(self, token: str, of: str, lease: str | None, kind: str, *, orphaned: bool) -> None:
        if lease is not None:
            try:
                await self._revoked(lease)
            except Refused as refused:
                # Then the token that it was made under ends it, if that is ours to end.
                if kind == "given" or refused.status != 403:
                    raise
            else:
                if not orphaned:
                    return
        if kind == "given":
            if lease is None:
                raise Unavailable(
                    "Vault's answer was lost, and the operator's own token is not ended for it: look for the lease in "
                    "Vault; where that token may use auth/token/create, this does not happen"
                )
        elif orphaned:
            await self._api.end(token)
        else:
            await self._tokens.end_with(token, of)

    async def _revoked(self, lease: str) -> None:
        own = await self._tokens.current()
        await self._api.send("PUT", "sys/leases/revoke", own.token, {"lease_id": lease, "sync": True})

    async def _token(self, purpose: Purpose) -> Own:
        return await (self._login.callers(purpose.token) if self._is_callers else self._tokens.current())

    def _revocation(self, own: Own, of: str, lease: str | None) -> JsonObject:
        kind = "caller" if self._is_callers else "given" if own.given else "own"
        return {"token": own.token, "of": of, "kind": kind, **({"lease": lease} if lease is not None else {})}

    async def _asked(self, secret: Keys, purpose: Purpose, own: Own) -> JsonObject:
        path, params = _path(secret, purpose), _filled(secret.params, purpose)
        method = "GET" if params is None else "POST"
        try:
            content = cast("JsonObject | None", params)
            return await self._api.make(method, path, own.token, content, secret.wrap, lasts=not is_kept(secret))
        except Refused as refused:
            if refused.status == 403 and not self._is_callers:
                await self._tokens.doubt(own)
            raise

    async def _leased(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose, opened: _Open) -> Issued:
        own, opened.was_sent = opened.own, True
        try:
            answer = await self._asked(secret, purpose, own)
        except Refused:
            opened.was_sent = False
            raise
        lease, data = answer.get("lease_id"), answer.get("data")
        data = data if isinstance(data, dict) else {}
        if not isinstance(lease, str) or not lease:
            opened.was_sent = False
            values = _values(secret, fields, data)
            await self.revoke(self._revocation(own, purpose.lease, None), orphaned=False)
            return Issued(values)
        opened.lease = lease
        values = _values(secret, fields, data)
        life = duration(answer.get("lease_duration"))
        if purpose.ttl is not None and answer.get("renewable") is True and life and purpose.ttl < life.total_seconds():
            life = duration(await self._shortened(own, lease, purpose.ttl)) or life
        ends = [end for end in (self._clock() + life if life else None, own.ends) if end is not None]
        return Issued(values, min(ends, default=None), self._revocation(own, purpose.lease, lease))

    async def _shortened(self, own: Own, lease: str, ttl: float) -> Json:
        """The seconds that it lasts from now on; None where Vault does not make it shorter."""
        content: JsonObject = {"lease_id": lease, "increment": math.ceil(ttl)}
        with anyio.move_on_after(_SHORTENING):
            try:
                return (await self._api.send("PUT", "sys/leases/renew", own.token, content)).get("lease_duration")
            except Unavailable:
                return None
        return None


def _text_under(name: str, answer: JsonObject) -> str:
    data = answer.get("data")
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, str):
        raise Unavailable(f"Vault's answer has no text under {name}")
    return value


def is_kept(secret: Keys) -> bool:
    """Whether it is at a KV engine, version 2, for certain."""
    return (secret.path or "").split("/")[1:2] == ["data"]


def _kept(answer: JsonObject) -> Mapping[str, Json]:
    data = answer.get("data")
    inner = data.get("data") if isinstance(data, dict) else None
    if not isinstance(inner, dict):
        raise Unavailable("Vault's answer has no `data` in its `data`, as that of a KV engine of version 2 has")
    return inner


def _path(secret: Keys, purpose: Purpose) -> str:
    return filled(secret.path or "", purpose, segment)


def _filled(value: Json, purpose: Purpose) -> Json:
    """Texts in what is sent, filled. They are no paths, and JSON keeps them what they are."""
    fill: Callable[[Json], Json] = lambda inner: _filled(inner, purpose)  # noqa: E731
    if isinstance(value, str):
        return filled(value, purpose, str)
    if isinstance(value, dict):
        return {key: fill(inner) for key, inner in value.items()}
    return [fill(inner) for inner in value] if isinstance(value, list) else value


def _values(secret: Keys, fields: frozenset[str | None], data: Mapping[str, Json]) -> Mapping[str | None, str]:
    found: dict[str | None, str] = {}
    for name in fields:
        wanted = name or secret.field
        if wanted is None:
            raise Unavailable(
                "what Vault has for it has fields, and none is named: write `field`, or ${secret:NAME.FIELD}"
            )
        value = data.get(wanted)
        if not isinstance(value, str):
            raise Unavailable(f"Vault has no text under {wanted} for it")
        found[name] = value
    return found
