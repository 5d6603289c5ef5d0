"""What a child writes to its standard error: logged, bounded, and the line of it that says why the child ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import cast

from shim.upstream.exchange import Allowance
from shim.upstream.lines import Lines, TooLong
from shim.upstream.pace import pieces

_LONGEST = 64 * 1024
_SEARCHED = 4096
_LOGGED, _QUOTED = 2000, 200
_BURST, _PER_SECOND, _PAUSE = 500.0, 50.0, 0.05
_LAST, _REMEMBERED = 60, 1000

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")

# What programs write last without saying why: frames of a stack, the version of the interpreter, where the log is.
_IDLE = re.compile(r"\s+at |\s*File \"|Node\.js v\d|npm (?:error|ERR!) (?:\d{3} (?:Note|tarball)|A complete log|code )")
_TELLING = re.compile(r"error|exception|fatal|panic|fail|denied|missing|required|not found|no such|cannot|usage", re.I)


class Complaints(asyncio.Protocol):
    """Logs line by line under the upstream's name; a flood is counted, not logged. `hide` takes out credentials.

    `heard` gets everything, as it comes.
    """

    def __init__(self, name: str, hide: Callable[[str], str], heard: Callable[[bytes], None] | None = None) -> None:
        self.ended = asyncio.Event()
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._hide = hide
        self._heard = heard
        self._transport: asyncio.ReadTransport | None = None
        self._lines = Lines(_LONGEST)
        self._allowance = Allowance(_BURST, _PER_SECOND, asyncio.get_running_loop().time)
        self._dropped = 0
        self._dropping = False
        self._last: deque[str] = deque(maxlen=_LAST)

    @property
    def reason(self) -> str | None:
        """The last line that looks like a reason, else the last that says anything; one short line, safe to show."""
        said = [line for line in self._last if any(map(str.isalpha, line)) and not _IDLE.match(line)]
        telling = [line for line in said if _TELLING.search(line)]
        return _shown((telling or said)[-1].strip(), _QUOTED) if said else None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self.ended.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        if self._lines.pending:
            self._complain(*self._lines.feed(b"\n"))
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        if self._heard is not None:
            self._heard(data)
        for piece in pieces(data):
            if not self._dropping:
                self._complain(*self._lines.feed(piece))
            else:
                # Counted, not cut: a flood costs as little as can be.
                self._dropped += self._lines.skip(piece)
        if self._dropping and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_PAUSE, self._listen_again)

    def _listen_again(self) -> None:
        self._dropping = False
        with contextlib.suppress(RuntimeError):
            if self._transport is not None:
                self._transport.resume_reading()

    def _complain(self, *lines: bytes | TooLong) -> None:
        for line in lines:
            if not self._allowance.spend():
                self._dropped += 1
                self._dropping = True
                continue
            if self._dropped:
                self._log.warning("%d lines of stderr were dropped", self._dropped)
                self._dropped = 0
            # Without colours: one in the middle of a key must not hide it from what looks for keys.
            hidden = self._hide(_COLOUR.sub("", _text(line)))
            self._last.append(hidden[:_REMEMBERED])
            self._log.info("%s", _shown(hidden, _LOGGED))


def _text(line: bytes | TooLong) -> str:
    whole = line.head if isinstance(line, TooLong) else line
    text = whole[:_SEARCHED].decode("utf-8", "backslashreplace").rstrip("\r")
    if isinstance(line, TooLong) or len(whole) > _SEARCHED:
        # What is cut off in the middle of a word may be the beginning of a key.
        return f"{text.rpartition(' ')[0]} ..."
    return text


def _shown(text: str, length: int) -> str:
    """With control and bidirectional characters escaped, and bounded."""
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text[: length + 1])
    return text if len(text) <= length else f"{text[:length]} ..."
