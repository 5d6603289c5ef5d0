"""Names, arguments and results from hostile sources never act on the terminal of whoever looks at them."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.cli.odd import EVIL
from tests.promises.running import run, write_config

UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A shim in front of the odd server; `me` may call whatever it has."""
    command = json.dumps([sys.executable, str(Path(__file__).with_name("odd.py"))])
    return write_config(
        tmp_path,
        f"""version: 1
store: sqlite:var/shim.db
record: {{arguments: full, results: full}}
upstreams:
  odd: {{command: {command}}}
identities:
  me: {{local: true}}
grants:
  - {{name: all, to: [me], allow: ["odd/*"]}}
""",
    )


def acting(text: str) -> set[str]:
    """What in a text could act on a terminal, line ends apart."""
    return {character for character in text if unicodedata.category(character) in UNSAFE} - {"\n"}


async def test_results_names_and_arguments_are_escaped_for_people(odd: Path) -> None:
    # given a call whose name, arguments and result are all hostile
    _, said, _ = await run(odd, "call", "--identity", "me", "odd/greet", json.dumps({"who": EVIL}))
    _, _, refused = await run(odd, "call", "--identity", "me", f"odd/{EVIL}".replace("\x00", ""))
    assert "\\x1b]0;pwned\\x07 \\u202egnirts" in said
    assert said.splitlines()[1] == "second line"

    # when a person looks at the record in every way there is
    code, listed, _ = await run(odd, "log", "list")
    assert code == 0
    _, rows, _ = await run(odd, "log", "list", "--json")
    first = json.loads(rows)[0]
    _, shown, _ = await run(odd, "log", "show", first["id"])
    _, counted, _ = await run(odd, "log", "stats")
    _, seen, _ = await run(odd, "tools")
    _, explained, _ = await run(odd, "explain", "--identity", "me", "--tool", f"odd/{EVIL}")
    _, checked, problems = await run(odd, "check")

    # then nothing of it acts, and to a machine the values are as they were
    for text in (said, refused, listed, rows, shown, counted, seen, explained, checked, problems):
        assert acting(text) == set()
    assert first["arguments"] == {"who": EVIL}
    assert first["result"]["content"][1] == {"type": "odd", "what": EVIL}


async def test_a_definition_that_is_left_out_is_reported(odd: Path) -> None:
    code, out, _ = await run(odd, "check", "--json")
    assert code == 0
    [problem] = json.loads(out)["problems"]
    assert (problem["file"], problem["line"], problem["level"]) == (str(odd), 5, "warning")
    assert "left out" in problem["message"]
    assert acting(problem["message"]) == set()
