"""A stub of the two requests of GitHub's API: it checks what the public documentation says of them, and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shim.model import JsonObject
from shim.server.listen import bind
from tests.identity.issuer import rsa

APP = "Iv1.app"
INSTALLATION = "77"


@dataclass
class GitHub:
    """`alive` are tokens that work; `changes` are members that answers have instead; `fails` a status for all."""

    url: str
    key: RSAKey = field(default_factory=rsa)
    alive: set[str] = field(default_factory=set)
    made: int = 0
    changes: JsonObject = field(default_factory=dict)
    fails: int | None = None

    async def make(self, request: Request) -> Response:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        if self.fails is not None:
            return JSONResponse({"message": f"no {bearer}"}, self.fails, {"location": f"{self.url}/elsewhere"})
        token = jwt.decode(bearer, self.key, algorithms=["RS256"])
        now, claims = time.time(), token.claims
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["user-agent"]
        if claims["iss"] != APP or not claims["iat"] <= now < claims["exp"] <= now + 600:
            return JSONResponse({"message": "Bad credentials"}, 401)
        if request.path_params["id"] != INSTALLATION:
            return JSONResponse({"message": "Not Found"}, 404)
        asked = await request.json()
        self.made += 1
        secret = f"ghs_{self.made:036}"
        self.alive.add(secret)
        answer: JsonObject = {
            "token": secret,
            "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3600)),
            "permissions": {**asked["permissions"], "metadata": "read"},
            "repository_selection": "all",
        }
        if "repositories" in asked:
            answer["repository_selection"] = "selected"
            answer["repositories"] = [{"name": name} for name in asked["repositories"]]
        return JSONResponse({**answer, **self.changes}, 201)

    async def end(self, request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token not in self.alive:
            return JSONResponse({"message": "Bad credentials"}, 401)
        self.alive.remove(token)
        return Response(status_code=204)


@asynccontextmanager
async def github() -> AsyncIterator[GitHub]:
    """The stub, listening on this machine."""
    with bind("127.0.0.1", 0) as sock:
        stub = GitHub(f"http://127.0.0.1:{sock.getsockname()[1]}")
        routes = [
            Route("/app/installations/{id}/access_tokens", stub.make, methods=["POST"]),
            Route("/installation/token", stub.end, methods=["DELETE"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            # Not `serve`: it would take over the signals of the test run.
            task = group.create_task(server._serve([sock]))
            try:
                yield stub
            finally:
                server.should_exit = True
                await task
