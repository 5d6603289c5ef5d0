"""`upstreams:` of the configuration: where existing tools are, one key for each kind of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationInfo, model_validator

from shim.paths import PATH
from shim.units import Block, Duration, SecretName, Size
from shim.upstream.commandline.config import KEYS as PROGRAM_KEYS
from shim.upstream.commandline.config import ProgramKeys
from shim.upstream.openapi.config import OPENAPI_KEYS, OpenApiBlock
from shim.upstream.python.config import PythonBlock

UpstreamName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:_?[a-z0-9-])*_?$", max_length=64)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# A NUL is no character of a header; here it marks where a secret's value goes.
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x00\t\x20-\x7e\x80-\U0010ffff]*$", max_length=16_384)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]

_HOP_HEADERS = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
_OWN_HEADERS = frozenset({"accept", "accept-encoding", "content-length", "content-type", "host", "last-event-id"})


class PoolBlock(Block):
    """How many sessions an upstream may have at once, and after how many idle seconds one ends."""

    max: Annotated[int, Field(ge=1, le=1000)] = 16
    idle: Duration = 600.0


class TlsBlock(Block):
    """The authorities that are believed, and the certificate with which the shim proves itself."""

    ca: Annotated[str, PATH] | None = None
    cert: Annotated[str, PATH] | None = None
    key: Annotated[str, PATH] | None = None


KEYS: Mapping[str, frozenset[str]] = {
    "command": frozenset({"env", "cwd"}),
    "url": frozenset({"headers", "tls"}),
    "program": PROGRAM_KEYS,
    "openapi": OPENAPI_KEYS,
    "python": frozenset({"interpreter", "inject", "cwd", "env"}),
}
"""For each kind of upstream the keys that are its own, by the one that chooses it."""

SERVERS = frozenset({"command", "url"})
"""The kinds that are MCP servers: they judge arguments of calls themselves. Of all others the shim does."""

SECRETS_IN = frozenset({"headers", "env", "files", "auth", "fixed", "inject"})
"""The keys in whose values, however deep, `${secret:NAME}` may stand."""

JSON_IN: tuple[tuple[str, ...], ...] = (("tools", "*", "input"), ("tools", "*", "schema"), ("fixed",))
"""Where any JSON may stand: in the values of these mappings. `*` is any key."""


class UpstreamBlock(ProgramKeys, OpenApiBlock, PythonBlock):
    """One existing source of tools. Exactly one of the keys of `KEYS`; seconds and bytes as numbers.

    What is under the keys of `SECRETS_IN` may hold `${secret:NAME}` (here as `shim.templates` has it). `catalog`: for a
    NAME that they use, the secret behind it when the shim itself reads what the upstream offers.
    """

    command: tuple[str, ...] | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    cwd: Annotated[str, PATH] | None = None
    url: str | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    tls: TlsBlock | None = None
    isolation: Literal["identity", "shared"] = "identity"
    pool: PoolBlock = PoolBlock()
    era: Literal["auto", "2025-11-25", "2026-07-28"] = "auto"
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]*$", max_length=40)] | None = None
    timeout: Annotated[Duration, Field(gt=0)] = 120.0
    max_result: Annotated[Size, Field(gt=0)] = 10 * 2**20
    answer_within: Annotated[Duration, Field(gt=0)] = 55.0
    required: bool = False
    catalog: dict[SecretName, SecretName] = Field(default_factory=dict)

    def prefix_of(self, name: str) -> str:
        """What the upstream of this name puts before its tools' names on the wire."""
        return f"{name}__" if self.prefix is None else self.prefix

    @model_validator(mode="after")
    def _one_kind(self, info: ValidationInfo) -> UpstreamBlock:
        written = [key for key in KEYS if getattr(self, key) is not None]
        if len(written) != 1:
            raise ValueError(f"write exactly one of {', '.join(f'`{kind}`' for kind in KEYS)}")
        own = KEYS[written[0]]
        for key in frozenset().union(*KEYS.values()) - own:
            if getattr(self, key):
                owners = " or ".join(f"`{kind}`" for kind, keys in KEYS.items() if key in keys)
                raise ValueError(f"`{key}` belongs to an upstream with {owners}")
        if self.era != "auto" and written[0] not in SERVERS:
            raise ValueError("`era` is one of MCP servers; leave it out")
        if self.command is not None and not self.command:
            raise ValueError("`command` is empty; write the program and its arguments as a list")
        if self.program is not None and not self.tools:
            raise ValueError("`program` needs `tools`; without one nothing can be called")
        if self.url is not None:
            # Read without its environment, an address may be a variable that is not known here.
            is_open = bool(info.context and info.context.get("unset")) and self.url.startswith("${env:")
            self._check_http("https://host/" if is_open else self.url)
        if self.tls is not None and self.tls.key is not None and self.tls.cert is None:
            raise ValueError("`tls` has a key without a cert; write both")
        if self.openapi is not None:
            self.check_openapi(unset=bool(info.context and info.context.get("unset")))
        return self

    @property
    def kind(self) -> str:
        """The key that chooses its kind."""
        return next(key for key in KEYS if getattr(self, key) is not None)

    def _check_http(self, url: str) -> None:
        parts = urlsplit(url)
        if not url.isascii() or not url.isprintable() or " " in url or parts.port == 0:
            raise ValueError("`url` holds characters that a URL cannot; escape them")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("`url` is not one of an HTTP MCP server; write https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise ValueError("`url` holds a user or password; put them into `headers` as Authorization")
        for name in self.headers:
            if name.lower() in _HOP_HEADERS | _OWN_HEADERS or name.lower().startswith("mcp-"):
                raise ValueError(f"the header {name} belongs to the protocol; leave it out")
        if len({name.lower() for name in self.headers}) != len(self.headers):
            raise ValueError("`headers` names one header twice")
