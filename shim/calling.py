"""What a Python function is told of the call that it serves. Needs nothing of the shim, nor anything that is not there.

A function asks for it by a parameter that is annotated with this class. Where the shim is not installed, any class of
the same name does: a `Protocol` with those members that the function uses.
"""

from __future__ import annotations

from typing import Protocol


class CallContext(Protocol):
    """One call. Its members may be used from any thread, until the function has returned."""

    @property
    def identity(self) -> str:
        """The name of who calls, as the configuration has it."""

    @property
    def run(self) -> str:
        """The run that the call belongs to."""

    @property
    def invocation(self) -> str:
        """The call's id in the record."""

    @property
    def tool(self) -> str:
        """The name under which the function is served."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: then return soon, or the process ends with you in it.

        An `async` function is cancelled besides, as asyncio does it.
        """

    def wait(self, seconds: float, /) -> bool:
        """Sleep so long, but not on when the call is cancelled. Whether it is."""

    def progress(self, done: float, total: float | None = None, message: str | None = None, /) -> None:
        """Tell the caller how far it is, where that was asked for; the call's timeout starts anew then."""
