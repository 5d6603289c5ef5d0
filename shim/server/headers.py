"""The header block of one HTTP request, and which of its claims about where it goes are believed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case, in the order they came."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(:[0-9]{1,5})?", re.ASCII)
_DEFAULT_PORTS = (80, 443)


class Headers:
    """One request's headers. `repeated` names those that came more than once: what reads the first and what reads the
    last would then disagree."""

    __slots__ = ("_values", "raw", "repeated")

    def __init__(self, raw: RawHeaders) -> None:
        self.raw = tuple(raw)
        self._values = dict(self.raw)
        self.repeated: frozenset[bytes] = frozenset()
        if len(self._values) != len(self.raw):
            names = [name for name, _ in self.raw]
            self.repeated = frozenset(name for name in names if names.count(name) > 1)

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def get(self, name: bytes) -> bytes | None:
        """The value of a header (name in lower case), the last where it is repeated."""
        return self._values.get(name)

    def text(self, name: bytes) -> str | None:
        """As `get`, as text, one character a byte."""
        value = self._values.get(name)
        return None if value is None else value.decode("latin-1")

    def pairs(self) -> list[tuple[str, str]]:
        """All of them as text, repeated ones too."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]


class Authorities:
    """The values of Host, and the origins, that reach this server; all else is refused, which defeats DNS rebinding.

    Host is compared as a whole, so nothing can hide behind a lenient parser.
    """

    def __init__(self, port: int, *, url: str | None = None, allowed: Iterable[str] = ()) -> None:
        ports = {port}
        hosts = {name.lower() for name in allowed}
        if url is not None:
            parts = urlsplit(url)
            hosts.add(parts.netloc.rpartition("@")[2].lower())
            ports.add(parts.port or (443 if parts.scheme == "https" else 80))
        self._local = frozenset(_with_ports(_LOOPBACK, {port}))
        self._named = frozenset(_with_ports(hosts, ports))
        self._hosts = self._local | self._named

    def host(self, value: bytes) -> bool:
        """Whether a Host header names this server."""
        return value.lower() in self._hosts

    def origin(self, value: bytes) -> bool:
        """Whether an Origin header is one that may call: a page from this machine, or from a host that is named."""
        match = _ORIGIN.fullmatch(value.decode("latin-1").lower())
        if match is None:
            return False
        return match[1] in _LOOPBACK or (match[1] + (match[2] or "")).encode() in self._named


def _with_ports(names: Iterable[str], ports: Iterable[int]) -> Iterable[bytes]:
    for name in names:
        host = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name
        if host.rpartition("]")[2].count(":"):
            yield host.encode()
            continue
        for port in ports:
            yield f"{host}:{port}".encode()
        if any(port in _DEFAULT_PORTS for port in ports):
            yield host.encode()


def accepts(value: str | None) -> tuple[bool, bool]:
    """Whether an Accept header takes JSON, and an event stream (RFC 9110, section 12.5.1; no header takes neither)."""
    ranges = {part.partition(";")[0].strip().lower() for part in (value or "").split(",")}
    everything = "*/*" in ranges
    json = everything or "application/json" in ranges or "application/*" in ranges
    stream = everything or "text/event-stream" in ranges or "text/*" in ranges
    return json, stream


def is_json(value: str | None) -> bool:
    """Whether a Content-Type is JSON in UTF-8."""
    kind, *parameters = (value or "").split(";")
    if kind.strip().lower() != "application/json":
        return False
    charsets = [
        text.strip().lower()[8:].strip('"') for text in parameters if text.strip().lower().startswith("charset=")
    ]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def is_forwarded(headers: Headers) -> bool:
    """Whether something stands between the client and this server, by its own account."""
    return any(name == b"forwarded" or name.startswith(b"x-forwarded-") for name, _ in headers.raw)


def forwarded_address(headers: Headers) -> str | None:
    """The address that the nearest proxy saw: the last one listed, since those before it are the client's to invent.

    `Forwarded` (RFC 7239) comes before `X-Forwarded-For`. None where neither ends in an address.
    """
    value = headers.text(b"forwarded")
    if value is not None:
        for pair in value.rpartition(",")[2].split(";"):
            name, _, node = pair.strip().partition("=")
            if name.lower() == "for":
                return _address(node.strip('"'))
    value = headers.text(b"x-forwarded-for")
    return None if value is None else _address(value.rpartition(",")[2].strip())


def _address(node: str) -> str | None:
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    try:
        return str(ipaddress.ip_address(node))
    except ValueError:
        return None
