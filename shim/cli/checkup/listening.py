"""Whether `mcp-shim serve` listens where the configuration says, and whether it is ready."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from shim import jsontext
from shim.cli.checkup.checks import Check, Section, counted
from shim.errors import InvalidText

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_TIMEOUT = 3.0
_LONGEST = 65536

_say = Section("server")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


def checks(configuration: Configuration) -> Iterator[Check]:
    """All lines of the section. Nothing is sent but two requests without a credential."""
    listen = configuration.server.listen
    try:
        answers = [_get(configuration, path) for path in ("/healthz", "/readyz")]
        yield from (_healthy(answers[0], listen), _ready(answers[1], listen))
    except ConnectionRefusedError:
        yield _say.info("healthz", f"nothing listens at {listen}", "mcp-shim serve, where clients come over HTTP")
    except (OSError, http.client.HTTPException) as error:
        yield _other(listen, str(error) or type(error).__name__)


def _other(listen: str, why: str) -> Check:
    text = f"what listens at {listen} is not a shim of this configuration: {why}"
    return _say.warning("healthz", text, "stop it, or choose another `server.listen`")


def _healthy(answer: _Answer, listen: str) -> Check:
    if answer.status != 200:
        return _other(listen, f"/healthz gave {answer.status}")
    return _say.ok("healthz", f"a server answers at {listen}")


def _ready(answer: _Answer, listen: str) -> Check:
    try:
        found = jsontext.parse_object(answer.body)
        ready, upstreams = found["ready"], dict(found["upstreams"])
    except (InvalidText, KeyError, TypeError, ValueError):
        return _other(listen, f"/readyz gave {answer.status} and something else")
    waiting = [f"{name} is {state}" for name, state in upstreams.items() if state != "up"]
    said = f"; {', '.join(waiting)}" if waiting else ""
    if answer.status == 200 and ready is True:
        return _say.ok("readyz", f"ready, {counted(len(upstreams), 'upstream')}{said}")
    return _say.warning(
        "readyz", f"not ready: {listen} refuses calls{said}", "see the store and the required upstreams above"
    )


def _get(configuration: Configuration, path: str) -> _Answer:
    connection = _connection(configuration)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return _Answer(response.status, response.read(_LONGEST))
    finally:
        connection.close()


def _connection(configuration: Configuration) -> http.client.HTTPConnection:
    from shim.config.listening import address

    host, port = address(configuration.server.listen)
    host = _reachable(host)
    tls = configuration.server.tls
    if tls is None:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    # Whoever can show the configured certificate is the one meant, whatever name it was issued for.
    context = ssl.create_default_context(cafile=tls.cert)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)


def _reachable(host: str) -> str:
    """Where a server that listens on all addresses is reached."""
    try:
        found = ip_address(host)
    except ValueError:
        return host
    return host if not found.is_unspecified else ("127.0.0.1" if found.version == 4 else "::1")
