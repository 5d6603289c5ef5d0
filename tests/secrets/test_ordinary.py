"""Ordinary text passes as it is, whatever is alive; and so many leases cost a call next to nothing."""

from __future__ import annotations

import base64
import json
import random
import string
import sysconfig
import uuid
from functools import partial
from pathlib import Path

import pytest

from shim.secrets.alive import Alive
from shim.secrets.patterns import Group, Patterns
from shim.secrets.scrubbing import Scrubber
from tests.secrets.writings import LETTERS, WRITINGS

SECRET = "Q7x+zY/0-w_Rk=%41&b;\"c'9\\uVtZ"
MEGABYTE = 1 << 20


def sixteen(dice: random.Random) -> Alive:
    """Leases as sources make them: keys, passwords with all signs, addresses, tokens, and a private key."""
    alive = Alive()
    values = [
        "".join(dice.choices(LETTERS + more, k=length))
        for more in ("", "+/", "-_", string.punctuation)
        for length in (8, 20, 40)
    ]
    values.append("postgresql://app:" + "".join(dice.choices(LETTERS, k=24)) + "@db.example:5432/app")
    values.append("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." + base64.urlsafe_b64encode(dice.randbytes(500)).decode())
    values.append(str(uuid.UUID(bytes=dice.randbytes(16), version=4)))
    lines = base64.encodebytes(dice.randbytes(1200)).decode()
    values.append(f"-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n")
    assert len(values) == 16
    for number, value in enumerate(values):
        alive.add(str(number), Patterns({f"s{number}": value}))
    return alive


def ordinary(dice: random.Random) -> dict[str, str]:
    """More than 10 MB of what tools answer with."""
    source = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if len(source) > 4 * MEGABYTE:
            break
        source += path.read_text("utf-8", errors="replace")
    rows = [
        {
            "id": str(uuid.UUID(bytes=dice.randbytes(16))),
            "path": f"/srv/data/{number}/x?a=1&b=%20c",
            "note": 'a "quote"\n\té',
        }
        for number in range(12_000)
    ]
    blob = dice.randbytes(MEGABYTE)
    return {
        "source": source,
        "json": json.dumps(rows),
        "json in json": json.dumps(json.dumps(rows)),
        "base64": base64.b64encode(blob).decode(),
        "base64 over lines": base64.encodebytes(blob).decode(),
        "hex dump": blob.hex(" ", 2),
        "hex": blob[: MEGABYTE // 2].hex(),
        "uuids": "\n".join(row["id"] for row in rows),
    }


def test_ten_megabytes_of_ordinary_text_pass_as_they_are() -> None:
    dice = random.Random(16)
    alive, texts = sixteen(dice), ordinary(dice)
    assert sum(map(len, texts.values())) > 10 * MEGABYTE
    scrubber = Scrubber(lambda: alive.since(None))
    for name, text in texts.items():
        said = {"content": [{"type": "text", "text": text}]}
        assert scrubber.result(said) is said, name
        deep = {"structuredContent": {name: text[: MEGABYTE // 2].splitlines()}}
        assert scrubber.result(deep) is deep, name
    assert scrubber.redactions == 0


def test_leases_come_and_go_and_each_is_looked_for_by_those_who_began_before_its_end() -> None:
    alive = Alive()
    values = [f"value-number-{number:04}" for number in range(200)]
    text = " ".join(values)
    early = alive.begin()
    for value in values:
        alive.add(value, Patterns({"key": value}))
    for value in values[:150]:
        alive.remove(value)
    late = alive.begin()
    found = {}
    for name, mark in (("early", early), ("late", late), ("now", None)):
        scrubber = Scrubber(partial(alive.since, mark))
        left = scrubber.text(text).split()
        found[name] = [value for value, shown in zip(values, left, strict=True) if shown == "[secret:key]"]
    assert found == {"early": values, "late": values[150:], "now": values[150:]}
    alive.end(early)
    assert list(alive.since(late)) == list(alive.since(None))


def test_a_value_that_two_leases_have_is_hidden_until_both_ended() -> None:
    alive, same = Alive(), Patterns({"key": "the-very-same-value"})
    alive.add("a", same)
    alive.add("b", same)
    alive.remove("a")
    assert Scrubber(lambda: alive.since(None)).text("<the-very-same-value>") == "<[secret:key]>"
    alive.remove("b")
    assert Scrubber(lambda: alive.since(None)).text("<the-very-same-value>") == "<the-very-same-value>"


@pytest.mark.parametrize("unit", ["%41", "%25", "\\u0041", "\\", "&#65;", "&amp;", "%41\\u0041&#65;", "A\n", "\\n"])
def test_a_text_full_of_escapes_is_replaced_whole_if_it_holds_a_value(unit: str) -> None:
    group = Group([Patterns({"key": "hunter2-hunter2"})])
    scrubber = Scrubber(lambda: [group])
    text = unit * (300_000 // len(unit))
    assert scrubber.text(text) == text
    left = scrubber.text(f"{text}hunter2%2Dhunter2 and base64 {base64.b64encode(b'hunter2-hunter2').decode()}{text}")
    assert "[secret:key]" in left
    assert "hunter2" not in left
    assert "aHVud" not in left


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_value_is_found_in_much_ordinary_text_wherever_it_stands(writing: str) -> None:
    dice = random.Random(writing)
    lines = Path(random.__file__).read_text("utf-8").splitlines() * 3
    group = Group([Patterns({"key": SECRET})])
    for place in (0, dice.randrange(len(lines)), len(lines) - 1):
        said = WRITINGS[writing](SECRET, dice)
        text = "\n".join([*lines[:place], f"{lines[place]} {said} {lines[place]}", *lines[place + 1 :]])
        for result in (
            {"content": [{"type": "text", "text": text}]},
            {"structuredContent": {"a": [{"b": text}, *lines], "n": 1}},
        ):
            scrubber = Scrubber(lambda: [group])
            left = json.dumps(scrubber.result(result))
            assert scrubber.redactions >= 1, (writing, place)
            # And the lines around it stay.
            assert left.count("def ") == json.dumps(result).count("def ")
