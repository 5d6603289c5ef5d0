"""Units of work for tests, and readings of what they left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shim.store.chain import GENESIS, link
from shim.store.reader import Reader
from shim.store.tx import Tx

NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Add:
    """Append one event; its seq."""

    name: str
    kind: str = "test"

    def apply(self, tx: Tx) -> int:
        return tx.append(self.kind, {"name": self.name}, None, NOW)


@dataclass(frozen=True)
class AddThenFail:
    """Append, and change a row, and raise."""

    name: str

    def apply(self, tx: Tx) -> None:
        tx.append("test", {"name": self.name}, None, NOW)
        tx.began(self.name, "p")
        tx.show(self.name)
        raise LookupError(self.name)


@dataclass(frozen=True)
class AddTwice:
    """Violate a constraint of a table."""

    name: str

    def apply(self, tx: Tx) -> None:
        tx.append("test", {"name": self.name}, None, NOW)
        tx.put_payload(self.name, "arguments", b"", None)
        tx.put_payload(self.name, "arguments", b"", None)


@dataclass(frozen=True)
class NotShown:
    """Whether no trace is left of `AddThenFail`."""

    name: str

    def apply(self, tx: Tx) -> bool:
        return tx.show(self.name) and not tx.is_running(self.name)


def names(path: Path) -> list[str]:
    """The names of the events on the chain, in order; the chain is whole."""
    found: list[str] = []
    head = GENESIS
    with Reader(path) as reader:
        for count, event in enumerate(reader.events(), 1):
            head = link(head, event.text)
            assert (event.seq, event.hash) == (count, head)
            found.append(json.loads(event.text)["body"]["name"])
    return found
