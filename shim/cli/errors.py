"""How a verb ends early: a sentence on standard error and an exit code."""

from __future__ import annotations

from typing import Final

PROBLEM: Final = 1
USAGE: Final = 2


class Stop(Exception):
    """Ends the verb. `str()` goes to standard error as one line; empty: nothing more is to be said."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def usage(message: str) -> Stop:
    """What was asked cannot be understood, or names something that is not configured."""
    return Stop(USAGE, message)


def problem(message: str) -> Stop:
    """What was asked was understood and could not be done."""
    return Stop(PROBLEM, message)
