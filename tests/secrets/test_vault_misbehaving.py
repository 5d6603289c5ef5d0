"""A Vault that is down, slow, confused or false: each a clear reason, and the token is in none of them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from shim.secrets.source import Purpose, Unavailable
from shim.secrets.vault import Keys, Where
from shim.secrets.vaultapi import Refused, VaultApi
from tests.secrets.vaults import ROLE, source

CANARY = "s.canary-7f3a9c"
_OWN = {"auth": {"client_token": CANARY, "lease_duration": 3600, "renewable": True}}


def answer(status: int, content: object, *more: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} So", f"content-length: {len(body)}", "connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def misbehaving(given: bytes | None) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that lets the shim log in, and gives this to all else (None: nothing at all, for good); its address,
    and what it was asked for.
    """
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked.append(head.split("\r\n")[0])
            if "auth/token/create" in head:
                writer.write(answer(200, _OWN))
            elif given is None:
                await reader.read()
            else:
                writer.write(given)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


def says(error: BaseException | None) -> str:
    """All that an exception and those behind it say."""
    return "" if error is None else f"{error}{error!r}{says(error.__context__)}{says(error.__cause__)}"


_ELSEWHERE = "http://127.0.0.1:1/v1/elsewhere"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer(200, b"<html>hello " + CANARY.encode()), "gave an answer that is no JSON object"),
        (answer(200, b'{"' + CANARY.encode() + b'":1,"' + CANARY.encode() + b'":2}'), "that is no JSON object"),
        (answer(200, b'{"x":"' + b"x" * 2**20 + b'"}'), "longer than 1 MiB"),
        (answer(307, b"", f"location: {_ELSEWHERE}"), "answered 307 .*; redirects are not followed"),
        (answer(403, {"errors": [f"denied to {CANARY}"]}), "ended the token of the shim meanwhile"),
        (answer(429, {"errors": [CANARY]}), "answered 429 .*; its quota is reached; try again later"),
        (answer(500, {"errors": [CANARY]}), "answered 500 to GET database/creds/reader"),
        (answer(502, CANARY.encode()), "answered 502 to GET database/creds/reader"),
        (answer(200, {"lease_id": "l", "data": None}), "has no text under username|no text under password"),
        (answer(200, {"lease_id": "", "data": {"username": 7, "password": ["x"]}}), "no text under"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "broke off"),
        (b"SSH-2.0 " + CANARY.encode() + b"\r\n", "broke off"),
        (b"", "broke off"),
    ],
)
async def test_what_is_no_answer_is_a_reason_without_a_token(given: bytes, why: str) -> None:
    async with misbehaving(given) as (address, asked), source(address, token="given-" + CANARY) as vault:
        purpose = Purpose("l1")
        prepared = await vault.prepare(ROLE, purpose)
        assert prepared is not None
        with pytest.raises(Unavailable, match=why) as caught:
            await vault.issue(ROLE, frozenset({"username", "password"}), purpose)
        assert CANARY not in says(caught.value)
        assert not any("elsewhere" in line for line in asked)


async def test_an_answer_that_was_to_be_wrapped_and_is_not_is_not_believed() -> None:
    plain = answer(200, {"lease_id": "l", "data": {"username": CANARY, "password": CANARY}})
    async with misbehaving(plain) as (address, _), source(address, token="given") as vault:
        keys = Keys(path="database/creds/reader", wrap=60.0)
        await vault.prepare(keys, Purpose("l1"))
        with pytest.raises(Unavailable, match="did not wrap its answer") as caught:
            await vault.issue(keys, frozenset({"username"}), Purpose("l1"))
        assert CANARY not in says(caught.value)


async def test_one_that_does_not_answer_is_waited_for_so_long_and_no_longer() -> None:
    async with misbehaving(None) as (address, _):
        api = VaultApi(address, None, None, seconds=0.2)
        with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s") as caught:
            await api.send("GET", "secret/data/x", CANARY)
        assert CANARY not in says(caught.value)
        await api.close()


async def test_where_nothing_listens_nothing_was_made() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with source(f"http://127.0.0.1:{taken.getsockname()[1]}", token=CANARY) as vault:
            with pytest.raises(Refused, match="cannot be reached") as caught:
                await vault.prepare(ROLE, Purpose("l1"))
            assert CANARY not in says(caught.value)


@pytest.mark.parametrize("token", ["", "two\r\nlines", "ünicode"])
async def test_a_token_that_no_header_can_hold_is_not_sent(token: str) -> None:
    async with misbehaving(b"") as (address, asked):
        api = VaultApi(address, None, None)
        with pytest.raises(Refused, match="holds what no header can"):
            await api.send("GET", "secret/data/x", token)
        assert asked == []


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ({"address": "http://bao.example.com:8200"}, "neither https nor on this machine"),
        ({"address": "https://u:p@bao.example.com"}, "neither https nor on this machine"),
        ({"auth": {}}, "exactly one of"),
        ({"auth": {"token": CANARY, "token_file": "x"}}, "exactly one of"),
        ({"auth": {"jwt": {"role": "r"}}}, "one of `token_file` and `caller: true`"),
        ({"namespace": "a\r\nb"}, "String should match"),
    ],
)
def test_a_source_that_is_refused(where: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        Where.model_validate({"address": "https://bao.example.com", "auth": {"token": CANARY}, **where})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["/secret/data/x", "secret//x", "secret/../x", "secret/./x", "secret/x/", "a?b", "a#b", "{arguments.x}/y", "a\nb"],
)
def test_a_path_that_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="`path`"):
        Keys(path=path)


def test_what_a_source_proves_itself_with_is_not_shown() -> None:
    where = Where.model_validate({"address": "https://bao.example.com", "auth": {"token": CANARY}})
    other = {"approle": {"role_id": "r", "secret_id": CANARY}}
    assert CANARY not in repr(where) + repr(Where.model_validate({"address": "https://b.example", "auth": other}))
