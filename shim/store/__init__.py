"""Where everything durable lies: units of work that append events and change rows in one synced transaction."""

from __future__ import annotations

from shim.store.reader import Reader, Selection
from shim.store.sqlite import SqliteStore
from shim.store.tx import Head, Tx, Unit

__all__ = ["Head", "Reader", "Selection", "SqliteStore", "Tx", "Unit"]
