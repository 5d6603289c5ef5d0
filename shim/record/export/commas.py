"""Comma-separated values (RFC 4180), safe to open in a spreadsheet.

Arrays and objects are JSON text. A text that a spreadsheet would take for a formula gets an apostrophe before it
(OWASP, CSV injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from shim import jsontext
from shim.model import Json, JsonObject
from shim.record.invocation import FIELDS

# The last four are the full-width forms, which some spreadsheets fold.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def encode(items: Iterable[JsonObject]) -> Iterator[bytes]:
    """A header, then a row for each object; null is an empty cell."""
    yield _row(FIELDS)
    for item in items:
        yield _row([_cell(item[name]) for name in FIELDS])


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return jsontext.dump(value).decode("utf-8")
    if not isinstance(value, str):
        return str(value)
    # Behind white space a formula is one still; NUL ends the cell for some readers.
    text = value.replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _row(cells: Iterable[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", "backslashreplace")
