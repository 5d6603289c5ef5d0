"""Putting on the record what a person does at the command line."""

from __future__ import annotations

import getpass
import os
import secrets
from typing import TYPE_CHECKING

from shim.cli.options import store_path
from shim.model import JsonObject

if TYPE_CHECKING:
    from shim.config.configuration import Configuration


def user() -> str:
    """The name of the operating-system user, or their number where they have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def record(configuration: Configuration, kind: str, body: JsonObject) -> None:
    """One administrative event, with who did it. Raises RecordUnavailable."""
    from shim.cli.running import run

    run(_record(configuration, kind, {**body, "user": user()}))


async def _record(configuration: Configuration, kind: str, body: JsonObject) -> None:
    from shim.record.recorder import Record
    from shim.store.sqlite import SqliteStore

    async with SqliteStore.open(store_path(configuration), secrets.token_hex(8)) as store:
        await Record(store, configuration.record, random=secrets.token_bytes).event(kind, body)
