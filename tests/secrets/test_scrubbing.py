"""Values in every writing are taken out, and nothing else is."""

from __future__ import annotations

import base64
import json
import random
import re
import string

import pytest

from shim.model import Json
from shim.secrets.patterns import Group, Patterns
from shim.secrets.scrubbing import Scrubber
from tests.secrets.writings import LETTERS, WRITINGS

MARK = "[secret:db]"


def scrubber(*values: str) -> Scrubber:
    groups = [Group(Patterns({"db.password": value}) for value in values)]
    return Scrubber(lambda: groups)


def leaves(value: Json) -> list[str]:
    """All strings of a JSON value, keys too, in order."""
    if isinstance(value, dict):
        return [leaf for key, member in value.items() for leaf in (key, *leaves(member))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [str(value)]


def placed(text: str, dice: random.Random) -> Json:
    """Somewhere in a result: alone, in a text, as a key, deep, or split over neighbours."""
    where = dice.randrange(6)
    cut = dice.randrange(1, len(text))
    if where == 0:
        return {"content": [{"type": "text", "text": f"It is {text}, it is."}]}
    if where == 1:
        return {"structuredContent": {"a": {text: 1}}}
    if where == 2:
        value: Json = f"<{text}>"
        for _ in range(100):
            value = [value] if dice.random() < 0.5 else {"in": value}
        return {"_meta": value}
    if where == 3:
        return {"content": [{"type": "text", "text": half} for half in (text[:cut], text[cut:])]}
    if where == 4:
        return {"structuredContent": {"list": [*text]}}
    return {"structuredContent": {"list": ["before ", text[:cut], text[cut:], " after"]}}


def decoded(text: str) -> str:
    """What base64 in it may mean, lines joined, at any alignment."""
    joined = re.sub(r"\\+[rn]|[^A-Za-z0-9+/_-]", "", text).replace("-", "+").replace("_", "/")
    shifted = (joined[start : len(joined) - (len(joined) - start) % 4] for start in range(4))
    return " ".join(base64.b64decode(one).decode("latin-1") for one in shifted)


def value(dice: random.Random) -> str:
    alphabet = dice.choice((LETTERS, LETTERS + string.punctuation, LETTERS + "+/=-_", LETTERS + ' "\\%&<>'))
    # No repeats at its ends: a piece of it would be a piece of the text around.
    return "Q" + "".join(dice.choices(alphabet, k=dice.randrange(10, 40))) + "Z"


def echo(dice: random.Random, writing: str) -> None:
    secret = value(dice)
    said = placed(WRITINGS[writing](secret, dice), dice)
    before = json.dumps(said)
    scrubbing = scrubber(secret)
    left = scrubbing.result(said)
    assert json.dumps(said) == before
    assert scrubbing.redactions >= 1, (writing, secret, before)
    assert MARK in "".join(leaves(left)), (writing, secret, before)
    # What is left is short: marks, the words around, and what stood beside the value in its base64.
    rest = "".join(leaves(left)).replace(MARK, "")
    assert secret not in decoded(rest), (writing, secret, left)
    for piece in (secret, secret[:8], secret[-8:]):
        assert WRITINGS[writing](piece, random.Random(0)) not in rest, (writing, secret, left)


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_writing_in_every_place_is_taken_out(writing: str) -> None:
    dice = random.Random(writing)
    for _ in range(280):
        echo(dice, writing)


def test_what_is_not_a_value_stays_and_is_the_same_object() -> None:
    dice = random.Random(7)
    said = {
        "content": [{"type": "text", "text": "".join(dice.choices(string.printable, k=200_000))}],
        "n": [1, 2.5, None, True],
    }
    scrubbing = scrubber("hunter2-hunter2", "another/secret+of=mine")
    assert scrubbing.result(said) is said
    assert scrubbing.redactions == 0


def test_finds_that_overlap_are_one() -> None:
    scrubbing = scrubber("abcdefghij", "ghijklmnop")
    assert scrubbing.text("<abcdefghijklmnop>") == f"<{MARK}>"
    assert scrubbing.redactions == 1


def test_binary_data_that_holds_a_value_is_replaced_whole() -> None:
    data = base64.b64encode(b"\x89PNG" + b"hunter2%2Dhunter2" + bytes(9)).decode()
    left = scrubber("hunter2-hunter2").result({"content": [{"type": "image", "mimeType": "image/png", "data": data}]})
    assert base64.b64decode(left["content"][0]["data"]) == MARK.encode()


def test_a_long_text_is_searched_however_its_block_is_wrapped() -> None:
    said = {"type": "resource", "resource": {"uri": "a:b", "text": "x" * 300 + "hunter2-hunter2"}}
    for block in (said, {"role": "user", "content": said}):
        for name in ("content", "contents", "messages"):
            left = scrubber("hunter2-hunter2").result({name: [{"type": "text", "text": "It is here"}, block]})
            assert "hunter2" not in json.dumps(left)


def test_data_with_line_breaks_is_decoded_too() -> None:
    data = base64.encodebytes(bytes(100) + b"hunter2%2Dhunter2" + bytes(9)).decode()
    left = scrubber("hunter2-hunter2").result({"contents": [{"uri": "a:b", "blob": data}]})
    assert base64.b64decode(left["contents"][0]["blob"]) == MARK.encode()


def test_keys_stay_apart_and_a_number_is_found() -> None:
    left = scrubber("1234567890").json({"1234567890": 1, "MTIzNDU2Nzg5MA==": 1234567890})
    assert left == {MARK: 1, f"{MARK} 2": MARK}


def test_no_value_is_shown_by_repr() -> None:
    patterns = Patterns({"db": "hunter2-hunter2"})
    assert "hunter2" not in repr(patterns) + repr(Scrubber(lambda: [Group([patterns])]))
