"""Who sends a request: what the faces ask of whoever knows the credentials."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from shim.errors import Unauthenticated
from shim.generation import Authenticator
from shim.model import Credential
from shim.server.headers import Headers, is_forwarded

AuthRefused: TypeAlias = Callable[[str | None, str], None]
"""Told of each refused request: the address, and why."""

_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


def authenticate(headers: Headers, authenticator: Authenticator) -> Credential:
    """The sender of an HTTP request, by its Authorization header alone (RFC 6750, section 2.1).

    A bad credential is never taken for none; a request that something forwarded is never anonymous. Raises
    Unauthenticated.
    """
    value = headers.get(b"authorization")
    if value is None:
        credential = None if is_forwarded(headers) else authenticator.anonymous()
        if credential is None:
            raise Unauthenticated("no credential")
        return credential
    if b"authorization" in headers.repeated:
        raise Unauthenticated("more than one Authorization header")
    token = _bearer(value)
    if token is None:
        raise Unauthenticated("not a bearer token")
    return authenticator.bearer(token)


async def prepare(headers: Headers, authenticator: Authenticator) -> None:
    """Have at hand what it takes to judge the credential of a request, if it shows one."""
    value = headers.get(b"authorization")
    token = _bearer(value) if value is not None and b"authorization" not in headers.repeated else None
    if token is not None:
        await authenticator.prepare(token)


def seconds_left(credential: Credential) -> float:
    """For how long a credential can still prove something."""
    if credential.ends is None:
        return math.inf
    return max(0.0, (credential.ends - datetime.now(UTC)).total_seconds())


def _bearer(value: bytes) -> str | None:
    match = _BEARER.fullmatch(value)
    return match[1].decode("ascii") if match is not None else None
