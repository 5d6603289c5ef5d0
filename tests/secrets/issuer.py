"""An authorization server of our own: client credentials, token exchange, what a person allows, refresh, revocation.

It checks who asks as RFC 6749 and 7523 say, what is exchanged as RFC 8693 says, and codes as RFC 7636 says; then it
does what it is told, right or wrong. JWTs are read with `joserfc`, which shares no code with what makes them.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from hashlib import sha256
from itertools import count
from typing import Final
from urllib.parse import parse_qs, unquote_plus, urlencode

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from shim.model import Json, JsonObject
from shim.server.listen import bind
from tests.identity.issuer import AUDIENCE, AnyKey, claims, ec, signed

SUBJECT: Final = "urn:ietf:params:oauth:token-type:access_token"
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT: Final = "shim:a b+%&="
PASSWORD: Final = "p+w:d %&=é-0123"
_numbers = count(1)


class Refused(Exception):
    """An error of the protocol."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass
class Server:
    """`alive` are tokens that work, with what is known of each; `asked` what came, without who asked.

    `changes` are members that answers have instead of its own (None takes one out); `fails` an answer to everything.
    """

    url: str
    person_key: AnyKey = field(default_factory=ec)
    client_key: AnyKey | None = None
    alive: dict[str, JsonObject] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    changes: JsonObject = field(default_factory=dict)
    fails: Response | None = None
    silent: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each code was asked for with, until it is used."""
    seen: set[str] = field(default_factory=set)
    """The ids of client assertions."""
    made: int = 0

    def person(self, **members: Json) -> str:
        """A caller's own access token, for the shim."""
        return signed(
            {"alg": "ES256", "typ": "at+jwt"}, claims(self.url, scope="read write", **members), self.person_key
        )

    def forget(self) -> None:
        """Be as it was at first, where it was."""
        fresh = Server(self.url, self.person_key)
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    async def authorize(self, request: Request) -> Response:
        """Where a person goes, who allows it at once."""
        asked = dict(request.query_params)
        assert len(asked) == len(request.query_params.multi_items())
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{next(_numbers):06}"
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.url})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    def _by_code(self, form: dict[str, str]) -> JsonObject:
        asked = self.codes.pop(form["code"], None)
        hashed = sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or asked["code_challenge"] != urlsafe_b64encode(hashed).decode().rstrip("="):
            raise Refused("invalid_grant")
        if asked["redirect_uri"] != form["redirect_uri"] or asked.get("resource") != form.get("resource"):
            raise Refused("invalid_grant")
        return {"refresh_token": f"opaque-refresh-token-{next(_numbers):06}", "scope": asked.get("scope", "")}

    def _by_refresh(self, form: dict[str, str]) -> JsonObject:
        # Each is good for once.
        if self.alive.pop(form["refresh_token"], None) is None:
            raise Refused("invalid_grant")
        return {"refresh_token": f"opaque-refresh-token-{next(_numbers):06}"}

    async def token(self, request: Request) -> Response:
        form = await self._proven(request)
        if self.fails is not None:
            return self.fails
        if self.silent:
            # Until who asks has left.
            await request.receive()
        try:
            about = self._about(form)
        except Refused as refused:
            return JSONResponse({"error": refused.code, "error_description": repr(form)}, refused.status)
        self.made += 1
        token = f"opaque-access-token-{next(_numbers):06}"
        answer: JsonObject = {"access_token": token, "token_type": "Bearer", "expires_in": 300, **about, **self.changes}
        for member in ("access_token", "refresh_token"):
            if isinstance(answer.get(member), str):
                self.alive[answer[member]] = about
        return JSONResponse({name: value for name, value in answer.items() if value is not None})

    async def revoke(self, request: Request) -> Response:
        form = await self._proven(request)
        if self.fails is not None:
            return self.fails
        assert form["token_type_hint"] in ("access_token", "refresh_token")
        self.alive.pop(form["token"], None)
        return Response()

    async def introspect(self, request: Request) -> Response:
        """RFC 7662, as the upstream would ask."""
        form = await self._proven(request)
        about = self.alive.get(form["token"])
        return JSONResponse({"active": False} if about is None else {**about, "active": True})

    def _about(self, form: dict[str, str]) -> JsonObject:
        scopes = form.get("scope", "").split()
        if "forbidden" in scopes:
            raise Refused("invalid_scope")
        if form.get("resource", "https://tickets.test/mcp") != "https://tickets.test/mcp":
            raise Refused("invalid_target")
        if form["grant_type"] == "client_credentials":
            return {"scope": form["scope"]} if scopes else {}
        if form["grant_type"] == "authorization_code":
            return self._by_code(form)
        if form["grant_type"] == "refresh_token":
            return self._by_refresh(form)
        if form["grant_type"] != "urn:ietf:params:oauth:grant-type:token-exchange":
            raise Refused("unsupported_grant_type")
        if form.get("subject_token_type") != SUBJECT:
            raise Refused("invalid_request")
        try:
            subject = jwt.decode(form["subject_token"], self.person_key, algorithms=["ES256"]).claims
        except JoseError:
            raise Refused("invalid_grant") from None
        if subject["iss"] != self.url or subject["aud"] != AUDIENCE or subject["exp"] <= time.time():
            raise Refused("invalid_grant")
        if not set(scopes) <= set(subject["scope"].split()):
            raise Refused("invalid_scope")
        about: JsonObject = {"issued_token_type": SUBJECT, "sub": subject["sub"]}
        return {**about, "scope": form["scope"]} if scopes else about

    async def _proven(self, request: Request) -> dict[str, str]:
        """The form, once the client has proven who it is."""
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        found = parse_qs((await request.body()).decode("ascii"), strict_parsing=True, keep_blank_values=True)
        assert all(len(values) == 1 for values in found.values())
        form = {name: values[0] for name, values in found.items()}
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            name, _, password = b64decode(credentials, validate=True).decode("ascii").partition(":")
            assert not form.keys() & {"client_id", "client_assertion"}
            if (unquote_plus(name), unquote_plus(password)) != (CLIENT, PASSWORD):
                raise Refused("invalid_client", 401)
        else:
            self._asserted(form)
        self.asked.append(form)
        return form

    def _asserted(self, form: dict[str, str]) -> None:
        kind, client, assertion = (
            form.pop(name, "") for name in ("client_assertion_type", "client_id", "client_assertion")
        )
        if kind != ASSERTION or client != CLIENT or self.client_key is None:
            raise Refused("invalid_client", 401)
        try:
            found = jwt.decode(assertion, KeySet([self.client_key]), algorithms=["RS256", "ES256", "EdDSA"]).claims
        except JoseError:
            raise Refused("invalid_client", 401) from None
        now = time.time()
        right = found["iss"] == found["sub"] == CLIENT and found["aud"] == f"{self.url}/token"
        if not right or not now - 30 < found["iat"] <= now < found["exp"] <= now + 61 or found["jti"] in self.seen:
            raise Refused("invalid_client", 401)
        self.seen.add(found["jti"])


async def _protocol_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.code}, error.status)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """The server, listening on this machine."""
    with bind("127.0.0.1", 0) as sock:
        made = Server(f"http://127.0.0.1:{sock.getsockname()[1]}")
        routes = [
            Route("/authorize", made.authorize, methods=["GET"]),
            Route("/token", made.token, methods=["POST"]),
            Route("/revoke", made.revoke, methods=["POST"]),
            Route("/introspect", made.introspect, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={Refused: _protocol_error})
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            # Not `serve`: it would take over the signals of the test run.
            task = group.create_task(server._serve([sock]))
            try:
                yield made
            finally:
                server.should_exit = True
                await task
