"""The pages in a real browser, with the keyboard alone and as a screen reader has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from tests.console.serving import PROMPT, Keeping, showing
from tests.parts.browser import Chromium
from tests.parts.fixtures import chromium as chromium
from tests.parts.webdriver import ENTER, TAB, Driver, driving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(chromium: Chromium) -> AsyncIterator[Driver]:
    async with driving(chromium) as one:
        yield one


@dataclass
class Elsewhere:
    """An authorization server on another site: a page with a link that goes back with a code."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """What was asked for, and the whole head of the request."""


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    there = Elsewhere()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        there.asked.append((path, head))
        query = parse_qs(urlsplit(path).query)
        back = f"{query['redirect_uri'][0]}?code=c0de&amp;state={query['state'][0]}" if "state" in query else ""
        page = f'<!DOCTYPE html><title>Elsewhere</title><h1>Elsewhere</h1><a href="{back}">Agree</a>'.encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        # Another name of this machine is another site.
        there.url = f"http://localhost:{server.sockets[0].getsockname()[1]}/authorize"
        yield there


async def test_alice_signs_in_and_gives_with_the_keyboard_alone(driver: Driver) -> None:
    async with showing() as shown, driver.window() as window:
        await window.go(shown.give())
        assert "forge" not in await window.source()
        await window.keys(TAB)
        assert await window.focus() == ("textbox", "Your access token")
        await window.keys(f"wrong{ENTER}")
        assert "not known here" in await window.text("[role=alert]")
        await window.keys(f"{TAB}ALICE{ENTER}")
        await window.heading("A credential is asked for")
        assert PROMPT in await window.text()
        assert "signed in as alice" in await window.text()
        assert await window.style("body", "max-width") != "none"
        await window.keys(TAB)
        assert await window.focus() == ("link", "Where to get it (opens a new tab)")
        await window.keys(TAB)
        assert await window.focus() == ("textbox", "The credential")
        await window.keys(f"short{ENTER}")
        assert "shorter than 8" in await window.text("[role=alert]")
        await window.keys(f"{TAB}{TAB}a long enough one{TAB}")
        assert await window.focus() == ("button", "Give it")
        await window.keys(ENTER)
        await window.heading("Thank you")
        assert await window.url() == f"{shown.base}/given"
        assert "You can close this page" in await window.text()
        assert shown.keeping.given == [("alices", "alice", "a long enough one")]
        assert [line for line in await window.complaints() if "the server responded with a status" not in line] == []


async def test_alice_consents_at_another_site_and_comes_back_signed_in(driver: Driver) -> None:
    async with elsewhere() as there, showing(keeping=Keeping(server=there.url)) as shown, driver.window() as window:
        await window.go(shown.give("consent"))
        await window.keys(f"{TAB}ALICE{ENTER}")
        await window.heading("Your consent is asked for")
        await window.press("Go there")
        await window.heading("Elsewhere")
        path, head = there.asked[0]
        assert path.startswith("/authorize?state=consent.state")
        assert "referer" not in head.lower()
        await window.press("Agree")
        await window.heading("Thank you")
        await window.heading("Thank you")
        assert await window.url() == f"{shown.base}/given"
        assert "You can close this page" in await window.text()
        assert shown.keeping.agreements == [("consent", "c0de", None, None)]
        assert await window.complaints() == []
