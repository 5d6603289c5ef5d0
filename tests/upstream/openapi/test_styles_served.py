"""The law of styles over a real connection: what a plain HTTP server reads is what was passed, or it was refused."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.errors import Refusal
from shim.model import Reason
from shim.upstream.config import UpstreamBlock
from shim.upstream.openapi.operations import Parameter
from tests.upstream.openapi import reading_back
from tests.upstream.openapi.test_styles import SCALARS, STYLES, TEXTS, parameter, same
from tests.upstream.support import running

SHAPES = ("one", "array", "object")
ANSWER = b"HTTP/1.1 204 X\r\n\r\n"


def schema_of(shape: str, kind: str) -> dict[str, Any]:
    match shape:
        case "array":
            return {"type": "array", "items": {"type": kind}}
        case "object":
            return {"type": "object", "additionalProperties": {"type": kind}}
    return {"type": kind}


CASES = [
    parameter(where, style, schema_of(shape, kind), explode=explode, media=None)
    for where, style, explode in [*STYLES, ("query", "deepObject", True)]
    for shape in (SHAPES if style != "deepObject" else ("object",))
    for kind in SCALARS
]


def document() -> dict[str, Any]:
    """An operation for each: its path has the number of the case, and the value where it is one of the path."""
    paths: dict[str, Any] = {}
    for number, one in enumerate(CASES):
        said = {"name": one.name, "in": one.where, "style": one.style, "explode": one.explode, "schema": one.schema}
        said |= {"required": True} if one.where == "path" else {}
        spot = f"/{number}/{{{one.name}}}/after" if one.where == "path" else f"/{number}"
        paths[spot] = {"get": {"operationId": f"op{number}", "parameters": [said]}}
    return {"openapi": "3.1.0", "paths": paths}


@st.composite
def passed(draw: st.DrawFn) -> tuple[int, Any]:
    """The number of a case, and a value of its schema."""
    number = draw(st.integers(0, len(CASES) - 1))
    schema: Any = CASES[number].schema
    match schema["type"]:
        case "array":
            return number, draw(st.lists(SCALARS[schema["items"]["type"]], max_size=4))
        case "object":
            of = schema["additionalProperties"]["type"]
            return number, draw(st.dictionaries(TEXTS, SCALARS[of], max_size=4))
    return number, draw(SCALARS[schema["type"]])


class Server:
    """Keeps the head of the last request as it came."""

    def __init__(self) -> None:
        self.head = b""
        self.count = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.head, self.count = head, self.count + 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def read(head: bytes, number: int, one: Parameter) -> list[Any]:
    """What a server finds for the parameter, by either way of decoding."""
    line, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = line.split(" ")
    assert (method, version) == ("GET", "HTTP/1.1")
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for each in lines:
        name, _, text = each.partition(":")
        assert name.lower() not in headers
        headers[name.lower()] = text.strip(" \t")
    if one.where == "path":
        _, own, piece, after = path.split("/")
        assert (own, after) == (str(number), "after")
        return [reading_back.path_value(piece, one, first=first) for first in (False, True)]
    assert path == f"/{number}"
    if one.where == "query":
        pairs = [each.partition("=")[::2] for each in query.split("&")] if query else []
        return [reading_back.query_value([*pairs], one, first=first) for first in (False, True)]
    if one.where == "header":
        return [reading_back.header_value(headers.get(one.name), one)]
    return [reading_back.cookie_value(headers.get("cookie", ""), one)]


async def held(folder: Path, examples: int) -> Counter[str]:
    """How many were read, and how many refused."""
    (folder / "api.json").write_text(json.dumps(document()))
    server, loop, counts = Server(), asyncio.get_running_loop(), Counter[str]()
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    block = {"openapi": str(folder / "api.json"), "base": base, "operations": ["* /**"]}
    async with listening, running({"api": UpstreamBlock.model_validate(block)}) as run:

        async def asked(number: int, value: Any) -> bytes | None:
            before, refused = server.count, None
            try:
                await run.call("api", f"op{number}", {CASES[number].name: value})
            except Refusal as refusal:
                refused = refusal.reason
            assert refused in (None, Reason.INVALID_ARGUMENTS)
            assert server.count == before + (refused is None)
            return server.head if refused is None else None

        @settings(max_examples=examples, deadline=None)
        @given(case=passed())
        def law(case: tuple[int, Any]) -> None:
            number, value = case
            head = asyncio.run_coroutine_threadsafe(asked(number, value), loop).result()
            counts["refused" if head is None else "read"] += 1
            for found in read(head, number, CASES[number]) if head is not None else ():
                assert same(found, value), (found, value, head)

        await asyncio.to_thread(law)
    return counts


async def test_what_a_server_reads_is_what_was_passed(tmp_path: Path) -> None:
    counts = await held(tmp_path, 300)
    assert min(counts["read"], counts["refused"]) > 0


@pytest.mark.soak
async def test_what_a_server_reads_is_what_was_passed_ten_thousand_times(tmp_path: Path) -> None:
    counts = await held(tmp_path, 10_000)
    print(f"{len(CASES)} styles, shapes and types: {dict(counts)}")
    assert min(counts["read"], counts["refused"]) > 0
