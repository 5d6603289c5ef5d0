"""What the tests of upstream sessions share: a caller, a listener, and upstreams that run while a test does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from shim.errors import Unanswered
from shim.model import Call, Caller, Credential, Identity, JsonObject, Lease, Offer, Question, Reply, Response, Tool
from shim.record.known import harmless
from shim.secrets.broker import Broker
from shim.upstream.config import UpstreamBlock
from shim.upstream.supervisor import Upstreams
from tests.secrets.asking import broker as secrets_broker

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
MODERN, LEGACY = "2026-07-28", "2025-11-25"


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.progressed: list[JsonObject] = []
        self.logged: list[JsonObject] = []

    async def progress(self, params: JsonObject) -> None:
        self.progressed.append(params)

    async def log(self, params: JsonObject) -> None:
        self.logged.append(params)

    async def ask(self, question: Question) -> Response:
        raise Unanswered("nobody is there")

    async def completed(self, params: JsonObject) -> None:
        raise AssertionError("nothing was asked")


class Running:
    """Upstreams under test, with what they told."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.blocks: dict[str, UpstreamBlock] = {}
        self.upstreams: Upstreams
        self.offers: list[Offer] = []
        self.events: list[tuple[str, JsonObject, str | None]] = []
        self._news = asyncio.Condition()

    async def on_offer(self, offer: Offer) -> None:
        async with self._news:
            self.offers.append(offer)
            self._news.notify_all()

    async def on_event(self, kind: str, body: JsonObject, invocation: str | None) -> None:
        async with self._news:
            self.events.append((kind, body, invocation))
            self._news.notify_all()

    async def until(self, condition: Callable[[], bool], within: float = 10.0) -> None:
        """Wait for an offer or event that makes `condition` true; a state may change without either."""
        async with asyncio.timeout(within), self._news:
            while not condition():
                try:
                    await asyncio.wait_for(self._news.wait(), 0.05)
                except TimeoutError:
                    continue

    def offer(self, upstream: str) -> Offer:
        return next(offer for offer in reversed(self.offers) if offer.upstream == upstream)

    async def call(
        self,
        upstream: str,
        tool: str,
        arguments: JsonObject | None = None,
        *,
        meta: JsonObject | None = None,
        identity: str = "alice",
        protocol: str = MODERN,
        heard: Heard | None = None,
        extra: JsonObject | None = None,
        definition: JsonObject | None = None,
        leases: list[Lease] | None = None,
        may_ask: tuple[str, ...] = (),
        capabilities: JsonObject | None = None,
        session: str | None = None,
    ) -> Reply:
        params: JsonObject = {"name": tool, "arguments": arguments or {}, **(extra or {})}
        if meta is not None:
            params["_meta"] = meta
        credential = Credential(Identity(identity), "token")
        caller = Caller(credential, "http", protocol, session=session, capabilities=capabilities or {})
        ref, began = f"{upstream}/{tool}", datetime(2026, 8, 1, tzinfo=UTC)
        call = Call(f"inv-{tool}", caller, "run", "tools/call", ref, upstream, arguments, began, "p", may_ask=may_ask)
        known = Tool(upstream, tool, tool, definition or {"name": tool, "inputSchema": {"type": "object"}}, ref)
        async with self.broker.leased(self.upstreams.needs(upstream)) as held:
            leased = await held.take()
            (leases if leases is not None else []).extend(held.issued)
            return await self.upstreams.call(call, known, params, heard or Heard(), leased)


@asynccontextmanager
async def running(
    blocks: dict[str, UpstreamBlock],
    *,
    settled: bool = True,
    broker: Broker | None = None,
    on_event: Callable[[str, JsonObject, str | None], Awaitable[None]] | None = None,
) -> AsyncIterator[Running]:
    """Enter `Upstreams`, as the composition root does; a test may not take longer than a minute with them."""
    run = Running(broker or secrets_broker({}))
    async with asyncio.timeout(60):
        async with Upstreams(
            blocks,
            secrets=run.broker,
            on_offer=run.on_offer,
            on_event=on_event or run.on_event,
            environment=os.environ,
            folder=HERE,
            known=harmless,
            name="shim-under-test",
            version="1.2.3",
            jitter=lambda: 0.0,
        ) as upstreams:
            run.upstreams, run.blocks = upstreams, blocks
            if settled:
                await upstreams.settled()
            yield run


def stdio(*modes: str, era: str = "modern", **block: object) -> UpstreamBlock:
    """The misbehaving server of these tests over stdio."""
    command = (sys.executable, "-S", "-E", "-u", str(HERE / "misbehaving.py"), era, *modes)
    return UpstreamBlock.model_validate({"command": command, **block})


def text(reply: Reply) -> str:
    """The first text of a tool's result."""
    assert reply.result is not None
    value = reply.result["content"][0]["text"]
    assert isinstance(value, str)
    return value
