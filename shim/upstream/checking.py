"""What an upstream names of this machine, and whether that is there as it has to be: before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shim.paths import exposed, missing
from shim.upstream.commandline import config as commandline
from shim.upstream.commandline.code import loader_fault
from shim.upstream.config import UpstreamBlock
from shim.upstream.openapi.document import Unreadable, Unsuited, bytes_of, read
from shim.upstream.openapi.offering import offering

_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` leads from the upstream's block to what is wrong; `place` is the file and line, where that is in another
    file than the configuration, `by` what else it hangs on. An error makes the configuration unusable.
    """

    path: tuple[str | int, ...]
    message: str
    level: Literal["error", "warning"] = "error"
    place: tuple[str, int] | None = None
    by: tuple[tuple[str | int, ...], ...] = ()


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


def _api(block: UpstreamBlock) -> Iterator[Fault]:
    yield from _tls(block)
    yield from _document(block)


def _document(block: UpstreamBlock) -> Iterator[Fault]:
    """Whether a document that is a file holds what is asked of it. One of the service is read from there."""
    name = block.openapi
    if name is None or block.is_fetched:
        return
    try:
        data = bytes_of(Path(name))
    except OSError as error:
        yield Fault(("openapi",), f"the document {name} cannot be read ({error.strerror})")
        return
    try:
        made = offering(read(data), block)
    except Unsuited as error:
        yield Fault(tuple(error.path), str(error))
        return
    except Unreadable as error:
        yield Fault(("openapi",), str(error), place=None if error.line is None else (name, error.line))
        return
    for position in made.idle:
        yield Fault(("operations", position), f"no operation fits {block.operations[position]!r}", "warning")
    for spot, why in made.left_out[:_SHOWN]:
        yield Fault(("openapi",), f"left out {spot[:120]}: {why}", "warning")
    if len(made.left_out) > _SHOWN:
        yield Fault(("openapi",), f"left out {len(made.left_out) - _SHOWN} more", "warning")


def _interpreter(block: UpstreamBlock) -> Iterator[Fault]:
    found = block.interpreter
    if found is not None and "/" in found and (wrong := missing(found)):
        yield Fault(("interpreter",), f"{wrong}; write the Python that has the functions' modules")
    for name in block.env:
        if (why := loader_fault(name)) is not None:
            yield Fault(("env", name), f"{why}: modules are those of the interpreter, and of `cwd`")


def _program(block: UpstreamBlock) -> Iterator[Fault]:
    by = (("program",), ("cwd",), *(("path", position) for position in range(len(block.path))))
    for path, message in commandline.faults(block, block.env, block.cwd, block.timeout):
        yield Fault(path, message, by=by)
    for path, message in commandline.doubts(block):
        yield Fault(path, message, "warning", by=by)


_CHECKS: Mapping[str, Callable[[UpstreamBlock], Iterator[Fault]]] = {
    "url": _tls,
    "program": _program,
    "openapi": _api,
    "python": _interpreter,
}
"""By the key of the configuration that chooses the kind."""
