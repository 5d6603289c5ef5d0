"""The values that travel between the parts: frozen, without I/O and without any framework.

The words are those of the project (identity, credential, upstream, tool, grant, decision, invocation, event, run);
MCP messages themselves travel as plain `JsonObject`s and are looked into only as far as policy and record need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

Json: TypeAlias = Any
"""Any JSON value as `shim.jsontext` reads it. The one name under which an unchecked value crosses a module boundary."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object as `shim.jsontext` reads it."""

Era: TypeAlias = Literal["legacy", "modern"]
"""`legacy`: 2025-11-25 and earlier, with a handshake. `modern`: 2026-07-28, stateless."""

Transport: TypeAlias = Literal["http", "stdio", "cli"]

META_PREFIX = "io.github.mcp-shim/"
"""Members of `_meta` under this prefix are the shim's own; upstreams cannot set them."""


class Reason(StrEnum):
    """Why a decision or an outcome is what it is. These codes are a contract: they stand in records and on the wire."""

    GRANTED = "granted"
    NO_GRANT = "no-grant"
    DENIED_BY_GRANT = "denied-by-grant"
    UNKNOWN_TOOL = "unknown-tool"
    INVALID_REQUEST = "invalid-request"
    INVALID_ARGUMENTS = "invalid-arguments"
    INSUFFICIENT_SCOPE = "insufficient-scope"
    CONDITION_FALSE = "condition-false"
    CONDITION_ERROR = "condition-error"
    LIMIT_REACHED = "limit-reached"
    APPROVAL_REQUIRED = "approval-required"
    APPROVAL_DENIED = "approval-denied"
    APPROVAL_EXPIRED = "approval-expired"
    PIN_CHANGED = "pin-changed"
    FROZEN = "frozen"
    SECRET_UNAVAILABLE = "secret-unavailable"
    RECORD_UNAVAILABLE = "record-unavailable"
    UPSTREAM_UNAVAILABLE = "upstream-unavailable"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    UPSTREAM_ERROR = "upstream-error"
    RESULT_TOO_LARGE = "result-too-large"
    OUTCOME_UNKNOWN = "outcome-unknown"
    CANCELLED = "cancelled"


class Status(StrEnum):
    """How an invocation stands (RECORD contract, "Exported")."""

    OK = "ok"
    ERROR = "error"
    DENIED = "denied"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identity:
    """The agent or person that calls. Authentication yields one; nothing in a request body ever changes it."""

    name: str
    groups: tuple[str, ...] = ()
    claims: Mapping[str, Json] = field(default_factory=dict)
    runs: Literal["auto", "idle"] = "auto"


@dataclass(frozen=True, slots=True)
class Credential:
    """What authentication yields: who calls, what proved it, and the run that the token was issued for, if any.

    `id` is a token's id, what names a JWT, `local` or `anonymous`: never the credential itself. `scopes` are those of
    an OAuth access token; None: this kind of credential carries none. `ends`: from when on it proves nothing.
    `token` is an OAuth access token itself, for a source of secrets that acts on behalf of the caller; it never goes to
    an upstream, and nowhere else.
    """

    identity: Identity
    id: str
    run: str | None = None
    scopes: frozenset[str] | None = None
    ends: datetime | None = None
    token: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Client:
    """The program that speaks, by its own account. For the record only: never for identity."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Everything a face knows of the sender of one request.

    `protocol` is the revision spoken (`2026-07-28`); `session` names the legacy session or the one process of
    `mcp-shim stdio`; `trace` is the W3C trace id of the request, 32 hex digits, chosen by the client program.
    `capabilities` are those that the client declares, as it wrote them: what it can be asked.
    """

    credential: Credential
    transport: Transport
    protocol: str
    client: Client | None = None
    address: str | None = None
    session: str | None = None
    trace: str | None = None
    capabilities: JsonObject = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        return self.credential.identity


