"""Requests to Vault's API, which OpenBao has too: bounded in time and size, and never sent on elsewhere.

https://openbao.org/api-docs/
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shim import jsontext
from shim.errors import InvalidText
from shim.model import JsonObject
from shim.secrets.lasting import lasting
from shim.secrets.source import Unavailable

if TYPE_CHECKING:
    import httpx2

SECONDS: Final = 8.0
"""For one request: less than the broker waits, so that what came is not lost."""
LASTING: Final = 95.0
"""For one that makes something: Vault itself ends it before, after 90 s where `max_request_duration` is not set."""
_MOST: Final = 1024 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_NOTHING_DONE: Final = frozenset({500, 503})
"""Of the answers from 500 on, those that Vault gives itself after nothing was done, or after it took it back."""
_ADVICE: Final = {
    400: "see that what is sent there is what it wants",
    403: "see that the policies of the shim's token allow it there, and that the token is still good",
    404: "see that something is there",
    405: "see that the path can be asked so; `params` makes it a POST",
    429: "its quota is reached; try again later",
    503: "it is sealed or does not serve; unseal it",
}


class Refused(Unavailable):
    """Nothing was made there. `status` None: nothing was even sent."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


class VaultApi:
    """One server and namespace, over one client. What it says in words is not repeated: it may hold what was sent."""

    def __init__(self, address: str, namespace: str | None, ca: str | None, *, seconds: float = SECONDS) -> None:
        """`ca`: a file with the authorities to believe, in place of those that the system trusts."""
        self._address = address.rstrip("/")
        self._namespace = namespace
        self._ca = ca
        self._seconds = seconds
        self._tls: ssl.SSLContext | None = None
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    async def send(self, method: str, path: str, token: str | None, content: JsonObject | None = None) -> JsonObject:
        """The answer; empty where it has no body. `path` is as the API has it, not encoded yet.

        Raises Refused where nothing was made, and Unavailable where that is not known.
        """
        return await self._send(method, path, token, content, {})

    async def make(
        self, method: str, path: str, token: str, content: JsonObject | None, wrap: float | None, *, lasts: bool
    ) -> JsonObject:
        """As `send`. With `wrap` seconds the answer is wrapped on its way. With `lasts` Vault goes on to the end of it
        whatever becomes of this process, and the answer is awaited for as long as there can be one.
        """
        if wrap is None:
            return await self._send(method, path, token, content, {}, lasts=lasts)
        more = {"x-vault-wrap-ttl": f"{math.ceil(wrap)}s"}
        wrapped = await self._send(method, path, token, content, more, lasts=lasts)
        info = wrapped.get("wrap_info")
        if not isinstance(info, dict) or not isinstance(info.get("token"), str) or info.get("creation_path") != path:
            raise Unavailable(f"{self._who} did not wrap its answer to {path} as it was told to")
        try:
            return await self._send("PUT", "sys/wrapping/unwrap", info["token"], None, {})
        except Refused as refused:
            # What is in it was made all the same.
            raise Unavailable(f"{self._who} wrapped its answer and did not unwrap it: {refused}") from None

    async def end(self, token: str) -> None:
        """Revoke a token, and all that was leased under it, or find that it is over. Raises Unavailable."""
        try:
            await self.send("PUT", "auth/token/revoke-self", token)
        except Refused as refused:
            if refused.status not in (400, 403) or await self.is_good(token):
                raise

    async def is_good(self, token: str) -> bool:
        """Whether a token is alive. Raises Unavailable."""
        try:
            await self.send("GET", "auth/token/lookup-self", token)
        except Refused as refused:
            if refused.status != 403:
                raise
            return False
        return True

    async def close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].aclose()

    @property
    def _who(self) -> str:
        return f"Vault ({self._address})"

    async def _send(
        self,
        method: str,
        path: str,
        token: str | None,
        content: JsonObject | None,
        more: dict[str, str],
        *,
        lasts: bool = False,
    ) -> JsonObject:
        headers = {"accept": "application/json", "accept-encoding": "identity", "x-vault-request": "true", **more}
        if token is not None:
            if not _TOKEN.fullmatch(token):
                raise Refused("the shim's token for Vault is none: it is empty, or holds what no header can")
            headers["x-vault-token"] = token
        if self._namespace is not None:
            headers["x-vault-namespace"] = self._namespace
        status, body = await self._answer(method, path, headers, content, lasts=lasts)
        if status not in (200, 204):
            advice = _ADVICE.get(status, "see that `address` is Vault's")
            if token is None and status in (400, 403):
                advice = "what is shown there is not believed; see `auth`, and the role and mount that it names"
            if 300 <= status < 400:
                advice = "redirects are not followed: write where it leads to, the active node, as `address`"
            why = f"{self._who} answered {status} to {method} {path[:200]}; {advice}"
            raise Refused(why, status) if status < 500 or status in _NOTHING_DONE else Unavailable(why)
        content = _object(body) if body else {}
        if content is None:
            raise Unavailable(f"{self._who} gave an answer that is no JSON object; see that `address` is Vault's")
        return content

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], content: JsonObject | None, *, lasts: bool
    ) -> tuple[int, bytes]:
        import httpx2

        kind: type[Unavailable]
        seconds = LASTING if lasts else self._seconds
        extensions = {"trace": lasting()} if lasts else {}
        # A connection that does not come about is told from an answer that does not: nothing was sent.
        timeout = httpx2.Timeout(seconds, connect=self._seconds / 2, pool=self._seconds / 2)
        try:
            url = f"{self._address}/v1/{quote(path, safe='/')}"
            async with (
                asyncio.timeout(seconds),
                self._ready(lasts=lasts).stream(
                    method, url, headers=headers, json=content, timeout=timeout, extensions=extensions
                ) as response,
            ):
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > _MOST:
                        raise Unavailable(f"{self._who} gave an answer that is longer than 1 MiB")
                return response.status_code, bytes(body)
        # What these hold, the request with its headers, goes no further: not even as what stands behind ours.
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            kind, why = Refused, f"cannot be reached ({type(error).__name__}); see that it runs, and `tls.ca`"
        except (httpx2.InvalidURL, UnicodeError):
            kind, why = Refused, "has no such path"
        except (TimeoutError, httpx2.TimeoutException):
            kind, why = Unavailable, f"did not answer within {seconds:g} s"
        except (httpx2.HTTPError, OSError) as error:
            kind, why = Unavailable, f"broke off ({type(error).__name__}); see that it runs"
        raise kind(f"{self._who} {why}")

    def _ready(self, *, lasts: bool) -> httpx2.AsyncClient:
        import httpx2

        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cafile=self._ca)
            except OSError as error:
                raise Refused(f"the authorities in {self._ca} cannot be read ({type(error).__name__})") from None
        if lasts not in self._clients:
            kept = httpx2.Limits(max_connections=None if lasts else 100, max_keepalive_connections=0 if lasts else 20)
            self._clients[lasts] = httpx2.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, limits=kept
            )
        return self._clients[lasts]


def _object(body: bytes) -> JsonObject | None:
    # What the reader says may quote the answer: it goes no further.
    try:
        return jsontext.parse_object(body)
    except InvalidText:
        return None
