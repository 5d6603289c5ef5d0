"""What is measured: the bare upstream, mcp-shim in front of it, and mcp-airlock in front of it.

Each is set up so that a call takes the shortest way that still does what it is for. mcp-shim: a bearer token, a
grant, the record as it is by default (arguments redacted, every event synced to the disk before the call goes on).
mcp-airlock: the caller named by a trusted header (cheaper than a token), every tool listed at tier L0, which passes
straight through, and its audit file, which it writes before the call goes on but does not sync.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.load import Target
from benchmarks.processes import BIN, free_port, running
from benchmarks.upstream import tool_name
from tests.parts.install import LOCKS, venv

_URL = re.compile(r"(?:^|listening on )(http://\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Front:
    """Something that serves the upstream's tools. `targets` are cycled over by the callers."""

    name: str
    targets: tuple[Target, ...]
    pid: int

    def callers(self, count: int) -> list[Target]:
        return [self.targets[(index * 31) % len(self.targets)] for index in range(count)]


@dataclass(frozen=True)
class Shape:
    """How large a configuration is."""

    tools: int = 1
    identities: int = 1
    grants: int = 1

    @property
    def tool(self) -> int:
        """The number of the tool that is called: one from the middle."""
        return self.tools // 2


@asynccontextmanager
async def bare(shape: Shape, folder: Path) -> AsyncIterator[Front]:
    """The upstream itself."""
    command = [sys.executable, "-m", "benchmarks.upstream", str(shape.tools)]
    async with running(command, folder, f"upstream-{shape.tools}") as started:
        url = await started.url(_URL)
        yield Front("bare upstream", (Target(url, tool_name(shape.tool), {}),), started.process.pid)


@asynccontextmanager
async def shim(
    shape: Shape, upstream: str, folder: Path, name: str = "mcp-shim", more: Mapping[str, object] | None = None
) -> AsyncIterator[Front]:
    """A `mcp-shim serve` of its own, with a store of its own. `more` takes the place of what its configuration has."""
    tokens = {f"agent-{number}": f"mcpshim_{secrets.token_urlsafe(32)}" for number in range(shape.identities)}
    config = _written(folder, "shim.yaml", {**_shim_config(shape, upstream, tokens), **(more or {})})
    config.chmod(0o600)
    command: list[str | Path] = [BIN / "mcp-shim", "serve", "--config", config, "--listen", "127.0.0.1:0"]
    async with running(command, folder, "shim") as started:
        url = await started.url(_URL)
        tool = f"bench__{tool_name(shape.tool)}"
        targets = tuple(Target(url, tool, {"authorization": f"Bearer {token}"}) for token in tokens.values())
        yield Front(name, targets, started.process.pid)


def _written(folder: Path, name: str, config: dict[str, object]) -> Path:
    folder.mkdir(mode=0o700)
    path = folder / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _shim_config(shape: Shape, upstream: str, tokens: dict[str, str]) -> dict[str, object]:
    digests = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}
    # The grant that allows is the last of them all; those before it name other tools, plainly and by pattern.
    others: list[dict[str, object]] = [
        {"name": f"other-{number}", "to": ["group:agents"], "allow": [f"bench/other_{number}{'*' * (number % 2)}"]}
        for number in range(shape.grants - 1)
    ]
    return {
        "version": 1,
        "store": "sqlite:shim.db",
        "upstreams": {"bench": {"url": upstream}},
        "identities": {
            name: {"groups": ["agents"], "tokens": [{"id": name, "sha256": digest}]} for name, digest in digests.items()
        },
        "grants": [*others, {"name": "all", "to": ["group:agents"], "allow": ["bench/tool_*"]}],
    }


@asynccontextmanager
async def airlock(shape: Shape, upstream: str, folder: Path) -> AsyncIterator[Front]:
    """A `mcp-airlock` from an environment of its own."""
    home = venv("airlock", LOCKS / "airlock.txt")
    tiers = {tool_name(number): {"tiers": {"bench": "L0"}} for number in range(shape.tools)}
    policy = _written(folder, "policy.yaml", {"version": 1, "environment": "bench", "tools": tiers})
    port = free_port()
    command: list[str | Path] = [home / "bin" / "mcp-airlock", "--policy", policy, "--upstream", upstream]
    command += ["--audit", folder / "audit.jsonl", "--port", str(port)]
    async with running(command, folder, "airlock", more={"AIRLOCK_TRUST_PRINCIPAL_HEADER": "1"}) as started:
        await started.accepts(port)
        target = Target(f"http://127.0.0.1:{port}/mcp", tool_name(shape.tool), {"x-airlock-principal": "agent-0"})
        yield Front("mcp-airlock", (target,), started.process.pid)
