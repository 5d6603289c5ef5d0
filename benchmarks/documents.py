"""What it takes to make tools of the OpenAPI documents of real services, each whole and in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.parts.documents import documents

_PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from shim import jsontext
from shim.upstream.openapi.config import OpenApiBlock
from shim.upstream.openapi.document import read
from shim.upstream.openapi.offering import offering
def most():
    # Of Linux's two figures ru_maxrss is inherited: it would be that of whoever started this.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = most()
began = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    data = file.read()
made = offering(read(data), OpenApiBlock(openapi="x", base="https://x", operations=("* /**",)))
seconds = time.perf_counter() - began
peak = most()
size = len(jsontext.dump([tool.definition for tool in made.tools.values()]))
print(json.dumps({"tools": len(made.tools), "document": len(data), "bytes": size, "seconds": seconds,
                  "peak": peak, "more": peak - before}))
"""


@dataclass(frozen=True)
class Loaded:
    """Bytes, but for seconds and the number of tools. `peak` is of the whole process, `more` what loading added."""

    tools: int
    document: int
    bytes: int
    seconds: float
    peak: int
    more: int


def loading(rounds: int) -> Mapping[str, Loaded]:
    """Each document by its name: the median of the seconds, the worst of the memory."""
    return {name: _median([_once(path) for _ in range(rounds)]) for name, path in documents().items()}


def _once(path: Path) -> Loaded:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, str(path)], stdout=subprocess.PIPE, check=True)
    return Loaded(**json.loads(done.stdout))


def _median(all_: list[Loaded]) -> Loaded:
    one = all_[0]
    return Loaded(
        one.tools,
        one.document,
        one.bytes,
        median(each.seconds for each in all_),
        max(each.peak for each in all_),
        max(each.more for each in all_),
    )
