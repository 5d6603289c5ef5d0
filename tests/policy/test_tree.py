"""What is read from a compiled expression: which names it looks at, and where."""

from __future__ import annotations

import pytest
from cel_expr_python import cel

from shim.policy import tree
from shim.policy.conditions import Condition


def _uses(text: str) -> tree.Uses:
    return Condition.of(text).uses


@pytest.mark.parametrize(
    ("text", "names", "whole"),
    [
        ("args.a == args['b'] && has(args.c) && 'd' in args", ["a", "b", "c", "d"], False),
        ("args.a.b.c[0].d == 1", ["a"], False),
        ("has(args.a.b)", ["a"], False),
        ("args[args.a] == 1", ["a"], True),
        ("args.all(k, k != '')", [], True),
        ("[args.a].exists(x, {'k': args.b}[x] == args.c)", ["a", "b", "c"], False),
        ("(args.a == 1 ? args.b : args.c) == -args.d", ["a", "b", "c", "d"], False),
        (".args.a == 1", ["a"], False),
        ("'args.a' == identity.name", [], False),
        ("identity.claims.args == 1", [], False),
    ],
)
def test_the_arguments_that_an_expression_names_are_found(text: str, names: list[str], whole: bool) -> None:
    uses = _uses(text)

    assert [use.name for use in uses.args] == names
    assert uses.whole_args is whole


def test_places_count_characters() -> None:
    uses = _uses("'é𝄞' == '' ||\n  args . name == 'x'")

    assert [(use.offset, use.dot) for use in uses.args] == [(16, 21)]


@pytest.mark.parametrize(
    ("text", "loops", "searches"),
    [
        ("args.a == 'x' && args.a.contains('literal')", 0, False),
        ("args.a.contains(args.b)", 0, True),
        ("args.l.exists(x, x.contains('literal'))", 1, False),
        ("args.l.exists(x, x.contains(args.b)) && args.m.all(x, x > 1)", 1, True),
        ("args.l.filter(x, x > 1).all(x, x > 2)", 1, False),
        ("args.l.all(x, args.m.exists(y, x == y))", 2, False),
    ],
)
def test_what_can_be_costly_is_found(text: str, loops: int, searches: bool) -> None:
    uses = _uses(text)

    assert (uses.loops, uses.open_contains) == (loops, searches)


def test_a_cut_expression_is_not_misread() -> None:
    whole = _program("args.a == 'x' && args.b.exists(y, y == args.c)")

    for length in range(len(whole)):
        with pytest.raises(tree.TreeError):
            tree.read(whole[:length])


def _program(text: str) -> bytes:
    env = cel.NewEnv(variables={"args": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
    serialised: bytes = env.compile(text).serialize()
    return serialised
