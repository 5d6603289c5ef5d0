"""The writings in which a value may come back: what tests look for, and what the hostile upstream of tests says.

With nothing but the standard library: a server that is started for a test has nothing else.
"""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote, quote_plus

LETTERS = string.ascii_letters + string.digits
Writing: TypeAlias = Callable[[str, random.Random], str]


def every(text: str, form: str) -> str:
    return "".join(form.format(ord(character)) for character in text)


def mixed(text: str, dice: random.Random) -> str:
    ways = ("%{:02x}", "%{:02X}", "\\u{:04x}", "\\u{:04X}", "&#{};", "&#x{:x};", "&#X{:X};")
    return "".join(
        dice.choice(ways).format(ord(one)) if dice.random() < 0.4 else every(one, "%{:02x}") if one in "%\\&" else one
        for one in text
    )


def based(text: str, dice: random.Random, *, safe: bool = False, padded: bool = True) -> str:
    around = ["".join(dice.choices(LETTERS, k=dice.randrange(5))) for _ in range(2)]
    whole = (around[0] + text + around[1]).encode()
    written = (base64.urlsafe_b64encode if safe else base64.b64encode)(whole).decode()
    return written if padded else written.rstrip("=")


def any_case(text: str, dice: random.Random, prefix: str = "") -> str:
    """Each hexadecimal digit of an escape, or all, in one case or the other."""
    return prefix + "".join(dice.choice((one.lower(), one.upper())) for one in text)


def broken(text: str, dice: random.Random, columns: int, end: str) -> str:
    """In base64, of a longer text, over lines."""
    around = ["".join(dice.choices(LETTERS, k=dice.randrange(90))) for _ in range(2)]
    written = base64.b64encode((around[0] + text + around[1]).encode()).decode()
    return end.join(written[start : start + columns] for start in range(0, len(written), columns))


WRITINGS: dict[str, Writing] = {
    "as is": lambda text, _: text,
    "base64": lambda text, dice: based(text, dice),
    "base64 without padding": lambda text, dice: based(text, dice, padded=False),
    "base64 for URLs": lambda text, dice: based(text, dice, safe=True, padded=False),
    "basic": lambda text, dice: "Basic " + base64.b64encode(f"some-user:{text}".encode()).decode(),
    "percent": lambda text, _: quote(text, safe=""),
    "percent, slash kept": lambda text, _: quote(text),
    "percent, plus": lambda text, _: quote_plus(text),
    "percent, all": lambda text, _: every(text, "%{:02X}"),
    "percent, all, lower": lambda text, _: every(text, "%{:02x}"),
    "percent twice": lambda text, _: quote(every(text, "%{:02x}"), safe=""),
    "json": lambda text, _: json.dumps(text),
    "json, slashes": lambda text, _: json.dumps(text).replace("/", "\\/"),
    "json, all": lambda text, _: every(text, "\\u{:04x}"),
    "json, all, upper": lambda text, _: every(text, "\\u{:04X}"),
    "json twice": lambda text, _: json.dumps(json.dumps({"a": text})),
    "json three times": lambda text, _: json.dumps(json.dumps(json.dumps([text]))),
    "html": lambda text, _: html.escape(text),
    "html, decimal": lambda text, _: every(text, "&#{};"),
    "html, hex": lambda text, _: every(text, "&#x{:X};"),
    "hex": lambda text, _: text.encode().hex(),
    "hex, upper": lambda text, _: text.encode().hex().upper(),
    "mixed": mixed,
    "percent, mixed case": lambda text, dice: "".join(any_case(f"{one:02x}", dice, "%") for one in text.encode()),
    "percent, as JavaScript did": lambda text, _: every(text, "%u{:04x}"),
    "percent twice, all": lambda text, _: every(every(text, "%{:02x}"), "%{:02X}"),
    "json, mixed case": lambda text, dice: "".join(any_case(f"{ord(one):04x}", dice, "\\u") for one in text),
    "html, zeros": lambda text, dice: "".join(f"&#{'0' * dice.randrange(9)}{ord(one)};" for one in text),
    "html, hex, zeros": lambda text, dice: "".join(f"&#x{'0' * dice.randrange(9)}{ord(one):x};" for one in text),
    "html twice": lambda text, _: html.escape(every(text, "&#{};")),
    "hex, mixed case": lambda text, dice: any_case(text.encode().hex(), dice),
    "base64, 76 columns": lambda text, dice: broken(text, dice, 76, "\n"),
    "base64, 64 columns, CRLF": lambda text, dice: broken(text, dice, 64, "\r\n"),
    "base64, 64 columns, indented": lambda text, dice: broken(text, dice, 64, "\n    "),
    "base64, 76 columns, in JSON": lambda text, dice: json.dumps({"data": broken(text, dice, 76, "\r\n")}),
    "base64, 76 columns, percent": lambda text, dice: quote(broken(text, dice, 76, "\r\n"), safe=""),
}
