"""Names for what is taken over: of upstreams, of secrets, of variables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import PurePath

_UPSTREAM, _SECRET = 40, 60
"""Characters. Tools carry their upstream's name on the wire, where there is room for 64 in all."""

RUNNERS = frozenset(
    {"npx", "npm", "pnpm", "yarn", "bunx", "bun", "deno", "node", "uv", "uvx", "pipx", "python", "python3", "docker"}
    | {"podman", "sh", "bash", "env", "run", "exec", "dlx", "tool", "x", "java"}
)
_AROUND = re.compile(r"^(?:mcp-server-|server-|mcp-)|(?:-mcp-server|-server|-mcp)$")


def upstream(text: str) -> str:
    """A name that an upstream may have, as near to a text as it can be."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", _ascii(text))
    return re.sub(r"([_-])\1+", r"\1", plain).strip("_-")[:_UPSTREAM].strip("_-") or "server"


def secret(text: str) -> str:
    """A name that a secret may have, and the file that holds it."""
    return re.sub(r"[^a-z0-9]+", "-", _ascii(text)).strip("-")[:_SECRET].strip("-") or "secret"


def variable(text: str) -> str:
    """A name that an environment variable may have."""
    plain = re.sub(r"[^A-Z0-9]+", "_", _ascii(text).upper()).strip("_")[:_SECRET]
    return plain if plain and not plain[0].isdigit() else f"N_{plain}"


def of_command(words: Sequence[str]) -> str:
    """What to call a server of which no more than its command line is known: the program, or what a runner runs."""
    for word in words:
        name = PurePath(word).name
        if not word.startswith("-") and name and name not in RUNNERS:
            bare = re.sub(r"(?<=.)@.*$|\.(?:[cm]?js|ts|py|jar)$", "", name)
            return upstream(_AROUND.sub("", bare) or bare)
    return upstream(PurePath(words[0]).name)


def distinct(wanted: str, taken: Callable[[str], bool], between: str = "-") -> str:
    """The name, or the first of `name-2`, `name-3` … that is not taken."""
    name, number = wanted, 1
    while taken(name):
        number += 1
        name = f"{wanted}{between}{number}"
    return name


def _ascii(text: str) -> str:
    # Long before it is cut, so that a name of megabytes costs nothing.
    return unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
