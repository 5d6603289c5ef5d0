"""Secrets go to the upstream that needs them, with the call that needs them, and to no other session."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from shim.errors import SecretUnavailable, UpstreamUnavailable
from shim.model import Lease
from shim.templates import place
from shim.upstream.config import UpstreamBlock
from tests.secrets.asking import broker, put
from tests.upstream.support import Running, running, stdio, text
from tests.upstream.test_ending import is_alive
from tests.upstream.web import Request, Web, serving

ERAS = ("modern", "legacy")
CANARY = "canary-7f3a9c"


def http(url: str, *, catalog: dict[str, str] | None = None, **block: object) -> UpstreamBlock:
    headers = {"Authorization": f"Bearer {place('gh')}", "X-Plain": "plain"}
    return UpstreamBlock.model_validate({"url": url, "headers": headers, "catalog": catalog or {}, **block})


def authorizations(web: Web, method: str) -> list[str | None]:
    return [request.headers.get("authorization") for request in web.asked(method)]


def files(folder: Path, **secrets: str) -> dict[str, dict[str, str]]:
    return {name: {"source": "file", "path": str(put(folder / name, value))} for name, value in secrets.items()}


@pytest.mark.parametrize("era", ERAS)
async def test_a_header_is_on_the_call_and_not_on_the_reading_of_the_catalog(tmp_path: Path, era: str) -> None:
    asked = broker(files(tmp_path, gh="the-first-one"))
    async with serving(era) as web, running({"web": http(web.url)}, broker=asked) as run:
        leases: list[Lease] = []
        await run.call("web", "echo", leases=leases)
        assert authorizations(web, "tools/call") == ["Bearer the-first-one"]
        assert set(authorizations(web, "tools/list")) == {None}
        assert {request.headers["x-plain"] for request in web.seen} == {"plain"}
        assert [lease.secret for lease in leases] == ["gh"]


@pytest.mark.parametrize("era", ERAS)
async def test_the_catalog_is_read_with_its_own_secret(tmp_path: Path, era: str) -> None:
    asked = broker(files(tmp_path, gh="for-calls", reading="for-reading"))
    async with serving(era) as web, running({"web": http(web.url, catalog={"gh": "reading"})}, broker=asked) as run:
        await run.call("web", "echo")
        assert set(authorizations(web, "tools/list")) == {"Bearer for-reading"}
        assert authorizations(web, "tools/call") == ["Bearer for-calls"]
        if era == "modern":
            # What belongs to no call is the shim's own.
            assert set(authorizations(web, "server/discover")) == {"Bearer for-reading"}
        else:
            # A session keeps to the credential that it was opened with, in all that it sends.
            by_session: dict[str | None, set[str | None]] = {}
            for request in web.seen:
                session = request.headers.get("mcp-session-id")
                by_session.setdefault(session, set()).add(request.headers.get("authorization"))
            del by_session[None]
            kept = [{"Bearer for-calls"}, {"Bearer for-reading"}]
            assert sorted(by_session.values(), key=repr) == kept


@pytest.mark.parametrize("era", ERAS)
async def test_a_value_that_changed_holds_from_the_next_call_on(tmp_path: Path, era: str) -> None:
    asked = broker(files(tmp_path, gh="the-first-one"))
    async with serving(era) as web, running({"web": http(web.url)}, broker=asked) as run:
        await run.call("web", "echo")
        await run.call("web", "echo")
        put(tmp_path / "next", "the-second-one").replace(tmp_path / "gh")
        await run.call("web", "echo")
        assert authorizations(web, "tools/call") == [
            "Bearer the-first-one",
            "Bearer the-first-one",
            "Bearer the-second-one",
        ]
        sessions = [request.headers.get("mcp-session-id") for request in web.asked("tools/call")]
        if era == "legacy":
            assert sessions[0] == sessions[1] != sessions[2]
        else:
            assert sessions == [None, None, None]


async def test_the_callers_of_a_stateless_upstream_share_no_credential(tmp_path: Path) -> None:
    held = asyncio.Event()

    async def slow(request: Request) -> None:
        await held.wait()
        request.say("done")

    asked = broker(files(tmp_path, gh="the-first-one"))
    async with serving("modern", slow=slow) as web, running({"web": http(web.url)}, broker=asked) as run:
        first = asyncio.ensure_future(run.call("web", "slow", identity="alice"))
        await web.until(lambda: web.asked("tools/call"))
        put(tmp_path / "next", "the-second-one").replace(tmp_path / "gh")
        await run.call("web", "echo", identity="bob")
        held.set()
        await first
        assert authorizations(web, "tools/call") == ["Bearer the-first-one", "Bearer the-second-one"]
        # The opening belongs to nobody: a credential that is refused there would end the calls of others.
        assert len(web.asked("server/discover")) == 1


async def variables(run: Running, identity: str) -> dict[str, str]:
    found = json.loads(text(await run.call("a", "env", identity=identity)))["env"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("era", ERAS)
async def test_a_process_has_the_values_of_its_calls_in_its_environment(tmp_path: Path, era: str) -> None:
    block = stdio(era=era, env={"TOKEN": f"token={place('gh.token')};", "PLAIN": "${secret:gh}"})
    asked = broker(files(tmp_path, gh='{"token": "the-first-one"}'))
    async with running({"a": block}, broker=asked) as run:
        alice = await variables(run, "alice")
        assert (alice["TOKEN"], alice["PLAIN"]) == ("token=the-first-one;", "${secret:gh}")


async def test_a_value_that_changed_starts_another_process_and_the_old_one_goes_when_idle(tmp_path: Path) -> None:
    block = stdio(env={"TOKEN": place("gh")}, pool={"idle": "200ms"}, isolation="shared")
    asked = broker(files(tmp_path, gh="the-first-one"))

    async def ask(run: Running) -> tuple[str, int]:
        found = json.loads(text(await run.call("a", "env")))
        return found["env"]["TOKEN"], found["pid"]

    async with running({"a": block}, broker=asked) as run:
        (first, old), (again, same) = await ask(run), await ask(run)
        put(tmp_path / "next", "the-second-one").replace(tmp_path / "gh")
        second, new = await ask(run)
        assert (first, again, second) == ("the-first-one", "the-first-one", "the-second-one")
        assert old == same != new
        await run.until(lambda: not is_alive(old))


async def test_the_shims_own_process_is_begun_again_when_its_secret_changed(tmp_path: Path) -> None:
    ledger = tmp_path / "started"
    script = put(tmp_path / "server", f'#!/bin/sh\necho "$TOKEN" >> {ledger}\nexec "$@"\n', 0o700)
    block = stdio(env={"TOKEN": place("gh")}, catalog={"gh": "gh"})
    block = block.model_copy(update={"command": (str(script), *(block.command or ()))})
    asked = broker(files(tmp_path, gh="the-first-one"))
    async with running({"a": block}, broker=asked) as run:
        put(tmp_path / "next", "the-second-one").replace(tmp_path / "gh")
        # A change of the tools makes the catalog be read again.
        await run.call("a", "change")
        await run.until(lambda: len(run.offers) > 1)
        assert set(ledger.read_text().split()) == {"the-first-one", "the-second-one"}
        assert run.upstreams.status()["a"].state == "up"


async def test_two_upstreams_get_what_is_theirs(tmp_path: Path) -> None:
    blocks = {"a": stdio(env={"TOKEN": place("one")}), "b": stdio(env={"TOKEN": place("two")})}
    asked = broker(files(tmp_path, one="the-first-one", two="the-second-one"))
    async with running(blocks, broker=asked) as run:
        seen = [json.loads(text(await run.call(name, "env")))["env"]["TOKEN"] for name in "ab"]
        assert seen == ["the-first-one", "the-second-one"]


async def test_an_upstream_whose_catalog_has_no_secret_is_down_with_a_reason(tmp_path: Path) -> None:
    asked = broker({"gh": {"source": "file", "path": str(tmp_path / "gh")}})
    async with serving("modern") as web, running({"web": http(web.url, catalog={"gh": "gh"})}, broker=asked) as run:
        status = run.upstreams.status()["web"]
        assert status.state == "down"
        assert status.error == (
            f"The secret gh is not available: the file {tmp_path}/gh cannot be read: No such file or directory."
        )
        assert web.seen == []
        put(tmp_path / "gh", "the-first-one")
        await run.call("web", "echo")
        assert set(authorizations(web, "tools/list")) == {"Bearer the-first-one"}


async def test_what_is_left_out_is_named_where_that_may_be_the_reason(tmp_path: Path) -> None:
    def refuse(request: Request) -> None:
        request.respond(401)

    asked = broker(files(tmp_path, gh="the-first-one"))
    async with serving("modern") as web:
        web.extra = {"server/discover": refuse, "initialize": refuse}
        async with running({"web": http(web.url)}, broker=asked) as run:
            status = run.upstreams.status()["web"]
            assert status.state == "down"
            assert status.error is not None
            assert status.error.endswith(
                "Its tools are read without Authorization: if it needs that, name a secret under `catalog`."
            )
            with pytest.raises(UpstreamUnavailable) as caught:
                await run.call("web", "echo")
            assert "Authorization" not in str(caught.value)


@pytest.mark.parametrize("value", [f"{CANARY}\r\nx-evil: 1", f"{CANARY}\n{CANARY}", f"{CANARY}\x01", f"{CANARY}\x7f"])
@pytest.mark.parametrize("era", ERAS)
async def test_a_value_that_could_break_out_of_a_header_reaches_nobody(tmp_path: Path, era: str, value: str) -> None:
    asked = broker(files(tmp_path, gh=value))
    async with serving(era) as web, running({"web": http(web.url)}, broker=asked) as run:
        with pytest.raises(SecretUnavailable) as caught:
            await run.call("web", "echo")
        assert CANARY not in str(caught.value) + caught.value.detail
        assert "it holds a control character" in caught.value.why
        assert web.asked("tools/call") == []


async def test_a_value_that_is_too_long_for_a_header_reaches_nobody(tmp_path: Path) -> None:
    asked = broker(files(tmp_path, gh="x" * 17_000))
    async with serving("modern") as web, running({"web": http(web.url)}, broker=asked) as run:
        with pytest.raises(SecretUnavailable) as caught:
            await run.call("web", "echo")
        assert "too long for a header" in caught.value.why


@pytest.mark.parametrize("value", ["tab\tand space ", "ümläut-ümläut", "line\nbreak", "x" * 60_000])
async def test_a_variable_holds_whatever_text_a_value_is(tmp_path: Path, value: str) -> None:
    asked = broker(files(tmp_path, gh=value))
    async with running({"a": stdio(env={"TOKEN": place("gh")})}, broker=asked) as run:
        assert (await variables(run, "alice"))["TOKEN"] == value


async def test_a_header_holds_text_that_is_not_ascii(tmp_path: Path) -> None:
    asked = broker(files(tmp_path, gh="ümläut\tx"))
    async with serving("modern") as web, running({"web": http(web.url)}, broker=asked) as run:
        await run.call("web", "echo")
        assert authorizations(web, "tools/call") == ["Bearer ümläut\tx"]


async def test_a_call_that_cannot_have_its_secret_does_not_nudge_its_upstream(tmp_path: Path) -> None:
    asked = broker({"gh": {"source": "file", "path": str(tmp_path / "gh")}})
    async with serving("modern") as web, running({"web": http(web.url)}, broker=asked) as run:
        before = len(web.asked("tools/list"))
        with pytest.raises(SecretUnavailable):
            await run.call("web", "echo")
        assert run.upstreams.status()["web"].state == "up"
        assert len(web.asked("tools/list")) == before
