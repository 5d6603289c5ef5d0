"""Writing what a verb found: JSON for machines, tables for people, files for keeping.

Standard output carries the answer and nothing else; everything said about it goes to standard error.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shim.cli.errors import problem
from shim.cli.text import json_text, visible
from shim.model import Json

_WIDEST = 1000


def line(text: str) -> None:
    """One line of the answer. What comes from outside has to be `visible` already."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """One line about the answer, for people; what was answered before stands before it."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def json_object(value: Json) -> None:
    """One object (or any value) on one line."""
    line(json_text(value))


def json_array(values: Iterable[Json]) -> None:
    """One array, an element a line, written as the elements come."""
    separator = "["
    for value in values:
        line(separator) if separator == "[" else line(",")
        sys.stdout.write(json_text(value))
        separator = ","
    line("[]" if separator == "[" else "\n]")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A table for people, every cell made `visible`; `empty` is said instead when there are no rows."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    if not grid.row_count:
        say(empty)
        return
    # A row is a line, however long: names and ids can be copied whole from a narrow terminal, and grep finds them.
    console = Console(file=sys.stdout, width=_WIDEST, highlight=False, soft_wrap=True)
    console.print(grid)


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values for people, one pair a line; further lines of a value stand below its first."""
    shown = [(name, text.split("\n")) for name, text in rows]
    width = max((len(name) for name, _ in shown), default=0)
    for name, texts in shown:
        line(f"{name:<{width}}  {texts[0]}".rstrip())
        for text in texts[1:]:
            line(f"{'':<{width}}  {text}".rstrip())


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, made new or emptied. A symbolic link is not followed."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise problem(f"{visible(str(path))}: cannot be written: {why}") from None
    with os.fdopen(descriptor, "wb") as file:
        # Checked on what was opened, not on a name that may mean another file by now.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
            file.truncate()
        yield file
