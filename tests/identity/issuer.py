"""An OAuth issuer of our own, on a real socket: metadata, keys that rotate, sign-in without a person, and tokens.

It does what it is told, right or wrong, and counts what it is asked for. Tokens are made with `joserfc`, which shares
no code with what checks them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import warnings
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias
from urllib.parse import urlencode

import uvicorn
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from shim.model import Json, JsonObject
from shim.server.listen import bind

AnyKey: TypeAlias = RSAKey | ECKey | OKPKey
AUDIENCE = "https://shim.test/mcp"
_numbers = count(1)


def rsa(bits: int = 2048) -> RSAKey:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(bits, {"kid": f"rsa-{next(_numbers)}"})


def ec(curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": f"ec-{next(_numbers)}"})


def ed() -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": f"ed-{next(_numbers)}"})


def public(key: AnyKey, **members: Json) -> JsonObject:
    """A key as it is published."""
    return {**key.as_dict(private=False), **members}


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Json) -> str:
    """A JSON value as a part of a token."""
    return b64(json.dumps(value).encode())


def signed(header: JsonObject, claims: bytes | JsonObject, key: AnyKey) -> str:
    """A token with exactly this header over these claims (bytes: as they stand)."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    algorithm = header["alg"]
    made = jws.serialize_compact({"alg": algorithm}, b"x", key, algorithms=[algorithm])
    assert made.count(".") == 2
    signing = f"{part(header)}.{b64(payload)}"
    implementation = jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm)
    return f"{signing}.{b64(implementation.sign(signing.encode(), key))}"


def claims(issuer: str, **members: Json) -> JsonObject:
    """What an access token for the shim says; None takes a claim out."""
    now = int(time.time())
    usual = {"iss": issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, "jti": f"t{next(_numbers)}"}
    return {name: value for name, value in {**usual, **members}.items() if value is not None}


@dataclass
class Issuer:
    """What the issuer is, and what it was asked for (`asked`, by path)."""

    url: str
    keys: list[tuple[str, AnyKey]]
    """Algorithm and key; the first signs."""
    person: JsonObject = field(default_factory=lambda: {"sub": "alice"})
    most: frozenset[str] | None = None
    """The scopes that are granted at most; None: whatever is asked for."""
    first: frozenset[str] | None = None
    """As `most`, for the first sign-in alone."""
    down: bool = False
    metadata: JsonObject = field(default_factory=dict)
    """Members that its metadata has instead of its own; None takes one out."""
    published: list[JsonObject] | None = None
    """The keys that it publishes instead of its own."""
    asked: Counter[str] = field(default_factory=Counter)
    requested: list[JsonObject] = field(default_factory=list)
    """The parameters of each sign-in."""
    _codes: dict[str, JsonObject] = field(default_factory=dict)

    def token(self, header: JsonObject | None = None, **members: Json) -> str:
        """An access token of the first key; `members` are claims."""
        algorithm, key = self.keys[0]
        head = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid, **(header or {})}
        return signed(head, claims(self.url, **{**self.person, **members}), key)

    def rotate(self, *keys: tuple[str, AnyKey]) -> None:
        self.keys = list(keys)

    def about(self) -> JsonObject:
        own: JsonObject = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in {**own, **self.metadata}.items() if value is not None}

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked[path] += 1
        if self.down:
            return Response(status_code=503)
        if path == "/keys":
            own = [public(key, use="sig", alg=algorithm) for algorithm, key in self.keys]
            return JSONResponse({"keys": own if self.published is None else self.published})
        if path == "/.well-known/oauth-authorization-server":
            return JSONResponse(self.about())
        if path == "/register":
            return JSONResponse({**await request.json(), "client_id": "the-client"}, status_code=201)
        if path == "/authorize":
            return self._authorize(dict(request.query_params))
        if path == "/token":
            return self._exchange({name: str(value) for name, value in (await request.form()).items()})
        return Response(status_code=404)

    def _authorize(self, asked: dict[str, str]) -> Response:
        assert asked["code_challenge_method"] == "S256"
        self.requested.append(dict(asked))
        code = f"code-{next(_numbers)}"
        self._codes[code] = dict(asked)
        back = {"code": code, "state": asked["state"], "iss": self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", status_code=302)

    def _exchange(self, form: dict[str, str]) -> Response:
        asked = self._codes.pop(form["code"])
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert challenge == asked["code_challenge"]
        assert form["resource"] == asked["resource"]
        scopes = frozenset(asked.get("scope", "").split())
        bound = self.first if len(self.requested) == 1 and self.first is not None else self.most
        scope = " ".join(sorted(scopes if bound is None else scopes & bound))
        token = self.token(aud=[asked["resource"], AUDIENCE], scope=scope)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope})


@asynccontextmanager
async def issuing(*keys: tuple[str, AnyKey]) -> AsyncIterator[Issuer]:
    """An issuer that listens on this machine."""
    with bind("127.0.0.1", 0) as sock:
        issuer = Issuer(f"http://127.0.0.1:{sock.getsockname()[1]}", list(keys) or [("ES256", ec())])
        app = Starlette(routes=[Route("/{path:path}", issuer.answer, methods=["GET", "POST"])])
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            # Not `serve`: it would take over the signals of the test run.
            task = group.create_task(server._serve([sock]))
            try:
                yield issuer
            finally:
                server.should_exit = True
                await task
