"""What the server executed, synced to a file before it is done: the other side of the shim's record."""

from __future__ import annotations

import os
from pathlib import Path

from tests.parts.odd_server.wire import JsonObject, dump


class Ledger:
    """An append-only file of one JSON object a line: `{"tool", "arguments", "pid", "meta"}`. None: nothing is kept.

    `meta` is what the request carried besides what the protocol has there.
    """

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(path, flags, 0o600) if path is not None else None

    def write(self, tool: str, arguments: JsonObject, meta: JsonObject) -> None:
        """Returns once the entry is on the disk. Blocks, so that nothing of the call can have begun before."""
        if self._file is None:
            return
        carried = {key: value for key, value in meta.items() if not key.startswith("io.modelcontextprotocol/")}
        line = dump({"tool": tool, "arguments": arguments, "pid": os.getpid(), "meta": carried}) + b"\n"
        # One write of one line: processes that share the file never mix their lines.
        os.write(self._file, line)
        os.fsync(self._file)
