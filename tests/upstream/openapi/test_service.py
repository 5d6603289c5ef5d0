"""A service that does wrong: what the caller is told, and how often it was asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shim.errors import (
    OutcomeUnknown,
    ResultTooLarge,
    SecretUnavailable,
    UpstreamFault,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from shim.upstream import attendant
from shim.upstream.config import UpstreamBlock
from shim.upstream.openapi.credentials import credentials
from tests.upstream.support import Running, running, text
from tests.upstream.test_tls import certify

PATHS: dict[str, Any] = {
    "/lost": {"get": {"operationId": "get_lost"}, "post": {"operationId": "post_lost"}},
    "/half": {"put": {"operationId": "put_half"}},
    "/head": {"head": {"operationId": "head"}},
    "/zipped": {"get": {"operationId": "zipped"}},
    "/said": {"get": {"operationId": "said"}},
    "/endless": {"get": {"operationId": "endless"}},
    "/silent": {"post": {"operationId": "silent"}},
    "/moved": {"post": {"operationId": "moved"}},
    "/odd": {"get": {"operationId": "odd"}},
    "/marked": {"get": {"operationId": "marked"}},
    "/lies": {"get": {"operationId": "lies"}},
    "/twice": {"get": {"operationId": "twice"}},
    "/counted": {"get": {"operationId": "counted"}},
    "/parted": {"put": {"operationId": "parted"}},
    "/headed": {"get": {"operationId": "headed"}},
}
ANSWERS = {
    "/half": b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf",
    "/head": b"HTTP/1.1 200 X\r\ncontent-length: 100\r\netag: e\r\n\r\n",
    "/zipped": b"HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    "/counted": b"HTTP/1.1 200 X\r\ncontent-length: canary\r\n\r\nx",
    "/parted": b"HTTP/1.1 200 X\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "/headed": b"HTTP/1.1 200 X\r\n" + b"x-canary: y\r\n" * 6000,
    "/said": b"HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\n",
    "/moved": b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    "/odd": b"HTTP/1.1 200 X\r\ncontent-type: application/zip\r\ncontent-length: 2\r\n\r\nPK",
    "/twice": b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nhi"
    b"HTTP/1.1 500 X\r\netag: e\r\ncontent-length: 6\r\n\r\nforged",
    "/marked": b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n\xef\xbb\xbf{}",
    "/lies": b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n{no}",
}


class Service:
    """Counts what it was asked, and answers as the path says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path = head.decode().split(" ")[:2]
                self.asked.append(f"{method} {path}")
                if path in ANSWERS:
                    writer.write(ANSWERS[path])
                if path in ("/lost", "/half"):
                    break
                if path == "/endless":
                    writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
                    while True:
                        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                        await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def fronted(folder: Path, service: Service, **block: Any) -> AsyncIterator[Running]:
    (folder / "api.json").write_text(json.dumps({"openapi": "3.1.0", "paths": PATHS}))
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    given = {"openapi": str(folder / "api.json"), "base": f"http://127.0.0.1:{port}", "operations": ["* /**"], **block}
    async with server, running({"api": UpstreamBlock.model_validate(given)}) as run:
        yield run


@pytest.mark.parametrize(
    ("tool", "error", "words"),
    [
        ("post_lost", OutcomeUnknown, "may or may not have taken effect"),
        ("put_half", OutcomeUnknown, "was not sent again"),
        ("get_lost", UpstreamFault, "ended the connection before it had answered"),
        ("counted", UpstreamFault, "sent an answer that is not HTTP: Invalid character in Content-Length"),
        ("parted", OutcomeUnknown, "not HTTP: Duplicate Content-Length; the call may or may not have taken effect"),
        ("headed", UpstreamFault, "sent an answer that has a head of more than 65536 bytes"),
        ("zipped", UpstreamFault, "encoding that it was not asked for"),
        ("said", ResultTooLarge, "larger than 65536 bytes"),
        ("endless", ResultTooLarge, "larger than 65536 bytes"),
        ("silent", UpstreamTimeout, "may have taken effect"),
    ],
)
async def test_a_call_without_an_answer(tmp_path: Path, tool: str, error: type[Exception], words: str) -> None:
    service = Service()
    async with fronted(tmp_path, service, max_result=65536, timeout=0.5 if tool == "silent" else 30) as run:
        with pytest.raises(error, match=words) as caught:
            await run.call("api", tool)
        assert "canary" not in str(caught.value)
        assert len(service.asked) == 1
        if tool == "silent":
            await asyncio.wait_for(service.left.wait(), 5)


async def test_answers_of_all_sorts(tmp_path: Path) -> None:
    service = Service()
    async with fronted(tmp_path, service) as run:
        assert text(await run.call("api", "head")) == "HTTP status 200 (OK), without content."
        moved = await run.call("api", "moved")
        assert moved.result is not None
        assert moved.result["isError"] is True
        assert "a redirect, which is never followed" in text(moved)
        odd = await run.call("api", "odd")
        assert odd.result is not None
        (block,) = odd.result["content"]
        assert block["resource"] == {"uri": "result:/api/odd", "mimeType": "application/zip", "blob": "UEs="}
        lies = await run.call("api", "lies")
        assert text(lies) == "{no}"
        assert "structuredContent" not in (lies.result or {})
        marked = await run.call("api", "marked")
        assert (text(marked), (marked.result or {}).get("structuredContent")) == ("{}", {})
        assert service.asked == ["HEAD /head", "POST /moved", "GET /odd", "GET /lies", "GET /marked"]


