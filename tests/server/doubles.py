"""A real `Gateway` over small in-memory parts, for tests of the faces."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import cast

from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.errors import RecordUnavailable, Unauthenticated
from shim.gateway import Gateway
from shim.invocations import Invocations
from shim.lending import Leased, Need
from shim.model import (
    Call,
    Credential,
    Decision,
    Identity,
    JsonObject,
    Listener,
    Offer,
    Offered,
    Outcome,
    Reason,
    Reply,
    Tool,
)
from shim.policy.conditions import Facts
from shim.policy.engine import Policy
from shim.record.recorder import Record
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams
from tests.secrets.asking import broker

Behaviour = Callable[[Call, JsonObject, Listener], Awaitable[Reply]]


class MemoryPolicy:
    """Grants by name: identity to the tools it may use."""

    def __init__(self, grants: dict[str, set[str]]) -> None:
        self.grants = grants
        self.may_ask: tuple[str, ...] = ()

    def visible(self, identity: Identity, ref: str) -> bool:
        return ref in self.grants.get(identity.name, ())

    def may_be_asked(self, identity: Identity) -> bool:
        return bool(self.may_ask)

    def decide(self, identity: Identity, ref: str, facts: Facts) -> Decision:
        if not self.visible(identity, ref):
            return Decision("deny", Reason.NO_GRANT)
        return Decision("allow", Reason.GRANTED, "g", may_ask=self.may_ask)


@dataclass
class MemoryRecord:
    """Keeps what it is told; `down` makes it unavailable."""

    events: list[tuple[str, JsonObject]] = field(default_factory=list)
    intents: list[tuple[Call, Decision]] = field(default_factory=list)
    outcomes: list[tuple[Call, Outcome]] = field(default_factory=list)
    down: bool = False

    def _check(self) -> None:
        if self.down:
            raise RecordUnavailable("the store is down")

    async def intent(self, call: Call, decision: Decision) -> None:
        self._check()
        self.intents.append((call, decision))

    async def outcome(self, call: Call, outcome: Outcome) -> None:
        self._check()
        self.outcomes.append((call, outcome))

    async def shown(self, identity: str, policy: str, offered: Sequence[Offered]) -> None:
        self._check()

    async def event(self, kind: str, body: JsonObject, invocation: str | None = None) -> None:
        self._check()
        self.events.append((kind, body))

    def refused(self) -> list[tuple[str | None, int]]:
        """(method, code) of each `request.refused`."""
        return [(body["method"], body["code"]) for kind, body in self.events if kind == "request.refused"]


async def echo(call: Call, params: JsonObject, listener: Listener) -> Reply:
    return Reply({"content": [{"type": "text", "text": call.tool}], "echo": params.get("arguments")}, None, 10)


class MemoryUpstreams:
    """Answers calls by the behaviour set for a tool, or with an echo."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.calls: list[Call] = []

    async def settled(self) -> None:
        return

    def can_judge(self, upstream: str) -> bool:
        return True

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        return None

    def needs(self, upstream: str, bind: object = ()) -> Sequence[Need]:
        return ()

    async def call(self, call: Call, target: Offered, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        self.calls.append(call)
        return await self.behaviours.get(target.ref, echo)(call, params, listener)

    async def __aenter__(self) -> MemoryUpstreams:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def tool(name: str, **members: object) -> JsonObject:
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}, **members}


def offer(
    tools: Iterable[JsonObject],
    upstream: str = "up",
    prompts: Iterable[JsonObject] = (),
    resources: Iterable[JsonObject] = (),
    templates: Iterable[JsonObject] = (),
) -> Offer:
    capabilities: JsonObject = {"tools": {}, "prompts": {}, "resources": {}}
    return Offer(
        upstream,
        "modern",
        "2026-07-28",
        {"name": upstream, "version": "1"},
        capabilities,
        None,
        tuple(tools),
        prompts=tuple(prompts),
        resources=tuple(resources),
        templates=tuple(templates),
    )


REGION: JsonObject = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
}


class NoTasks:
    """Nobody has a task."""

    async def take(self, _call: Call, _target: Offered, _decision: Decision, reply: Reply) -> Reply:
        """What is answered here is never a task."""
        return reply

    async def find(self, *_: object) -> None:
        """There is none."""


@dataclass
class World:
    """The gateway and the parts it was given."""

    gateway: Gateway
    catalog: Catalog
    policy: MemoryPolicy
    record: MemoryRecord
    upstreams: MemoryUpstreams


def world(tools: Iterable[JsonObject] | None = None, grants: dict[str, set[str]] | None = None) -> World:
    """`alice` may use `up/echo`, `up/slow` and `up/placed`; `bob` only `up/echo`; both live on upstream `up`."""
    catalog = Catalog([("up", "up__")])
    catalog.learn(offer(tools or [tool("echo"), tool("slow"), tool("placed", inputSchema=REGION), tool("secret")]))
    policy = MemoryPolicy(grants or {"alice": {"up/echo", "up/slow", "up/placed"}, "bob": {"up/echo"}})
    record = MemoryRecord()
    upstreams = MemoryUpstreams()
    ids = itertools.count(1)
    invocations = Invocations(
        cast(Record, record), Runs(lambda: "run"), policy_digest="digest", new_id=lambda: f"inv-{next(ids)}"
    )
    gateway = Gateway(
        catalog=catalog,
        policy=cast(Policy, policy),
        invocations=invocations,
        upstreams=cast(Upstreams, upstreams),
        secrets=broker({}),
        tasks=cast(Tasks, NoTasks()),
    )
    return World(gateway, catalog, policy, record, upstreams)


class Tokens:
    """Each identity's token is its name in capitals."""

    def __init__(self, *names: str, guest: str | None = None) -> None:
        self.identities = {name: Identity(name) for name in names}
        self._credentials = {name.upper(): Credential(self.identities[name], f"{name}-token") for name in names}
        self._guest = Credential(Identity(guest), "anonymous") if guest is not None else None

    async def prepare(self, token: str) -> None:
        return

    async def renew(self) -> None:
        return

    def again(self, identity: Identity) -> Identity | None:
        return self.identities.get(identity.name)

    def bearer(self, token: str) -> Credential:
        try:
            known = self._credentials[token]
        except KeyError:
            raise Unauthenticated("unknown token") from None
        if known.ends is not None and datetime.now(UTC) >= known.ends:
            raise Unauthenticated("expired")
        return known

    def still(self, credential: str, name: str) -> bool:
        known = [*self._credentials.values(), *([self._guest] if self._guest is not None else [])]
        return any(
            (one.id, one.identity.name) == (credential, name) and (one.ends is None or datetime.now(UTC) < one.ends)
            for one in known
        )

    def local(self, name: str) -> Credential:
        return Credential(self.identities[name], "local")

    def anonymous(self) -> Credential | None:
        return self._guest

    def expire(self, name: str, seconds: float) -> None:
        """From then on the token proves nothing."""
        known = self._credentials[name.upper()]
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        self._credentials[name.upper()] = replace(known, ends=ends)

    def revoke(self, name: str) -> None:
        del self._credentials[name.upper()]
