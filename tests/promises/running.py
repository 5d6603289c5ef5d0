"""A real `mcp-shim serve` for tests: a configuration in a folder, tokens, and the process itself."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts import warm

BIN = Path(sys.executable).parent
SHIM = str(BIN / "mcp-shim")
START = 30.0
"""Seconds that a start may take on a busy machine before the test fails."""

_LISTENING = re.compile(r"listening on (http://\S+/mcp)")


def token(name: str) -> str:
    """A token of an identity, in the shape that `token new` gives; the same for the same name."""
    return "mcpshim_" + hashlib.sha256(name.encode()).hexdigest()[:43]


def identity(name: str) -> str:
    """The lines under `identities:` that make `token(name)` that identity's."""
    digest = hashlib.sha256(token(name).encode()).hexdigest()
    return f"  {name}: {{local: true, tokens: [{{id: {name}-token, sha256: {digest}}}]}}\n"


def environment(folder: Path) -> dict[str, str]:
    """What a test's child process gets: nothing of the developer's own."""
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }


def write_config(folder: Path, text: str) -> Path:
    """`shim.yaml` in a folder; the store and the keys lie beside it."""
    path = folder / "shim.yaml"
    path.write_text(text)
    return path


@dataclass
class Running:
    """A `mcp-shim serve` that listens."""

    url: str
    process: warm.Process
    errors: list[str]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


async def _read_errors(process: warm.Process, errors: list[str], found: asyncio.Future[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        text = line.decode(errors="replace")
        errors.append(text)
        match = _LISTENING.search(text)
        if match and not found.done():
            found.set_result(match[1])
    if not found.done():
        found.set_exception(AssertionError("mcp-shim did not listen:\n" + "".join(errors)))


@asynccontextmanager
async def serving(config: Path, *more: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Start `mcp-shim serve` on a free port and stop it at the end. `env` is added to its environment."""
    argv = (SHIM, "serve", "--config", str(config), "--listen", "127.0.0.1:0", *more)
    environ = {**environment(config.parent), **(env or {})}
    process = await warm.start(argv, environ, stderr=asyncio.subprocess.PIPE)
    errors: list[str] = []
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(_read_errors(process, errors, found))
        try:
            url = await asyncio.wait_for(asyncio.shield(found), START)
            yield Running(url, process, errors)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    # Killed by the test, and not yet known to be gone.
                    process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), START)
                except TimeoutError:
                    process.kill()


async def run(
    config: Path, *arguments: str, stdin: bytes | None = None, more: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """One verb of the command line: its exit code, what it wrote to standard output and to standard error.

    `more` is added to its environment.
    """
    argv = (SHIM, *arguments, "--config", str(config))
    environ = {**environment(config.parent), **(more or {})}
    return await warm.run(argv, environ, stdin or b"")