async def test_a_service_that_is_not_there_has_not_seen_the_call(tmp_path: Path) -> None:
    service = Service()
    async with fronted(tmp_path, service, base="http://127.0.0.1:9") as run:
        assert len(run.offer("api").tools) == len(PATHS) + 1
        with pytest.raises(UpstreamUnavailable, match="refuses connections"):
            await run.call("api", "post_lost")
        assert service.asked == []


async def test_a_second_response_is_no_part_of_the_first_nor_one_to_the_next_call(tmp_path: Path) -> None:
    async with fronted(tmp_path, Service(), response_headers=["etag"]) as run:
        for _ in range(2):
            twice = await run.call("api", "twice")
            assert text(twice) == "hi"
            assert "etag" not in json.dumps(twice.result)
        assert text(await run.call("api", "lies")) == "{no}"


async def test_what_is_left_out_is_not_told_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    many: dict[str, Any] = {f"no path {number}": {"get": {}} for number in range(1000)}
    monkeypatch.setattr(f"{__name__}.PATHS", {**PATHS, **many})
    async with fronted(tmp_path, Service()) as run:
        await run.call("api", "odd")
        told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
        assert len(told) == 51
        assert told[-1] == "api: left out 950 more of its document"


async def test_a_document_that_changed_is_noticed_and_one_that_is_none_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fronted(tmp_path, Service()) as run:
        block = run.blocks["api"]
        for text_, told in (
            (json.dumps({"openapi": "3.1.0", "paths": {"/odd": PATHS["/odd"]}}), lambda: len(run.offers) == 2),
            ("no document", lambda: "the one before still is" in caplog.text),
        ):
            (tmp_path / "api.json").write_text(text_)
            run.upstreams = run.upstreams.replace({"api": block}, run.broker)
            await run.until(told)
        assert [tool["name"] for tool in run.offer("api").tools] == ["odd"]
        assert (await run.call("api", "odd")).result is not None
        assert run.upstreams.status()["api"].state == "up"


async def test_a_document_of_the_service_is_read_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attendant, "_UNSAID_TTL", 0.1)
    server = await asyncio.start_server(Service(), "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    block = {"openapi": f"{base}/doc", "base": base, "operations": ["* /**"], "pool": {"idle": "1s"}}

    def serve(path: str) -> None:
        document = json.dumps({"openapi": "3.1.0", "paths": {path: PATHS[path]}}).encode()
        answer = b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n%s" % (len(document), document)
        monkeypatch.setitem(ANSWERS, "/doc", answer)

    serve("/odd")
    async with server, running({"api": UpstreamBlock.model_validate(block)}) as run:
        assert [tool["name"] for tool in run.offer("api").tools] == ["odd"]
        serve("/lies")
        await run.until(lambda: [tool["name"] for tool in run.offer("api").tools] == ["lies"])
        # A service that has no document for a while still does what it did.
        monkeypatch.setitem(ANSWERS, "/doc", b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")
        await run.until(lambda: "the one before still is: The upstream api refused" in caplog.text)
        assert text(await run.call("api", "lies")) == "{no}"
        assert run.upstreams.status()["api"].state == "up"


async def test_a_document_that_is_elsewhere_than_it_says_is_no_document(tmp_path: Path) -> None:
    service = Service()
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    block = {"openapi": f"{base}/moved", "base": base, "operations": ["* /**"]}
    async with server, running({"api": UpstreamBlock.model_validate(block)}) as run:
        with pytest.raises(UpstreamUnavailable, match="307"):
            await run.call("api", "any")
        assert set(service.asked) == {"GET /moved"}


async def test_a_service_is_believed_with_a_certificate_of_the_configured_authority(tmp_path: Path) -> None:
    ours, stranger = certify(tmp_path, "ours"), certify(tmp_path, "stranger")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*ours)
    context.load_verify_locations(stranger[0])
    context.verify_mode = ssl.CERT_REQUIRED
    proof = {"cert": str(stranger[0]), "key": str(stranger[1])}
    service = Service()
    server = await asyncio.start_server(service, "127.0.0.1", 0, ssl=context)
    base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        async with fronted(tmp_path, service, base=base, tls={"ca": str(ours[0]), **proof}) as run:
            assert "200" in text(await run.call("api", "head"))
        async with fronted(tmp_path, service, base=base, tls={"ca": str(stranger[0]), **proof}) as run:
            with pytest.raises(UpstreamUnavailable, match="certificate is not valid"):
                await run.call("api", "head")
        assert service.asked == ["HEAD /head"]


@pytest.mark.parametrize(
    ("auth", "value", "sent"),
    [
        ({"bearer": "\0s\0"}, "abc", ("authorization", "Bearer abc")),
        ({"basic": {"user": "me", "password": "\0s\0"}}, "p:w", ("authorization", "Basic bWU6cDp3")),
        ({"header": {"X-A": "a \0s\0"}}, "abc", ("x-a", "a abc")),
        ({"bearer": "\0s\0"}, "a\r\nx: y", None),
        ({"header": {"X-A": "\0s\0"}}, "a\nb", None),
        ({"header": {"X-A": "\0s\0"}}, "ü", None),
        ({"basic": {"user": "\0s\0", "password": "p"}}, "a:b", None),
    ],
)
def test_a_credential_is_one_or_is_not_sent(auth: Any, value: str, sent: tuple[str, str] | None) -> None:
    proofs = credentials(auth, None)
    assert proofs.filled({}).headers == ()
    if sent is not None:
        assert proofs.filled({"s": value}).headers == (sent,)
        return
    with pytest.raises(SecretUnavailable) as caught:
        proofs.filled({"s": value})
    assert value not in str(caught.value)
