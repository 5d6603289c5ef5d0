"""Servers, plans and texts for the tests of taking servers over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from shim.clients.adopting import Around
from shim.clients.listing import Keys, Listing
from shim.clients.plan import Plan
from shim.clients.server import Origin, Server
from shim.clients.writing import configuration
from shim.config import loader
from shim.config.configuration import Configuration
from shim.model import Identity, JsonObject, Tool

ME = Identity("me")
HERE = Path("/work/project")
KEY = "k3y-" + "Abc123xyz" * 4


def around(environ: Mapping[str, str] | None = None, standing: Mapping[str, str] | None = None) -> Around:
    taken = standing or {}
    return Around(
        HERE,
        Path("/home/dev"),
        HERE / "config",
        environ or {},
        taken.get,
        kept_in=lambda name: f"config/secrets/{name}",
        to_give=lambda name: f"put it into config/secrets/{name}",
    )


def server(name: str = "one", **more: Any) -> Server:
    """A server of VS Code's project file; a stdio one unless it has a URL."""
    origin = Origin("vscode", HERE / ".vscode" / "mcp.json", "project", HERE)
    if "url" not in more:
        more.setdefault("command", ("server",))
    return Server(name, origin, "http" if "url" in more else "stdio", **more)


def tool(upstream: str, name: str, **more: object) -> Tool:
    definition: JsonObject = {"name": name, "inputSchema": {"type": "object"}, **more}
    return Tool(upstream, name, name, definition, "0" * 64)


def written(plan: Plan, listings: Mapping[str, Listing] | None = None, *, read_only: bool = False) -> str:
    return configuration(
        plan,
        listings or {},
        lambda name: {"source": "file", "path": f"secrets/{name}"},
        read_only=read_only,
        keys=Keys(plan.secrets.values()),
    )


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Configuration:
    """The text as the shim reads it. Raises ConfigurationError."""
    file = folder / "shim.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return loader.load(file, environ or {})


def uncommented(text: str, chosen: Mapping[int, bool] | None = None) -> str:
    """The text with `# ` taken away before all lines that may be used, or before those that were chosen."""
    head, *lines = text.split("\n")
    result = [head]
    for number, line in enumerate(lines):
        if chosen is None or chosen.get(number, False):
            line = re.sub(r"^( *)# ", r"\1", line)
        result.append(line)
    return "\n".join(result)


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30) | st.text(
    alphabet="ab:# -'\"\\{}[],&*!|>%@`?~$\n\r\t\x85\u2028\ufeff\u202e\x1b.01/", max_size=12
)
"""Texts of any kind, and of what YAML and terminals make much of."""
