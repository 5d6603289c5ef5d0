"""What is not looked at more closely holds no value; and to find that out costs no more than the text is long."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from html.entities import html5

import pytest

from shim.secrets.hints import OFTEN, SELDOM, hints
from shim.secrets.patterns import Group, Patterns
from shim.secrets.search import Search
from tests.secrets.writings import LETTERS, any_case

NAMES: dict[str, list[str]] = {}
for name, meant in html5.items():
    if name.endswith(";"):
        NAMES.setdefault(meant, []).append(name)
ALPHABETS = (
    LETTERS,
    LETTERS + string.punctuation,
    "0123456789abcdef",
    LETTERS + "%\\&;#u",
    "u041xA%\\&\"',",
    string.punctuation + "ab",
    LETTERS + " äß\n",
)
BESIDE = ("", "%", "\\", '"', '\\"', "&", "&#", "%u", "\\u00", "&amp", "%2", "%25", "&#x", "&#x,", '\\\\"', "\n")


def once(character: str, dice: random.Random) -> str:
    """One character in one of its writings."""
    code, zeros = ord(character), "0" * dice.choice((0, 0, 1, 2, 40))
    ways = [
        any_case("".join(f"%{octet:02x}" for octet in character.encode()), dice),
        "\\u" + any_case(f"{code:04x}", dice),
        "%u" + any_case(f"{code:04x}", dice),
        f"&#{zeros}{code}" + dice.choice((";", "")),
        f"&#{dice.choice('xX')}{zeros}{any_case(f'{code:x}', dice)}" + dice.choice((";", "")),
        f"\\x{code:02x}" if code < 256 else character,
        *("&" + name for name in NAMES.get(character, ())),
    ]
    return dice.choice(ways)


def written(value: str, dice: random.Random) -> str:
    """In up to four layers, each of some characters or of all that have to be."""
    text = dice.choice((value, value, base64.b64encode(value.encode()).decode(), value.encode().hex()))
    for _ in range(dice.randrange(1, 5)):
        share = dice.random() ** 2
        cut = dice.randrange(len(text))
        text = dice.choice(
            (
                "".join(once(one, dice) if dice.random() < share else one for one in text),
                "".join(once(one, dice) if one in "%\\&;#" else one for one in text),
                text[:cut] + once(text[cut], dice) + text[cut + 1 :],
                json.dumps(text)[1:-1],
                html.escape(text),
            )
        )
        if len(text) > 2000:
            break
    return text


def searched(value: str) -> Search:
    return Search([Group([Patterns({"key": value})])])


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_what_is_found_by_looking_at_everything_is_found_at_a_glance(alphabet: str) -> None:
    dice = random.Random(alphabet)
    found = 0
    for _ in range(60):
        value = "".join(dice.choices(alphabet, k=dice.choice((8, 9, 12, 16, 24, 40))))
        search = searched(value)
        for _ in range(6):
            said, beside = written(value, dice), dice.choice(BESIDE)
            cut = dice.randrange(len(said))
            texts = [part.encode() for part in (beside, said[:cut], said[cut:], dice.choice(BESIDE))]
            whole = b"".join(texts)
            if not search.surely(whole):
                continue
            found += 1
            assert search.any(whole), (value, said, beside)
            assert search.any_over(texts), (value, said, beside)
            for array in ([part.decode() for part in texts], [whole.decode(), "x"]):
                document = json.dumps({"a": array}, ensure_ascii=False, separators=(",", ":")).encode()
                assert search.glance.document(document), (value, said, beside)
    assert found > 200


@pytest.mark.parametrize("characters", [SELDOM, OFTEN])
def test_there_is_no_hint_where_ordinary_escapes_are_and_there_is_around_others(characters: str) -> None:
    said = 'a%20b &lt;p&gt; "it&#39;s&#8217;&nbsp;" C:\\new\\users \\u00e9\\u003c %D0%B0 &amp;c=1 %22 &#x27; \\n 5%'
    found = hints(characters)
    assert found.places(said.lower().encode(), 1000) == []
    text = f"{said * 20}%41{said * 20}".lower().encode()
    [(start, end)] = found.places(text, len(text)) or []
    assert start < text.index(b"%41") < end
    assert end - start < 300


@pytest.mark.parametrize("unit", ["%41", "%41" + "0" * 3000, "\\u0041" + " " * 3000, "&#65;" + "\\" * 3000])
def test_what_would_take_longer_than_to_look_everywhere_is_given_up(unit: str) -> None:
    text = (unit * (2_000_000 // len(unit))).lower().encode()
    assert hints(SELDOM).places(text, len(text)) is None
