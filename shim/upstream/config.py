"""`upstreams:` of the configuration: MCP servers over stdio (`command`) or streamable HTTP (`url`)."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationInfo, model_validator

from shim.units import Block, Duration, SecretName, Size

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
    """Paths: the authorities that are believed, and the certificate with which the shim proves itself."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class UpstreamBlock(Block):
    """One existing source of tools. Exactly one of `command` and `url`; seconds and bytes as numbers.

    Values of `env` and `headers` may hold `${secret:NAME}` (here as `shim.templates` has it). `catalog`: for a NAME
    that they use, the secret behind it when the shim itself reads what the upstream offers.
    """

    command: tuple[str, ...] | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    cwd: str | None = None
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
        if (self.command is None) == (self.url is None):
            raise ValueError("write exactly one of `command` (a stdio MCP server) and `url` (an HTTP MCP server)")
        if self.command is not None:
            if not self.command:
                raise ValueError("`command` is empty; write the program and its arguments as a list")
            for key in ("headers", "tls"):
                if getattr(self, key):
                    raise ValueError(f"`{key}` belongs to an upstream with `url`")
        else:
            for key in ("env", "cwd"):
                if getattr(self, key):
                    raise ValueError(f"`{key}` belongs to an upstream with `command`")
            url = self.url or ""
            # Read without its environment, an address may be a variable that is not known here.
            is_open = bool(info.context and info.context.get("unset")) and url.startswith("${env:")
            self._check_http("https://host/" if is_open else url)
        return self

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
        if self.tls is not None and self.tls.key is not None and self.tls.cert is None:
            raise ValueError("`tls` has a key without a cert; write both")
