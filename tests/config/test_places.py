"""What policy finds in a grant is told with the line on which it was written, whatever the style of the YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shim import yamltext
from shim.policy.check import Fault
from tests.config.given import GOOD, faults, loaded, write

STYLES = {
    "plain": ["when: size(args.message) <", "  3 && nonsense"],
    "plain, on a line of its own": ["when:", "  size(args.message) <", "", "  3 && nonsense"],
    "literal": ["when: |", "  size(args.message) <", "    3", "  && nonsense"],
    "literal, stripped, after an empty line": ["when: |-", "", "  size(args.message) <", "  3 && nonsense"],
    "literal, with an indent": ["when: |2", "    size(args.message) < 3", "  && nonsense"],
    "folded": ["when: >", "  size(args.message)", "  < 3", "", "  && nonsense"],
    "double quoted": ['when: "size(args.message) \\u003c \\', "  3", '  && \\x6eonsense"'],
    "single quoted": ["when: 'args.message != ''x''", "", "  && nonsense'"],
    "commented": ["when: | # a comment, nonsense", "  size(args.message) <", "  3 && nonsense"],
    "short": ["when: size(args.message) < 3 && nonsense"],
}


@pytest.mark.parametrize("lines", STYLES.values(), ids=STYLES.keys())
def test_a_fault_in_a_condition_is_told_at_its_line(tmp_path: Path, lines: list[str]) -> None:
    text = GOOD + "grants:\n  - name: g\n    to: [me]\n" + "".join(f"    {line}\n" for line in lines)
    (found,) = faults(tmp_path, text)
    assert "nonsense" in found
    assert int(found.split(":")[0]) == 8 + len(lines)


def test_a_condition_that_ends_too_early_is_told_at_its_last_line(tmp_path: Path) -> None:
    text = GOOD + "grants:\n  - name: g\n    to: [me]\n    when: |\n      size(args.message\n        <\n\n"
    assert [line.split(":")[0] for line in faults(tmp_path, text)] == ["11"]


def test_a_condition_from_the_environment_is_told_at_its_key(tmp_path: Path) -> None:
    text = GOOD + "grants:\n  - name: g\n    to: [me]\n    when: |\n      true ||\n      ${env:W}\n"
    assert [line.split(":")[0] for line in faults(tmp_path, text, {"W": "nonsense"})] == ["9"]


@pytest.mark.parametrize("level", ["error", "warning"])
def test_what_is_found_later_is_told_by_the_grants_name(tmp_path: Path, level: Literal["error", "warning"]) -> None:
    write(tmp_path, "grants:\n  - name: b\n    to: [me]\n    when: |\n      true ||\n      false\n", "policy/b.yaml")
    text = GOOD + "include: [policy/*]\ngrants:\n  - name: a\n    to: [me]\n    allow:\n      - git/x\n      - git/y\n"
    configuration = loaded(tmp_path, text)
    pattern, condition = Fault(("allow", 1), None, "no tool", level), Fault(("when",), 8, "no such", level)
    assert configuration.problems([("a", pattern), ("b", condition)]) == [
        configuration.problem("a", pattern),
        configuration.problem("b", condition),
    ]
    assert str(configuration.problem("a", pattern)) == f"{tmp_path}/shim.yaml:12: no tool"
    problem = configuration.problem("b", condition)
    assert (str(problem), problem.level) == (f"{tmp_path}/policy/b.yaml:6: no such", level)


def test_upstreams_have_a_place(tmp_path: Path) -> None:
    place = loaded(tmp_path, GOOD).upstream_places["git"]
    assert (place.file, place.line) == (f"{tmp_path}/shim.yaml", 3)


words = st.lists(st.text("ab'\"\\é:#", min_size=1, max_size=6), min_size=1, max_size=12)


@given(words, st.sampled_from(["'", '"', "|", ">"]), st.integers(8, 40))
def test_each_word_of_a_scalar_is_found_on_the_line_that_holds_it(parts: list[str], style: str, width: int) -> None:
    # Given a text that a writer of YAML has folded as it saw fit, with a mark before each word
    marked = " ".join(f"<{number}>{part}" for number, part in enumerate(parts))
    text = yaml.dump({"when": marked}, default_style=style, width=width, allow_unicode=True)
    root = yamltext.compose(text)
    _, node = yamltext.locate(root, ("when",))
    assert isinstance(node, yaml.ScalarNode)
    assert node.value == marked
    lines = text.splitlines()
    for number in range(len(parts)):
        offset = marked.index(f"<{number}>")
        assert f"<{number}>" in lines[yamltext.line_in(text, node, offset) - 1]