@dataclass(frozen=True, slots=True)
class Offered:
    """One thing that an upstream offers: a tool, a prompt, a resource or a template of resources.

    `name` is the upstream's own (of a resource its URI, of a template the URI template), `wire` what clients see,
    `definition` the upstream's object as it came, `digest` the SHA-256 of its canonical text, lower-case hex.
    """

    kind: ClassVar[Literal["tool", "prompt", "resource", "template"]]

    upstream: str
    name: str
    wire: str
    definition: JsonObject
    digest: str

    @property
    def ref(self) -> str:
        """The name in policy and record: `kind:upstream/name`, of a tool `upstream/tool`."""
        return f"{self.kind}:{self.upstream}/{self.name}"


@dataclass(frozen=True, slots=True)
class Tool(Offered):
    """Something that an agent can have done. `fixed`: what the operator puts into its calls, where there is anything.

    `definition` is then what clients see of it. `timeout`: seconds that its calls have, where not its upstream's.
    """

    kind = "tool"

    fixed: Fixed | None = None
    timeout: float | None = None

    @property
    def ref(self) -> str:
        """`upstream/tool`, the name in policy and record."""
        return f"{self.upstream}/{self.name}"


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the operator puts into each call of a tool, which callers neither see nor choose.

    Texts within `arguments` and `meta` hold places of secrets (`shim.templates`). `hidden` are the arguments that no
    caller may send, `takes` those that one may (None: any other); `own` is the tool as its upstream has it.
    `defaults` are the arguments that are sent where a caller leaves them out.
    """

    arguments: Mapping[str, Json] = field(repr=False)
    meta: Mapping[str, Json] = field(repr=False)
    hidden: frozenset[str]
    takes: frozenset[str] | None
    own: Tool
    defaults: Mapping[str, Json] = field(default_factory=dict)

    def admits(self, arguments: Mapping[str, Json]) -> bool:
        """Whether a caller may send these. What is hidden is refused as what the tool does not have is."""
        if not self.hidden:
            return True
        return self.hidden.isdisjoint(arguments) and (self.takes is None or self.takes.issuperset(arguments))


@dataclass(frozen=True, slots=True)
class Prompt(Offered):
    """A text with arguments that a person picks."""

    kind = "prompt"


@dataclass(frozen=True, slots=True)
class Resource(Offered):
    """Something to read. The definition is empty where the upstream does not list it."""

    kind = "resource"


@dataclass(frozen=True, slots=True)
class Template(Offered):
    """Resources that an upstream does not list one by one (RFC 6570)."""

    kind = "template"


Effect: TypeAlias = Literal["allow", "deny", "ask"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says to one call: the effect, the reason code, and the grant that made it (None: none matched).

    `scopes`: with `insufficient-scope`, all that the grant asks for. `why`: with `invalid-arguments`, which and why,
    for the caller, without what it sent.
    `may_ask`: what the upstream may ask of the client meanwhile (`elicitation`, `sampling`, `roots`). `bind`: pairs of
    a logical name and the secret that stands behind it in this call, where that is another.
    """

    effect: Effect
    reason: Reason
    grant: str | None = None
    scopes: tuple[str, ...] = ()
    may_ask: tuple[str, ...] = ()
    bind: tuple[tuple[str, str], ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation as it is known when its intent is written.

    `tool` is the real `upstream/tool`, `prompt:upstream/name` or `resource:upstream/uri`, or the name as the caller
    spelled it when nothing there has that name (then `upstream` is None); None for what concerns none. `arguments` are
    the caller's, untouched; `schema` is the tool's input schema, for redaction. `policy` is the digest of the
    configuration that decides. `may_ask`, `bind`: see `Decision`.
    """

    id: str
    caller: Caller
    run: str
    method: str
    tool: str | None
    upstream: str | None
    arguments: JsonObject | None
    began: datetime
    policy: str
    schema: JsonObject | None = None
    may_ask: tuple[str, ...] = ()
    bind: tuple[tuple[str, str], ...] = ()


Scope: TypeAlias = Literal["call", "run", "identity"]
"""How far a lease reaches: one call, all calls of a run, or all of an identity; never past its end."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One issue of a secret, as the record knows it: never a value. `expires` None: the shim does not know an end.

    `revoked` None: it was not, or not yet. `long_lived`: its value holds until somebody changes it.
    """

    id: str
    secret: str
    source: str
    issued: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    long_lived: bool = False
    scope: Scope = "call"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation ended. `result` is what the caller gets (None: nothing), `size` the bytes the upstream sent.

    `error` is for people and machines: `reason-code: sentence`, or None. `detail` goes on after it: text of the
    upstream's choosing, which is not kept where its results are not. `leases` are the secrets that were issued for it.
    `echoes`: how often the upstream said the value of a secret, by what stands in its place.
    """

    status: Status
    duration_ms: float
    result: JsonObject | None = None
    size: int | None = None
    error: str | None = None
    redactions: int = 0
    detail: str | None = None
    leases: tuple[Lease, ...] = ()
    echoes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an upstream answered: exactly one of `result` and `error` (a JSON-RPC error object), both as they came.

    `size` is the number of bytes of the whole answer on the wire. `is_ours`: the shim has made the result of what
    an upstream said, so members that only the shim may set are its own.
    """

    result: JsonObject | None
    error: JsonObject | None
    size: int
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller gets: exactly one of `result` and `error` (a JSON-RPC error object).

    `scopes`: those that an access token needs for it, where the caller's lacks some and a better one can be had.
    """

    result: JsonObject | None = None
    error: JsonObject | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What an upstream asks of the client in the middle of a call: a request with `method` and `params`, without an id.

    `key` is the upstream's own name for it, if it has one; `within` the number of seconds that it waits.
    """

    request: JsonObject
    within: float
    key: str | None = None

    @property
    def method(self) -> str:
        return str(self.request["method"])

    @property
    def params(self) -> JsonObject:
        params = self.request.get("params")
        return params if isinstance(params, dict) else {}


@dataclass(frozen=True, slots=True)
class Response:
    """What the client says to a question: exactly one of `result` and `error` (a JSON-RPC error object)."""

    result: JsonObject | None = None
    error: JsonObject | None = None


class Listener(Protocol):
    """Hears from a call while it runs, and is asked. All take params as the upstream sent them.

    In `progress`, `progressToken` is the upstream's side of it and is replaced by whoever delivers to the client.
    """

    async def progress(self, params: JsonObject) -> None: ...

    async def log(self, params: JsonObject) -> None: ...

    async def ask(self, question: Question) -> Response:
        """Put a question to the client and await its answer; several may be under way at once.

        Raises Unanswered when the client cannot be asked. Cancelling takes the question back.
        """
        ...

    async def completed(self, params: JsonObject) -> None:
        """What a person was asked to do at a URL is done; this may come when the call is over."""


class Subscriber(Listener, Protocol):
    """Wants to be told of resources that change, for longer than one request. What it is told returns at once."""

    def heard(self, uri: str, release: Callable[[], None]) -> None:
        """From now on it is told when this resource changes, until `release` is called."""

    def updated(self, uri: str, ref: str) -> None:
        """A resource changed, which policy calls `ref`: one it wants to hear of, or one below that."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One reading of an upstream's catalog: all that it offers, all pages, definitions as they came.

    `ttl` is the number of seconds after which the upstream wants to be read again, None where it does not say.
    """

    upstream: str
    era: Era
    protocol: str
    server: JsonObject
    capabilities: JsonObject
    instructions: str | None
    tools: tuple[JsonObject, ...]
    ttl: float | None = None
    prompts: tuple[JsonObject, ...] = ()
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()


UpstreamState: TypeAlias = Literal["up", "connecting", "down"]


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """How an upstream stands now; `error` says why it is down, in one line that a person can act on."""

    state: UpstreamState
    era: Era | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration, or a lint finding, with the place to mend. `line` counts from 1."""

    file: str
    line: int
    level: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"
