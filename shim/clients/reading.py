"""Reading a client's file: only a plain file, of bounded size, that nobody else could have written.

What stands in it decides which programs are started and where keys are sent, so a file that another user owns, or that
anyone may write, is not believed. A symbolic link is followed (dotfile managers make them); what counts is the file
behind it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path

from shim import jsontext
from shim.clients import jsonc
from shim.clients.errors import Unreadable
from shim.errors import InvalidText
from shim.model import Json, JsonObject

MOST = 10 * 2**20
"""Bytes that a client's file may have. Claude Code keeps histories in its own, so megabytes are no surprise."""

MOST_TOML = 2**20
"""Characters that one of TOML may have, which is read fifty times slower; nobody keeps histories there."""

BOM = "\ufeff"


def read_bytes(path: Path) -> bytes | None:
    """What a file holds; None where there is none. Raises Unreadable."""
    try:
        # Without blocking: a fifo has no writer, and nothing here waits for one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise Unreadable("it is a symbolic link to nothing") from error
        return None
    except NotADirectoryError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        _believe(os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > MOST:
        raise Unreadable(f"it is larger than {MOST >> 20} MiB")
    return content


def _believe(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("it is not a plain file")
    if found.st_uid not in (0, os.geteuid()):
        raise Unreadable(f"it belongs to another user (number {found.st_uid})")
    if found.st_mode & stat.S_IWOTH:
        raise Unreadable("anyone can write to it; chmod o-w it")
    if found.st_size > MOST:
        raise Unreadable(f"it is larger than {MOST >> 20} MiB")


def decoded(content: bytes) -> str:
    """The text of a file, a byte order mark and all line ends as they are. Raises Unreadable."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 (byte {error.start})") from None


def json_document(text: str) -> JsonObject:
    """The object of JSON text, which may hold comments and trailing commas; {} where there is nothing but those.

    Raises Unreadable, also for a key twice in one object: which of both the client takes cannot be known.
    """
    plain = text.removeprefix(BOM)
    try:
        try:
            # Most files are strict, and large ones are read a hundred times faster so.
            value = jsontext.parse(plain.encode())
        except InvalidText:
            clean = jsonc.clean(plain)
            if not clean.strip(jsonc.SPACE):
                return {}
            value = jsontext.parse(clean.encode())
    except (InvalidText, UnicodeEncodeError) as error:
        raise Unreadable(f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unreadable("it does not hold a JSON object")
    return value


def toml_document(text: str) -> JsonObject:
    """The table of TOML text. Raises Unreadable."""
    if len(text) > MOST_TOML:
        raise Unreadable(f"it is larger than {MOST_TOML >> 20} MiB")
    if _LONG_KEY.search(text):
        raise Unreadable(f"a key in it has more than {_MOST_PARTS} parts")
    try:
        document: JsonObject = tomllib.loads(text.removeprefix(BOM), parse_float=_number)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"it is not TOML: {error}") from None
    except ValueError:
        # Python's own bound, beyond which reading a number takes time in the square of its digits.
        raise Unreadable("a number in it has too many digits") from None
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    level: list[Json] = [document]
    for _ in range(jsontext.MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return document
    raise Unreadable(_TOO_DEEP)


_NAN = float("nan")


def _number(text: str) -> float:
    # The same object for all: what stayed as it was then equals what it was, though no NaN equals another.
    return _NAN if "nan" in text else float(text)


_MOST_PARTS = 16
"""Of one key, `a.b.c`: tomllib remembers each beginning of it, so memory grows with the square of their number."""

_PART = r"""(?:(?<![\w-])[A-Za-z0-9_-]++|(?<!\\)"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")

_TOO_DEEP = f"it is nested deeper than {jsontext.MAX_DEPTH}"


def _inside(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
