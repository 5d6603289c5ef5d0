"""The requests of an OAuth client to its server: a token, and its revocation; and how the client proves itself."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from shim import jsontext
from shim.errors import InvalidText
from shim.model import JsonObject
from shim.secrets.aside import Aside
from shim.secrets.file import read
from shim.secrets.source import Around, Unavailable

if TYPE_CHECKING:
    import httpx2
    from jwt.algorithms import AllowedPrivateKeys

SECONDS: Final = 5.0
"""For a token."""
REVOKING: Final = 3.0
"""For its revocation: both together take less than the broker waits, so that what came is not lost."""

_MOST: Final = 1024 * 1024
_KEPT: Final = 4.0
"""Seconds that an idle connection is kept: less than servers do, for what was sent on one that ends is not repeated."""
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE: Final = timedelta(seconds=60)
_SMALLEST: Final = 2048

_ADVICE: Final = {
    "invalid_request": "see what the server wants: `audience`, `resource`, `scopes`",
    "invalid_client": "see `client_id` and `client_secret` or `private_key`, and that the clock here is right",
    "invalid_grant": "the server does not take what was shown to it",
    "unauthorized_client": "have the server allow this client this grant",
    "unsupported_grant_type": "the server does not know this grant",
    "invalid_scope": "see `scopes`",
    "invalid_target": "see `resource` and `audience`",
    "unsupported_token_type": "it revokes no such tokens; leave out `revocation_url`",
}
"""The errors of RFC 6749, 7009, 8693 and 8707. What else a server says may hold what was sent to it."""


class Refused(Unavailable):
    """The server answered that it gives none. `code`: of the errors that are known, which."""

    def __init__(self, why: str, code: str | None) -> None:
        super().__init__(why)
        self.code = code


class Prover:
    """How a client says who it is: a secret (RFC 6749 section 2.3.1), or a JWT that its key signs (RFC 7523)."""

    def __init__(self, client_id: str, secret: str | None, key: str | None, audience: str, around: Around) -> None:
        """`key` is the path of a PEM file, read each time, so that one that was replaced holds from the next on."""
        self._client_id = client_id
        self._secret = secret
        self._key = key
        self._audience = audience
        self._around = around
        self._aside: Aside[str] = Aside("the client's private key")

    async def proof(self) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and parameters that prove it, for one request. Raises Unavailable."""
        if self._secret is not None:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}, {}
        assertion = await self._aside.run(self._signed)
        return {}, {
            "client_id": self._client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
        }

    def _signed(self) -> str:
        import jwt

        path = self._key or ""
        key, algorithm = _private_key(path, read(path))
        now = self._around.clock()
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "jti": self._around.random(16).hex(),
            "iat": now,
            "exp": now + _LIFE,
        }
        return jwt.encode(claims, key, algorithm=algorithm)


class OAuthClient:
    """One client over one HTTP client. Nothing that the server answers in words is repeated."""

    def __init__(self, token_url: str, prover: Prover) -> None:
        self._token_url = token_url
        self._prover = prover
        self._client: httpx2.AsyncClient | None = None

    async def token(self, form: Mapping[str, str]) -> JsonObject:
        """A successful answer of the token endpoint (RFC 6749 section 5.1). Raises Unavailable."""
        status, body = await self._send(self._token_url, form, SECONDS)
        content = _object(body)
        if status != 200:
            code = content.get("error") if content is not None else None
            raise Refused(f"the server {_refused(status, content)}", code if isinstance(code, str) else None)
        if content is None:
            raise Unavailable("the server gave an answer that is no JSON object; see that `token_url` is right")
        return content

    async def revoke(self, url: str, token: str, hint: str) -> None:
        """End a token, or find that it is over (RFC 7009). Raises Unavailable."""
        status, body = await self._send(url, {"token": token, "token_type_hint": hint}, REVOKING)
        if status not in (200, 204):
            raise Unavailable(f"the server {_refused(status, _object(body))}")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(self, url: str, form: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=ssl.create_default_context(),
                trust_env=False,
                follow_redirects=False,
                timeout=SECONDS,
                limits=httpx2.Limits(keepalive_expiry=_KEPT),
            )
        client = self._client
        try:
            async with asyncio.timeout(seconds):
                headers, proof = await self._prover.proof()
                headers |= {"accept": "application/json", "accept-encoding": "identity", "user-agent": "mcp-shim"}
                async with client.stream("POST", url, headers=headers, data={**form, **proof}) as response:
                    body = bytearray()
                    async for piece in response.aiter_raw():
                        body += piece
                        if len(body) > _MOST:
                            raise Unavailable("the server's answer is longer than 1 MiB; see that its address is right")
                    return response.status_code, bytes(body)
        except TimeoutError:
            raise Unavailable(f"{url} did not answer within {seconds:g} s") from None
        # What these say may hold headers: their names tell enough.
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise Unavailable(
                f"{url} could not be asked ({type(error).__name__}); see that it can be reached"
            ) from None


def _refused(status: int, content: JsonObject | None) -> str:
    code = content.get("error") if content is not None else None
    if isinstance(code, str) and code in _ADVICE:
        return f"answered {status} {code}; {_ADVICE[code]}"
    if status == 429 or status >= 500:
        return f"answered {status}; try again later"
    return f"answered {status}; see its own log for why, and that its address is right"


def _object(body: bytes) -> JsonObject | None:
    # What the reader says may quote the answer, and what it raises holds it: neither goes further.
    try:
        return jsontext.parse_object(body)
    except InvalidText:
        return None


def _private_key(path: str, pem: bytes) -> tuple[AllowedPrivateKeys, str]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = None
    # What this says may quote the file.
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_private_key(pem, password=None)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST:
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    raise Unavailable(
        f"{path} is no private key in PEM, without a password, that is RSA (from {_SMALLEST} bits), P-256 or Ed25519"
    )
