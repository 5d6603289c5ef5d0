"""What it costs to call a Python function through mcp-shim: beside an HTTP server's tool, and the function itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO, Any

import shim.upstream.python
from benchmarks import fronts
from benchmarks.fronts import Shape
from benchmarks.rounds import Series, Size, interleave
from benchmarks.upstream import tool_name

SHAPE = Shape()
_WORKER = Path(shim.upstream.python.__file__).parent / "worker" / "__main__.py"
_CALLS, _STARTS = 2000, 5


@dataclass(frozen=True)
class Alone:
    """The worker without the shim: milliseconds until its functions are loaded, microseconds of one call of it after
    another, and of one call of the function itself."""

    start: float
    call: float
    direct: float


async def functions(size: Size, folder: Path) -> tuple[list[Series], Alone]:
    """Calls a second and latencies in front of a function and of an HTTP server, in one interleaved run."""
    folder = folder / "functions"
    folder.mkdir(mode=0o700)
    name = tool_name(SHAPE.tool)
    (folder / "said.py").write_text(f'def {name}(text: str) -> str:\n    """Says it again."""\n    return text\n')
    block = {"python": [f"said:{name}"], "cwd": str(folder)}
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(fronts.bare(SHAPE, folder))
        url = upstream.targets[0].url
        over_http = await stack.enter_async_context(fronts.shim(SHAPE, url, folder / "http", "an HTTP server's tool"))
        more = {"upstreams": {"bench": block}}
        python = await stack.enter_async_context(fronts.shim(SHAPE, url, folder / "python", "a function", more))
        return await interleave([over_http, python], size), _alone(folder, name)


def _alone(folder: Path, name: str) -> Alone:
    starts, took = [], 0.0
    for _ in range(_STARTS):
        began = perf_counter()
        with _worker(folder) as (say, hear):
            _ask(say, hear, "io.github.mcp-shim/load", {"functions": [f"said:{name}"], "injected": []})
            starts.append((perf_counter() - began) * 1000)
            began = perf_counter()
            for _ in range(_CALLS):
                _ask(say, hear, "tools/call", {"name": name, "arguments": {"text": "call"}})
            took = (perf_counter() - began) / _CALLS * 1e6
    held: dict[str, Any] = {}
    exec((folder / "said.py").read_text(), held)
    began = perf_counter()
    for _ in range(_CALLS):
        held[name]("call")
    return Alone(median(starts), took, (perf_counter() - began) / _CALLS * 1e6)


@contextmanager
def _worker(folder: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    command = [sys.executable, str(_WORKER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()


def _ask(say: IO[bytes], hear: IO[bytes], method: str, params: dict[str, Any]) -> None:
    say.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
    say.flush()
    answer = json.loads(hear.readline())
    assert "error" not in answer, answer
