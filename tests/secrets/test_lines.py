"""What is written line by line: values, and the pieces of them that a line ends or begins with."""

from __future__ import annotations

import base64
import io
import logging
import random
import string

import pytest

from shim.secrets.alive import Alive
from shim.secrets.lines import LineScrubber
from shim.secrets.logs import hidden_in_logs
from shim.secrets.patterns import Patterns

VALUE = "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=40))
MARK = "[secret:key]"


def lines(*values: str) -> LineScrubber:
    alive = Alive()
    for value in values:
        alive.add(value, Patterns({"other": value}))
    return LineScrubber({"key": VALUE, "user": "short"}, lambda: alive.since(None))


def cut(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


@pytest.mark.parametrize("length", [1, 7, 12, 20, 39, 64])
@pytest.mark.parametrize(
    "said",
    [VALUE, VALUE.encode().hex(), VALUE.encode().hex().upper(), base64.b64encode(b"me:" + VALUE.encode()).decode()],
    ids=["as is", "hex", "upper hex", "basic"],
)
def test_a_value_over_several_lines_leaves_less_than_twelve_characters(said: str, length: int) -> None:
    hide = lines()
    shown = [hide(f"  {line}") for line in cut(said, length)]
    assert "".join(shown).count(MARK) >= 1
    left = "".join(line.strip() for line in shown).replace(MARK, "\n").split("\n")
    # Four more are the user's name.
    assert max(map(len, left)) <= 15, shown
    assert hide("an ordinary line of a process") == "an ordinary line of a process"


def test_the_ends_of_a_line_lose_only_what_is_of_a_value() -> None:
    hide = lines()
    assert hide(f"Error: the key is {VALUE[:25]}") == f"Error: the key is {MARK}"
    assert hide(f"{VALUE[25:]} and it was refused") == f"{MARK} and it was refused"
    assert hide(f"short: {VALUE}!") == f"short: {MARK}!"


def test_what_is_alive_elsewhere_is_taken_out_too_in_any_writing() -> None:
    hide = lines("another/value+of=mine")
    assert hide("?k=another%2fvalue%2Bof%3Dmine&x=1") == "?k=[secret:other]&x=1"


def test_the_log_of_the_process_holds_no_value() -> None:
    written, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    root.addHandler(handler)
    try:
        with hidden_in_logs(lines("hunter2-hunter2")):
            logging.getLogger("shim.upstream.odd").warning("%s: it said %s", "odd", "hunter2%2dhunter2")
            try:
                int("hunter2-hunter2")
            except ValueError:
                logging.getLogger("shim").exception("a defect")
            logging.getLogger("shim").warning("100%% as it %s", "is")
    finally:
        root.removeHandler(handler)
    said = written.getvalue()
    assert "hunter2" not in said
    assert said.startswith("odd: it said [secret:other]\na defect\nTraceback")
    assert said.endswith("literal for int() with base 10: '[secret:other]'\n100% as it is\n")
    assert not handler.filters
