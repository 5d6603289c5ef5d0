"""Who somebody is at the pages: proved as in agents' requests, kept by the browser, and soon over."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from shim.console.attempts import PER_ADDRESS, SECONDS
from tests.console.browsing import Browser
from tests.console.serving import Shown, showing
from tests.server.running import client

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Shown]:
    async with showing() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with client() as one:
        yield one


@pytest.fixture
def shown(server: Shown) -> Shown:
    server.renew()
    return server


@pytest.fixture
def browser(http: httpx2.AsyncClient) -> Browser:
    http.cookies.clear()
    return Browser(http)


async def test_every_wrong_token_gets_the_same_answer_and_is_on_the_record(shown: Shown, browser: Browser) -> None:
    answers = [
        (await browser.sign_in(shown.give(t), w)).response for w in ("x", "é", "", "a b") for t in ("alices", "no")
    ]
    assert {(one.status_code, one.content, one.headers.get("set-cookie")) for one in answers} == {
        (403, answers[0].content, None)
    }
    assert 'role="alert"' in answers[0].text
    assert {address for address, _ in shown.served.refused} == {"127.0.0.1"}
    assert {why for _, why in shown.served.refused} == {"unknown token", "not a bearer token", "no credential"}


async def test_wrong_tokens_are_bounded(shown: Shown, browser: Browser) -> None:
    for _ in range(PER_ADDRESS):
        assert (await browser.sign_in(shown.give(), "wrong")).status == 403
    assert (await browser.sign_in(shown.give())).status == 429
    shown.ahead[0] += SECONDS
    assert (await browser.sign_in(shown.give())).status == 200


async def test_the_cookie_is_for_the_pages_alone(shown: Shown, browser: Browser) -> None:
    response = await browser.http.post(
        shown.give(), data={"do": "sign-in", "token": " ALICE\n"}, headers={"origin": shown.base}
    )
    assert response.status_code == 303
    cookies = response.headers.get_list("set-cookie")
    assert [cookie.partition("; ")[2] for cookie in cookies] == [
        f"Path={path}; Max-Age=900; HttpOnly; SameSite=Lax" for path in ("/give", "/given")
    ]
    value = cookies[0].partition(";")[0].partition("=")[2]
    assert "ALICE" not in response.text + value
    assert b"alice" not in base64.urlsafe_b64decode(value + "===")


async def test_a_revoked_token_ends_it_at_once(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give())
    shown.served.tokens.revoke("alice")
    told = await browser.post(shown.give(), {**page.forms["give"], "value": "long enough"})
    assert (told.status, list(told.forms)) == (403, ["sign-in"])
    assert (await browser.get(f"{shown.base}/given?state=consent.state&code=c")).status == 403
    assert (shown.keeping.given, shown.keeping.agreements) == ([], [])


async def test_it_ends_by_itself(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give())
    shown.ahead[0] += 15 * 60 - 5
    assert "give" in (await browser.get(shown.give())).forms
    shown.ahead[0] += 6
    told = await browser.post(shown.give(), {**page.forms["give"], "value": "long enough"})
    assert (told.status, list(told.forms), shown.keeping.given) == (403, ["sign-in"], [])


async def test_two_cookies_of_the_name_are_none(shown: Shown, browser: Browser) -> None:
    await browser.sign_in(shown.give())
    kept = browser.cookies["/give"]
    for cookie in (f"{kept}; {kept}", f"{kept}x", "mcp-shim-person", "mcp-shim-person=", "mcp-shim-person=é"):
        page = await browser.http.get(shown.give(), headers={b"cookie": cookie.encode()})
        assert "Sign in" in page.text
        assert "forge" not in page.text
