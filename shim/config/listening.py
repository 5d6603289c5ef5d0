"""Where the shim may listen, and what it may believe there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from shim.server.config import ServerBlock

_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", re.ASCII)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?", re.ASCII)

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 (refused, not listened on)


def address(listen: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port of HOST:PORT. Raises ValueError with what would be right."""
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found[3]) > 65535:
        raise ValueError(f"{listen[:80]!r} is no address; write HOST:PORT, such as 127.0.0.1:8765 or [::1]:8765")
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """Whether a host's name or address (without brackets) can mean this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(name: str) -> str:
    """The host of `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def url_fault(url: str) -> str | None:
    """What is wrong with the URL of an MCP endpoint, and what would be right; None: nothing."""
    example = "write https://HOST/mcp"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"{url[:80]!r} is no URL ({error}); {example}"
    if parts.scheme not in ("http", "https") or not host or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        return f"{url[:80]!r} is no http or https URL; {example}"
    if parts.username is not None or parts.password is not None:
        return "a URL cannot carry a user's name or password; write them as a header"
    if parts.fragment:
        return f"a URL of a server has no fragment (`#`); {example}"
    return None


def is_known(server: ServerBlock) -> bool:
    """Whether it says under which address people and programs find it."""
    try:
        host, _ = address(server.listen)
    except ValueError:
        # That is a fault of its own.
        return True
    return server.url is not None or (host not in _UNSPECIFIED and not server.behind_proxy)


def faults_of(server: ServerBlock, *, is_secured: bool, is_open: bool) -> Iterator[tuple[str, str]]:
    """What is wrong between the keys of `server`, as (key, message).

    `is_secured`: there is TLS, or something in front that ends it. `is_open`: an identity is anonymous.
    """
    host = None
    try:
        host, _ = address(server.listen)
    except ValueError as error:
        yield "listen", str(error)
    if host is not None and not is_loopback(host) and not is_secured:
        message = (
            f"{host} is reached from beyond this machine; add `tls`, or `behind_proxy: true`, or listen on 127.0.0.1"
        )
        yield "listen", message
    if server.url is not None and (wrong := url_fault(server.url)):
        yield "url", wrong
    if server.jwt is not None and server.url is None:
        # It is what clients are told to ask for a token for, and compare with where they went.
        if host in _UNSPECIFIED:
            yield "listen", f"with `jwt` clients are told where they are, and nobody is at {host}; write `url`"
        if server.behind_proxy:
            yield "behind_proxy", "with `jwt` clients are told where they are, which the proxy knows alone; write `url`"
    for name in server.allowed_hosts:
        if not _HOST.fullmatch(name):
            yield "allowed_hosts", f"{name[:80]!r} is no host; write HOST or HOST:PORT, without a scheme or a path"
    if is_open:
        yield from _open_faults(server, host)


def _open_faults(server: ServerBlock, host: str | None) -> Iterator[tuple[str, str]]:
    rule = (
        "an anonymous identity is for this machine alone: take it out, or make listen, url and allowed_hosts loopback"
    )
    if host is not None and not is_loopback(host):
        yield "listen", rule
    if (
        server.url is not None
        and url_fault(server.url) is None
        and not is_loopback(urlsplit(server.url).hostname or "")
    ):
        yield "url", rule
    if not all(is_loopback(host_of(name)) for name in server.allowed_hosts):
        yield "allowed_hosts", rule
