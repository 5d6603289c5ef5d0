"""What can be wrong between `server.jwt`, the identities that JWTs prove, and the scopes that grants ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from yaml import ScalarNode

from shim import yamltext
from shim.config.checks import AnyReading
from shim.config.document import Main
from shim.config.listening import is_loopback, url_fault
from shim.config.reading import Reading
from shim.identity.naming import Template
from shim.model import Problem
from shim.server.config import ServerBlock
from shim.yamltext import Path

_MISSING = "`server.jwt` is not configured, so no JWT proves anything: add it, or take this out"


def problems(main: Reading[Main], readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """All of them, over all files."""
    accepts = main.has(("server", "jwt"))
    yield from _issuer(main)
    prefixes: dict[str, str] = {}
    proves = False
    for reading in readings:
        for name, block in reading.document.identities.items():
            if block.jwt is not None:
                proves = True
                path = ("identities", name, "jwt")
                if not accepts:
                    yield reading.problem(path, _MISSING)
                elif _is_empty(reading, path):
                    yield reading.problem(path, "every JWT of the issuer would be this identity: name a claim")
            if block.name is not None:
                yield from _template(reading, name, block.name, prefixes)
        yield from _scopes(reading, accepts=accepts)
    if accepts and not proves:
        message = "no identity has `jwt`, so every JWT is refused: say which claims make whom"
        yield main.problem(("server", "jwt"), message, "warning")


def _issuer(main: Reading[Main]) -> Iterator[Problem]:
    server = main.document.server
    if server.jwt is None:
        return
    for key in ("issuer", "jwks_url"):
        value = getattr(server.jwt, key)
        path = ("server", "jwt", key)
        if value is not None and not main.is_unset(path) and (wrong := _not_trusted(value, key)):
            yield main.problem(path, wrong)
    path = ("server", "jwt", "algorithms")
    if _is_empty(main, path):
        yield main.problem(path, "no algorithm is allowed, so every JWT is refused; write [RS256, ES256, EdDSA]")
    if wrong := _in_the_clear(server):
        yield main.problem(("server", "url"), wrong)


def _is_empty(reading: AnyReading, path: Path) -> bool:
    """Whether a list or mapping was written without anything in it."""
    _, value = yamltext.locate(reading.root, path)
    return isinstance(value, ScalarNode) or (value is not None and not value.value)


def _not_trusted(url: str, key: str) -> str | None:
    wrong = url_fault(url)
    if wrong is not None:
        return wrong.replace("https://HOST/mcp", "https://HOST")
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        return "whoever is on the way could put keys of their own in the place of the issuer's; write https://"
    if key == "issuer" and parts.query:
        return "an issuer has no query (RFC 8414); write it exactly as its tokens have it in `iss`"
    return None


def _in_the_clear(server: ServerBlock) -> str | None:
    if server.url is None or url_fault(server.url) is not None:
        return None
    parts = urlsplit(server.url)
    if not server.url.isascii() or '"' in server.url or "\\" in server.url:
        return "with `server.jwt` this stands in a header: write it in ASCII, without quotes and backslashes"
    if parts.query:
        return "with `server.jwt` this is the name of a resource: it has no query (RFC 9728)"
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return None
    return "access tokens would travel in the clear: with `server.jwt` clients must reach the server by https"


def _template(reading: AnyReading, name: str, text: str, prefixes: dict[str, str]) -> Iterator[Problem]:
    path = ("identities", name, "name")
    if reading.is_unset(path):
        return
    try:
        prefix = Template.of(text).prefix
    except ValueError as error:
        yield reading.problem(path, str(error))
        return
    first = prefixes.setdefault(prefix, name)
    if first != name:
        message = f"names of {first} begin with `{prefix}:` as well: two persons could have one name; choose another"
        yield reading.problem(path, message)


def _scopes(reading: AnyReading, *, accepts: bool) -> Iterator[Problem]:
    for position, grant in zip(reading.grants, reading.document.grants, strict=True):
        path = ("grants", position, "scopes")
        if not grant.scopes:
            continue
        if grant.deny:
            # It would be lifted by coming with a token that lacks them.
            yield reading.problem(path, "a deny holds whatever scopes a token has; write allow and deny as two grants")
        if not accepts:
            yield reading.problem(path, _MISSING)
