"""What it costs to have a program run through the shim, beside starting it directly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

from benchmarks import fronts
from benchmarks.fronts import Shape
from benchmarks.rounds import CALLERS, Direct, Series, Size, interleave
from benchmarks.upstream import tool_name

PROGRAMS = Size(rounds=5, calls={1: 60, 32: 320})
QUICK_PROGRAMS = Size(rounds=2, calls={1: 30, 32: 160})
_PROGRAM = "/bin/echo"
_EACH = 100


async def programs(size: Size, folder: Path) -> tuple[list[Series], Direct]:
    """Calls a second and latencies of `echo`, and the program itself."""
    shape = Shape()
    text = {"type": "string", "maxLength": 10_000}
    tools = {tool_name(shape.tool): {"run": ["says:", "{text}"], "input": {"text": text}}}
    upstream = {"program": _PROGRAM, "tools": tools, "pool": {"max": max(CALLERS)}}
    more = {"upstreams": {"bench": upstream}}
    async with fronts.shim(shape, "http://127.0.0.1:9/mcp", folder / "programs", "a program", more) as front:
        return await interleave([front], size), await _direct()


async def _direct() -> Direct:
    began = perf_counter()
    for _ in range(_EACH):
        await _once()
    alone = (perf_counter() - began) * 1000 / _EACH
    callers = max(CALLERS)
    began = perf_counter()
    for _ in range(_EACH // 10):
        await asyncio.gather(*(_once() for _ in range(callers)))
    return Direct(alone, callers * (_EACH // 10) / (perf_counter() - began))


async def _once() -> None:
    process = await asyncio.create_subprocess_exec(
        _PROGRAM,
        "says:",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await process.communicate()
