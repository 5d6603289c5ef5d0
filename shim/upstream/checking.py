"""What an upstream names of this machine, and whether that is there as it has to be: before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from shim.paths import exposed, missing
from shim.upstream.commandline import config as commandline
from shim.upstream.config import UpstreamBlock


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` leads from the upstream's block to what is wrong. An error makes the configuration unusable."""

    path: tuple[str | int, ...]
    message: str
    level: Literal["error", "warning"] = "error"


def faults(block: UpstreamBlock) -> Iterator[Fault]:
    """All of them, of an upstream whose paths are absolute."""
    yield from _CHECKS.get(block.kind, _nothing)(block)


def _nothing(_block: UpstreamBlock) -> Iterator[Fault]:
    """Its kind names nothing of this machine, or says so when it starts."""
    yield from ()


def _tls(block: UpstreamBlock) -> Iterator[Fault]:
    for key in ("ca", "cert", "key"):
        path = getattr(block.tls, key, None)
        if path is not None and (wrong := missing(path) or (exposed(path) if key == "key" else None)):
            yield Fault(("tls", key), wrong)


def _interpreter(block: UpstreamBlock) -> Iterator[Fault]:
    found = block.interpreter
    if found is not None and "/" in found and (wrong := missing(found)):
        yield Fault(("interpreter",), f"{wrong}; write the Python that has the functions' modules")


def _program(block: UpstreamBlock) -> Iterator[Fault]:
    for path, message in commandline.faults(block, block.env, block.cwd, block.timeout):
        yield Fault(path, message)


_CHECKS: Mapping[str, Callable[[UpstreamBlock], Iterator[Fault]]] = {
    "url": _tls,
    "program": _program,
    "python": _interpreter,
}
"""By the key of the configuration that chooses the kind."""
