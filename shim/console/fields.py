"""What a browser sends: a form, a query, a cookie. Read strictly: what could be read in two ways is not read."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from shim.server.exchange import Exchange, Gone, TooLarge, read_body

_MOST: Final = 16
_LARGEST: Final = 64 * 1024
"""Bytes of a form."""
_FORM: Final = "application/x-www-form-urlencoded"


class Unreadable(Exception):
    """It is not what a browser makes of one of our pages."""


def fields(text: bytes) -> dict[str, str]:
    """The fields of a form or a query (URL Standard, section 5.1). Raises Unreadable; each name comes once."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST
        )
    except ValueError:
        raise Unreadable from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable
    return found


async def form_of(exchange: Exchange) -> dict[str, str] | None:
    """The fields of the form that a request brings; None where it was answered, because it brings none."""
    headers = exchange.headers
    kind = (headers.text(b"content-type") or "").partition(";")[0].strip().lower()
    if kind != _FORM or b"content-type" in headers.repeated:
        await exchange.early(415)
        return None
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > _LARGEST:
        await exchange.early(413)
        return None
    try:
        return fields(await read_body(exchange.receive, _LARGEST))
    except TooLarge:
        await exchange.early(413)
    except Unreadable:
        await exchange.early(400)
    except Gone:
        pass
    return None


def cookies(header: str | None, name: str) -> list[str]:
    """The values of the cookies of one name (RFC 6265, section 5.4)."""
    pairs = (pair.strip().partition("=") for pair in (header or "").split(";"))
    return [value for key, _, value in pairs if key == name]
