"""What a function is told of its call, where it asks for that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

NAME = "CallContext"
"""The name of the class that a parameter is annotated with: any class of that name, in whatever module."""


class Context:
    """See `shim.calling.CallContext`, of which this has every member."""

    __slots__ = ("_cancelled", "_progress", "identity", "invocation", "run", "tool")

    def __init__(
        self,
        call: dict[str, Any],
        tool: str,
        cancelled: threading.Event,
        progress: Callable[[float, float | None, str | None], None],
    ) -> None:
        self.identity: str = call.get("identity", "")
        self.run: str = call.get("run", "")
        self.invocation: str = call.get("invocation", "")
        self.tool = tool
        self._cancelled = cancelled
        self._progress = progress

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def wait(self, seconds: float, /) -> bool:
        return self._cancelled.wait(seconds)

    def progress(self, done: float, total: float | None = None, message: str | None = None, /) -> None:
        self._progress(done, total, message)


def is_wanted(annotation: Any) -> bool:
    """Whether a parameter with this annotation is given the context. Text is an annotation that could not be read."""
    if isinstance(annotation, str):
        return annotation.partition("|")[0].strip().rpartition(".")[2].strip("\"'") == NAME
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return any(is_wanted(one) for one in get_args(annotation))
    return isinstance(annotation, type) and annotation.__name__ == NAME
