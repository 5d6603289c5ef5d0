"""What a person is shown and may give: after signing in, their own, from our own pages, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
import pytest_asyncio

from shim.server.config import ServerBlock
from tests.console.browsing import Browser
from tests.console.serving import ALICES, PROMPT, Keeping, Shown, showing
from tests.server.doubles import Tokens
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


async def test_alice_signs_in_and_gives(shown: Shown, browser: Browser) -> None:
    asked = await browser.get(shown.give())
    assert (asked.status, list(asked.forms)) == (200, ["sign-in"])
    page = await browser.sign_in(shown.give())
    assert page.status == 200
    assert PROMPT in page.text
    assert "forge" in page.text
    assert "alice" in page.text
    assert page.links == [ALICES.url]
    done = await browser.post(shown.give(), {**page.forms["give"], "value": "s3cret value+%&"})
    assert done.status == 200
    assert done.response.url == f"{shown.base}/given"
    assert "You can close this page" in done.text
    assert shown.keeping.given == [("alices", "alice", "s3cret value+%&")]
    assert "s3cret" not in done.response.text


async def test_whoever_is_not_signed_in_learns_nothing_of_a_ticket(shown: Shown, browser: Browser) -> None:
    tickets = ("alices", "consent", "none", "%2e%2e", "a/b", "%00", "a" * 9000, "")
    answers = [(await browser.get(shown.give(ticket))).response for ticket in tickets]
    ones = {(one.status_code, one.content, tuple(sorted(_steady(one)))) for one in answers}
    assert len(ones) == 1
    assert shown.keeping.asked == []


def _steady(response: httpx2.Response) -> list[tuple[str, str]]:
    return [pair for pair in response.headers.multi_items() if pair[0] != "date"]


@pytest.mark.parametrize("ticket", ["none", "%2e%2e", "a/b", "a" * 9000, ""])
async def test_one_that_is_unknown_or_over_asks_for_nothing(shown: Shown, browser: Browser, ticket: str) -> None:
    await browser.sign_in(shown.give())
    page, over = await browser.get(shown.give(ticket)), await browser.get(shown.give("over"))
    assert page.status == over.status == 404
    assert page.response.content == over.response.content
    assert "call the tool again" in page.text
    assert page.forms == {}


async def test_bob_sees_neither_what_alice_is_asked_for_nor_that_it_is_alice(shown: Shown, browser: Browser) -> None:
    alice = Browser(browser.http)
    form = (await alice.sign_in(shown.give())).forms["give"]
    page = await browser.sign_in(shown.give(), "BOB")
    assert page.status == 403
    assert "bob" in page.text
    assert not {"alice", "forge", "friends"} & set(page.response.text.replace("<", " ").split())
    assert "alice" not in page.response.text
    assert list(page.forms) == ["leave"]
    tried = await browser.post(shown.give(), {**form, "value": "bobs own secret"})
    assert tried.status == 403
    assert shown.keeping.given == []
    assert [why for _, why in shown.served.refused] == ["bob opened a page that asks another identity"]
    again = await browser.post(shown.give(), page.forms["leave"])
    assert list(again.forms) == ["sign-in"]
    assert browser.cookies == {}
    assert "give" in (await browser.sign_in(shown.give())).forms


async def test_what_does_not_fit_is_told_and_not_repeated(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give())
    told = await browser.post(shown.give(), {**page.forms["give"], "value": "sh<ort"})
    assert told.status == 422
    assert "It is shorter than 8 characters: <look again>." in told.text
    assert 'role="alert"' in told.response.text
    assert "sh" + "<ort" not in told.response.text
    assert "sh&lt;ort" not in told.response.text
    assert "give" in told.forms


async def test_what_cannot_be_kept_now(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give())
    shown.keeping.down = True
    told = await browser.post(shown.give(), {**page.forms["give"], "value": "long enough"})
    assert told.status == 503
    assert "Try again" in told.text


async def test_a_form_that_no_page_of_ours_made_gives_nothing(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give())
    other = (await browser.get(shown.give("consent"))).forms["consent"]["mark"]
    form = {**page.forms["give"], "value": "long enough"}
    for mark in ("", "é", other, form["mark"][:-1] + ("0" if form["mark"][-1] != "0" else "1")):
        assert (await browser.post(shown.give(), {**form, "mark": mark})).status == 403
    await browser.sign_in(shown.give())  # anew: what was shown before holds no more
    assert (await browser.post(shown.give(), form)).status == 403
    assert shown.keeping.given == []


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.test",
        "http://127.0.0.1",
        "http://localhost:{port}",
        "https://127.0.0.1:{port}",
        "http://[",
    ],
)
async def test_a_form_of_another_site_does_nothing(shown: Shown, browser: Browser, origin: str) -> None:
    page = await browser.sign_in(shown.give())
    browser.origin = origin.format(port=shown.served.port)
    for form in ({**page.forms["give"], "value": "long enough"}, {"do": "sign-in", "token": "BOB"}, {"do": "leave"}):
        refused = await browser.post(shown.give(), form)
        assert refused.status == 403
        assert "set-cookie" not in refused.response.headers
    assert shown.keeping.given == []


async def test_a_form_without_an_origin_does_nothing(shown: Shown, browser: Browser) -> None:
    response = await browser.http.post(shown.give(), data={"do": "sign-in", "token": "ALICE"})
    assert (response.status_code, response.headers.get("set-cookie")) == (403, None)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"do=leave", "application/json", 415),
        (b"do=leave", "multipart/form-data; boundary=x", 415),
        (b"do=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"do=leave&do=sign-in", "application/x-www-form-urlencoded", 400),
        (b"do=%ff", "application/x-www-form-urlencoded", 400),
        (b"do=\xe9", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=" % n for n in range(99)), "application/x-www-form-urlencoded", 400),
    ],
)
async def test_what_is_no_form(shown: Shown, browser: Browser, body: bytes, kind: str, status: int) -> None:
    headers = {"origin": shown.base, "content-type": kind}
    assert (await browser.http.post(shown.give(), content=body, headers=headers)).status_code == status

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    assert (await browser.http.post(shown.give(), content=pieces(), headers=headers)).status_code == status


@pytest.mark.parametrize(("path", "methods"), [("/give/alices", "PUT DELETE OPTIONS"), ("/given", "HEAD POST PUT")])
async def test_other_methods(shown: Shown, browser: Browser, path: str, methods: str) -> None:
    for method in methods.split():
        response = await browser.http.request(method, shown.base + path)
        assert response.status_code == 405
        assert "GET" in response.headers["allow"]


async def test_the_head_of_a_page(shown: Shown, browser: Browser) -> None:
    page = await browser.get(shown.give())
    head = await browser.http.head(shown.give())
    assert (head.status_code, head.content, _steady(head)) == (200, b"", _steady(page.response))


async def test_a_host_that_is_not_ours_reaches_no_page(shown: Shown, browser: Browser) -> None:
    assert (await browser.get(shown.give(), host="evil.test")).status == 421


async def test_what_a_browser_may_do_with_a_page(shown: Shown, browser: Browser) -> None:
    pages = [
        await browser.get(shown.give()),
        await browser.get(f"{shown.base}/given"),
        await browser.sign_in(shown.give(), "wrong"),
        await browser.sign_in(shown.give()),
        await browser.get(shown.give("none")),
        await browser.get(f"{shown.base}/given"),
        await browser.get(f"{shown.base}/given?state=x&code=y"),
    ]
    for page in pages:
        headers = page.response.headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert policy["style-src"].startswith("'sha256-")
        assert "script-src" not in policy
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert page.tags.count("h1") == page.tags.count("main") == 1
        assert not {"script", "img", "link", "iframe"} & set(page.tags)
        assert page.response.text.startswith('<!DOCTYPE html><html lang="en">')
        assert page.tags.count("label") == page.response.text.count('type="password"')
    assert len({page.response.content for page in pages}) == 7


async def test_consent_goes_to_the_server_and_comes_back(shown: Shown, browser: Browser) -> None:
    page = await browser.sign_in(shown.give("consent"))
    assert "form-action https: http:" in page.response.headers["content-security-policy"]
    there = await browser.post(shown.give("consent"), page.forms["consent"])
    assert there.status == 303
    back = f"{shown.base}/given"
    assert there.response.headers["location"] == f"https://as.test/authorize?state=consent.state&redirect_uri={back}"
    returned = await browser.get(f"{back}?state=consent.state&code=c%2B1&iss=https%3A%2F%2Fas.test")
    assert (returned.status, returned.response.headers["location"]) == (303, "./given")
    assert "You can close this page" in (await browser.get(back)).text
    assert shown.keeping.agreements == [("consent", "c+1", None, "https://as.test")]
    assert shown.keeping.backs == {back}


async def test_who_comes_back_has_to_be_who_went(shown: Shown, browser: Browser) -> None:
    back = f"{shown.base}/given?state=consent.state&code=c"
    unknown = await browser.get(f"{shown.base}/given?state=other&code=c")
    nobody = await browser.get(back)
    assert (nobody.status, nobody.response.content) == (403, unknown.response.content)
    await browser.sign_in(shown.give("consent"), "BOB")
    assert (await browser.get(back)).status == 403
    assert shown.keeping.agreements == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("state=consent.state&error=access_denied", 422),
        ("state=consent.state", 422),
        ("code=c", 422),
        ("state=consent.state&state=x&code=c", 400),
        ("state=%ff&code=c", 400),
        ("state", 400),
    ],
)
async def test_what_does_not_come_back_as_it_should(shown: Shown, browser: Browser, query: str, status: int) -> None:
    await browser.sign_in(shown.give("consent"))
    page = await browser.get(f"{shown.base}/given?{query}")
    assert page.status == status
    assert 'role="alert"' in page.response.text
    shown.keeping.down = True
    assert (await browser.get(f"{shown.base}/given?state=consent.state&code=c")).status == 503
    assert shown.keeping.agreements == []


async def test_what_is_typed_in_is_no_consent_and_the_other_way_round(shown: Shown, browser: Browser) -> None:
    await browser.sign_in(shown.give())
    for ticket, deed in (("alices", "consent"), ("consent", "give"), ("alices", "other")):
        page = await browser.get(shown.give(ticket))
        mark = next(form["mark"] for form in page.forms.values() if "mark" in form)
        shownagain = await browser.post(shown.give(ticket), {"do": deed, "mark": mark, "value": "long enough"})
        assert shownagain.response.content == page.response.content
    assert shown.keeping.given == []
    assert shown.keeping.backs == set()


async def test_a_link_leads_only_to_https(browser: Browser) -> None:
    keeping = Keeping({"t": replace(ALICES, url="javascript:alert(1)")})
    async with showing(keeping=keeping) as shown:
        page = await browser.sign_in(shown.give("t"))
        assert (page.links, list(page.forms)) == ([], ["give", "leave"])


async def test_behind_a_proxy_at_a_path_of_its_own(browser: Browser) -> None:
    block = ServerBlock(url="https://agents.test/team/mcp", behind_proxy=True)
    async with showing(block=block) as shown:
        browser.origin = "https://agents.test"
        response = await browser.http.post(
            shown.give("consent"), data={"do": "sign-in", "token": "ALICE"}, headers={"origin": "https://agents.test"}
        )
        cookies = response.headers.get_list("set-cookie")
        assert [part for cookie in cookies for part in cookie.split("; ")[1:]] == [
            *("Path=/team/give", "Max-Age=900", "HttpOnly", "SameSite=Lax", "Secure"),
            *("Path=/team/given", "Max-Age=900", "HttpOnly", "SameSite=Lax", "Secure"),
        ]
        browser.cookies = {"/give": cookies[0].split(";")[0]}  # the proxy takes the path away
        page = await browser.get(shown.give("consent"))
        await browser.post(shown.give("consent"), page.forms["consent"])
        assert shown.keeping.backs == {"https://agents.test/team/given"}


async def test_where_nobody_keeps_anything_there_are_no_pages(shown: Shown, browser: Browser) -> None:
    shown.keeps(False)
    for path in ("/give/alices", "/given", "/giving", "/give"):
        assert (await browser.get(shown.base + path)).response.content == b""
        assert (await browser.post(shown.base + path, {"do": "sign-in", "token": "ALICE"})).status == 404


async def test_a_guest_goes_on_without_a_token(browser: Browser) -> None:
    keeping = Keeping({"t": replace(ALICES, identity="guest")})
    async with showing(tokens=Tokens("alice", guest="guest"), keeping=keeping) as shown:
        first = await browser.get(shown.give("t"))
        assert "Go on without a token" in first.text
        assert "Go on without a token" not in (await browser.get(shown.give("t"), forwarded="for=10.0.0.1")).text
        page = await browser.sign_in(shown.give("t"), "")
        done = await browser.post(shown.give("t"), {**page.forms["give"], "value": "long enough"})
        assert (done.status, keeping.given) == (200, [("t", "guest", "long enough")])
