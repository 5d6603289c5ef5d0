"""The two requests to GitHub's API that a token of an installation needs: making it, and ending it.

https://docs.github.com/en/rest/apps/apps and https://docs.github.com/en/rest/apps/installations
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from shim import jsontext
from shim.errors import InvalidText
from shim.model import JsonObject
from shim.secrets.source import Unavailable

if TYPE_CHECKING:
    import httpx2

SECONDS: Final = 8.0
"""For one request: less than the broker waits, so that what came is not lost."""
_MOST: Final = 1024 * 1024
_HEADERS: Final = {
    "accept": "application/vnd.github+json",
    "accept-encoding": "identity",
    "user-agent": "mcp-shim",
    "x-github-api-version": "2022-11-28",
}
_ADVICE: Final = {
    401: "see that `app_id` and `private_key` belong together, and that the clock here is right",
    403: "see that the app is not suspended, and that its rate limit is not reached",
    404: "see that `installation` is one of this app, and that `repositories` are in it",
    422: "ask for no more `permissions` and `repositories` than the installation has",
    429: "its rate limit is reached; try again later",
}


class GitHubApi:
    """One API, over one client. What it answers in words is not repeated: it may hold what was sent."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client: httpx2.AsyncClient | None = None

    async def make(self, installation: str, jwt: str, asked: JsonObject) -> JsonObject:
        """A new token, as the API describes it. Raises Unavailable."""
        status, body = await self._send("POST", f"/app/installations/{installation}/access_tokens", jwt, asked)
        if status != 201:
            advice = _ADVICE.get(status, "try again, and see that `api_url` is GitHub's API")
            raise Unavailable(f"GitHub answered {status}; {advice}")
        try:
            return jsontext.parse_object(body)
        except InvalidText:
            raise Unavailable("GitHub gave an answer that is no JSON object; see that `api_url` is its API") from None

    async def end(self, token: str) -> None:
        """End a token, or find that it is over. Raises Unavailable."""
        status, _ = await self._send("DELETE", "/installation/token", token, None)
        if status not in (204, 401):
            raise Unavailable(f"GitHub answered {status} as its token was to be revoked")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(self, method: str, path: str, bearer: str, content: JsonObject | None) -> tuple[int, bytes]:
        import httpx2

        if self._client is None:
            tls = ssl.create_default_context()
            self._client = httpx2.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=SECONDS)
        headers = {**_HEADERS, "authorization": f"Bearer {bearer}"}
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._client.stream(method, self._url + path, headers=headers, json=content) as response,
            ):
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > _MOST:
                        raise Unavailable("GitHub's answer is longer than 1 MiB; see that `api_url` is its API")
                return response.status_code, bytes(body)
        except TimeoutError:
            raise Unavailable(f"GitHub did not answer within {SECONDS:g} s") from None
        # What these say may hold headers: their names tell enough.
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise Unavailable(
                f"GitHub could not be asked ({type(error).__name__}); see that it can be reached"
            ) from None
