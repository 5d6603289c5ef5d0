"""Who sends a request: what the faces ask of whoever knows the credentials."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    match = _BEARER.fullmatch(value)
    if match is None:
        raise Unauthenticated("not a bearer token")
    return authenticator.bearer(match[1].decode("ascii"))
