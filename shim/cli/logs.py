"""The log of the process (not the record): on standard error, JSON lines unless a person is watching."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from shim.cli.options import DEBUG_VARIABLE
from shim.cli.text import visible

_CHATTY = ("uvicorn", "mcp", "httpx2")
"""What they say of themselves while all is well helps nobody who runs the shim."""


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message"}`, and `"trace"` where there is one; ASCII, one line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class Readable(logging.Formatter):
    """`12:00:00 warning shim.upstream: …`, with what could disturb a terminal escaped."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = f"{time} {record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return visible(text, lines=True)


def beside_a_report() -> None:
    """The log of a verb that says itself how each upstream stands: what is said there is not said here as well.

    With MCP_SHIM_DEBUG it holds everything.
    """
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    configure(logging.WARNING, debug=debug)
    for handler in () if debug else logging.getLogger().handlers:
        handler.addFilter(lambda record: not hasattr(record, "stands"))


def configure(level: int, *, debug: bool) -> None:
    """Send the log of the whole process to standard error; `debug` lowers the level to everything of ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Readable() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)
    if debug:
        logging.getLogger("shim").setLevel(logging.DEBUG)
