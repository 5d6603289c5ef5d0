"""The pages in a real browser, with the keyboard alone and as a screen reader has them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.console.serving import PROMPT, showing
from tests.parts.browser import Chromium
from tests.parts.fixtures import chromium as chromium
from tests.parts.webdriver import ENTER, TAB, Driver, driving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(chromium: Chromium) -> AsyncIterator[Driver]:
    async with driving(chromium) as one:
        yield one


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
