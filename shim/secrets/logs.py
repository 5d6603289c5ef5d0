"""The log of the process itself, without the values of leases that are alive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TRACES = logging.Formatter()


class Hidden(logging.Filter):
    """Lets every record pass; of one that holds a value, what is said and its trace are another text."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._hide = hide

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        shown = self._hide(said)
        if record.exc_info:
            trace = _TRACES.formatException(record.exc_info)
            hidden = self._hide(trace)
            if hidden != trace:
                record.exc_info = record.exc_text = None
                shown = f"{shown}\n{hidden}"
        if shown != said:
            record.msg, record.args = shown, None
        return True


@contextmanager
def hidden_in_logs(hide: Callable[[str], str]) -> Iterator[None]:
    """Whatever anybody logs in this process while the block lasts."""
    handlers, hidden = list(logging.getLogger().handlers), Hidden(hide)
    for handler in handlers:
        handler.addFilter(hidden)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(hidden)
