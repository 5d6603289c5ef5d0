"""Whether a server in a client's file is one that the shim's configuration fronts.

Names say nothing (they may be changed on both sides). What counts is what would be started or reached: the program with
its arguments, the place where that makes a difference, or the URL; and that no variable or header of the client's entry
contradicts the upstream's. Where the upstream has a secret, any text of the client matches: a key that was moved into a
secret is not looked at. A server and an upstream that differ in anything else are two.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from shim import templates
from shim.clients.server import Server
from shim.upstream.config import UpstreamBlock

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}", re.ASCII)
_IN_SHELL = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_NEVER_CARRIED = frozenset({"accept", "content-type"})


def fronting(
    server: Server, upstreams: Mapping[str, UpstreamBlock], *, environ: Mapping[str, str], folder: Path
) -> str | None:
    """The name of the first upstream that stands for a server; None: it is none of them.

    `upstreams` are as the configuration has them, paths absolute. `folder` is where the client is opened, for servers
    that no project's file names.
    """
    return next((name for name, block in upstreams.items() if corresponds(server, block, environ, folder)), None)


def corresponds(server: Server, block: UpstreamBlock, environ: Mapping[str, str], folder: Path) -> bool:
    """Whether one upstream stands for a server. None does for one that has more from its client than can be read."""
    if server.lacking:
        return False
    if server.command is not None and block.command is not None:
        return _same_program(server, block, environ, folder)
    if server.transport == "http" and server.url is not None and block.url is not None:
        headers = {
            name: text
            for name, text in server.headers.items()
            if name.lower() not in _NEVER_CARRIED and not name.lower().startswith("mcp-")
        }
        url, authorised = _without_user(_filled(server.url, environ))
        if authorised and "authorization" not in map(str.lower, block.headers):
            return False
        return _address(url) == _address(block.url) and _agree(headers, block.headers, environ, fold=True)
    return False


def _same_program(server: Server, block: UpstreamBlock, environ: Mapping[str, str], folder: Path) -> bool:
    here = server.origin.folder or folder
    place = here / _filled(server.cwd, environ) if server.cwd is not None else here
    words = [_filled(word, environ) for word in server.command or ()]
    pattern, from_shell = _words(block)
    expected = list(pattern)
    if len(words) != len(expected) or any("\0" in word for word in words):
        return False
    if "/" in words[0] and "/" in expected[0] and templates.MARK not in expected[0]:
        words[0], expected[0] = _program(place / words[0]), _program(Path(expected[0]))
    if not all(map(_equal, words, expected)):
        return False
    depends = server.cwd is not None or any(_is_relative(word, place) for word in words[1:])
    if depends and block.cwd is not None and os.path.realpath(block.cwd) != os.path.realpath(place):
        return False
    env = {name: text for name, text in block.env.items() if name not in from_shell or name in server.env}
    return _agree(server.env, env, environ, fold=False)


def _words(block: UpstreamBlock) -> tuple[Sequence[str], frozenset[str]]:
    # A key that a program wants in its arguments reaches it through the environment and a shell.
    command = block.command or ()
    if command[:2] != ("/bin/sh", "-c") or len(command) != 3 or not command[2].startswith("exec "):
        return command, frozenset()
    try:
        words = shlex.split(command[2])[1:]
    except ValueError:
        return command, frozenset()
    used: set[str] = set()

    def placed(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in block.env:
            return found[0]
        used.add(name)
        return templates.place(name)

    return [_IN_SHELL.sub(placed, word) for word in words], frozenset(used)


def _program(path: Path) -> str:
    # Its folder is resolved, its own link is not: the Pythons of two environments link to one program.
    return str(Path(os.path.realpath(path.parent)) / path.name)


def _is_relative(word: str, folder: Path) -> bool:
    # A word that names a file here would name another one elsewhere.
    if word.startswith("/") or not word:
        return False
    try:
        return (folder / word).exists()
    except (OSError, ValueError):
        return False


def _agree(mine: Mapping[str, str], theirs: Mapping[str, str], environ: Mapping[str, str], *, fold: bool) -> bool:
    named = {name.lower() if fold else name: text for name, text in theirs.items()}
    for name, text in mine.items():
        pattern = named.get(name.lower() if fold else name)
        if pattern is None or not _equal(_filled(text, environ), pattern):
            return False
    return True


def _equal(text: str, pattern: str) -> bool:
    if templates.MARK not in pattern:
        return text == pattern
    literals = pattern.split(templates.MARK)[::2]
    return re.fullmatch("(?s:.+)".join(map(re.escape, literals)), text) is not None


def _filled(text: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        known = environ.get(found[1])
        return known if known is not None else (found[2] if found[2] is not None else found[0])

    return _VARIABLE.sub(value, text)


def _without_user(url: str) -> tuple[str, bool]:
    # User and password of an address are sent as a header, and a configuration has them there.
    found = re.match(r"([a-z]+://)[^/?#]*@(?=[^/?#@]*(?:[/?#]|\Z))", url, re.IGNORECASE)
    return (found[1] + url[found.end() :], True) if found is not None else (url, False)


def _address(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme,
            parts.hostname or "",
            parts.port or _PORTS.get(parts.scheme),
            parts.path or "/",
            parts.query,
        )
    except ValueError:
        return ("", url, None, "", "")
