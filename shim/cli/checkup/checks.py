"""One line of a checkup: what was found, and what to do when it is not well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "info", "warning", "error"]
"""`info` is neither good nor bad; a `warning` works and should not stay so; an `error` keeps something from working."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. Its texts may hold what comes from outside: they are made safe to show where they are shown."""

    section: str
    name: str
    level: Level
    message: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Makes the checks of one section. What is not well always comes with a remedy."""

    name: str

    def ok(self, name: str, message: str) -> Check:
        """As it should be."""
        return Check(self.name, name, "ok", message)

    def info(self, name: str, message: str, remedy: str | None = None) -> Check:
        """Good to know."""
        return Check(self.name, name, "info", message, remedy)

    def warning(self, name: str, message: str, remedy: str) -> Check:
        """Works, and should not stay so."""
        return Check(self.name, name, "warning", message, remedy)

    def error(self, name: str, message: str, remedy: str) -> Check:
        """Keeps something from working, or lets somebody in."""
        return Check(self.name, name, "error", message, remedy)


def counted(count: int, noun: str) -> str:
    """`1 tool`, `2 tools`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"
