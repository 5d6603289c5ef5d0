"""Conditions: what they see, what holds, and that everything else is an error and never a yes."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

import pytest

from shim.model import Client, Identity, Json
from shim.policy.conditions import Condition, ConditionError, Scope, Verdict
from tests.policy.writing import facts


def _test(text: str, args: dict[str, Json] | None = None, client: Client | None = None) -> Verdict:
    identity = Identity("ann", ("developers",), {"email": "ann@example.com", "level": 3})
    return Condition.of(text).test(Scope(identity, "git/git_commit", facts(args, run="session:7", client=client)))


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("size(args.message) < 5", {"message": "four"}, True),
        ("size(args.message) < 5", {"message": "five!"}, False),
        ("size(args.message) == 2", {"message": "éé"}, True),
        ("args.n < 100", {"n": 99}, True),
        ("args.n < 100", {"n": 2**63 - 1}, False),
        ("args.n < 100", {"n": 2**64 - 1}, False),
        ("args.n < 100", {"n": -(2**63)}, True),
        ("args.n == 1", {"n": 1.0}, True),
        ("args.n > 1.5", {"n": 2}, True),
        ("args.flag == true", {"flag": True}, True),
        ("args.flag == true", {"flag": 1}, False),
        ("args.x == null", {"x": None}, True),
        ("has(args.x)", {}, False),
        ("has(args.x)", {"x": None}, True),
        ("!has(args.x) || args.x == 'a'", {}, True),
        ("'x' in args", {"x": 1}, True),
        ("args['odd name'] == 1", {"odd name": 1}, True),
        ("args.a.b.c == 'deep'", {"a": {"b": {"c": "deep"}}}, True),
        ("args.paths.all(p, p.startsWith('/srv/'))", {"paths": ["/srv/a", "/srv/b"]}, True),
        ("args.paths.all(p, p.startsWith('/srv/'))", {"paths": ["/srv/a", "/etc/b"]}, False),
        ("args.files.all(f, f.startsWith('a'))", {"files": ["a" * 100_000] * 10}, True),
        ("args.words.exists(w, args.text.contains(w))", {"text": "a" * 5000 + "b", "words": ["c"] * 99 + ["b"]}, True),
        ("['.git/', '.ssh/'].exists(d, args.path.contains(d))", {"path": "/home/ann/.ssh/id"}, True),
        ("args.name in ['a', 'b']", {"name": "b"}, True),
        ("args.ref.matches('^v[0-9]+$')", {"ref": "v12"}, True),
        ("size(args) == 2", {"a": 1, "b": 2}, True),
        ("tool.name == 'git/git_commit' && tool.upstream == 'git'", {}, True),
        ("identity.name == 'ann' && 'developers' in identity.groups", {}, True),
        ("identity.claims.email.endsWith('@example.com')", {}, True),
        ("run.name == 'session:7'", {}, True),
        ("client.name == '' && client.version == ''", {}, True),
        ("now >= timestamp('2027-03-01T12:30:00Z') && now.getHours() == 12", {}, True),
        ("true", {}, True),
    ],
)
def test_a_condition_says_what_cel_says(text: str, args: dict[str, Json], expected: bool) -> None:
    assert _test(text, args) is expected


def test_a_condition_sees_the_client() -> None:
    assert _test("client.name == 'ide' && client.version == '2'", client=Client("ide", "2")) is True


@pytest.mark.parametrize(
    ("text", "args", "why"),
    [
        ("size(args.message) < 200", {}, "Key not found"),
        ("size(args.message) < 200", {"message": 5}, "overload"),
        ("args.flag || false", {"flag": 1}, "overload"),
        ("args.a + args.b > 0", {"a": 2**63 - 1, "b": 1}, "overflow"),
        ("args.n / 0 == 1", {"n": 1}, "zero"),
        ("args.n < 100", {"n": 2**64}, "64 bits"),
        ("args.n < 100", {"n": -(2**63) - 1}, "64 bits"),
        ("args.n < 100", {"n": 10**4299}, "64 bits"),
        ("args.n < 100.0", {"n": float("nan")}, "finite"),
        ("args.n < 100.0", {"n": float("-inf")}, "finite"),
        ("args.s == 'ok'", {"s": "ok\0evil"}, "NUL"),
        ("args.s != 'ok'", {"s": "\ud800"}, "surrogate"),
        ("has(args.o.ok)", {"o": {"ok\0evil": 1}}, "NUL"),
        ("size(args) == 1", {"\udfff": 1}, "surrogate"),
        ("9000 in args.l", {"l": list(range(9000))}, "1,000 elements"),
        ("size(args.o) > 1", {"o": {str(n): n for n in range(1001)}}, "1,000 elements"),
        ("args.l.all(x, size(x) == 500)", {"l": [list(range(500))] * 100}, "10,000 values"),
        ("args.l.all(x, args.s.startsWith(x))", {"l": ["a"] * 100, "s": "a" * 2**18}, "too much"),
        ("args.l.all(x, args.l.all(y, args.s != x))", {"l": ["a"] * 100, "s": "a" * 2**12}, "too much"),
        ("args.s.contains(args.t)", {"s": "a" * 2**17, "t": "a"}, "too much"),
        ("args.l.all(x, args.s.contains(x))", {"l": ["a"] * 1000, "s": "a" * 2**12}, "too much"),
    ],
)
def test_what_cannot_be_told_is_an_error(text: str, args: dict[str, Json], why: str) -> None:
    verdict = _test(text, args)

    assert isinstance(verdict, str)
    assert verdict.startswith("error: ")
    assert why in verdict


def _nested(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_before_the_evaluator_sees_it() -> None:
    assert _test("args.x == args.y", {"x": _nested(125), "y": _nested(125)}) is True
    assert "deeper" in str(_test("args.x == args.y", {"x": _nested(50_000), "y": 1}))


def test_arguments_that_are_not_named_are_not_looked_at() -> None:
    hostile = {"n": 2**200, "s": "\0\ud800", "l": list(range(9000)), "d": _nested(120)}

    assert _test("args.kind == 'a'", {"kind": "a", **hostile}) is True


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("args.a.all(x, x in args.b)", {"a": list(range(1000)), "b": list(range(1000, 0, -1))}),
        ("args.a.all(x, args.b.all(y, x == y || true))", {"a": list(range(1000)), "b": list(range(1000))}),
        ("args.s.matches('^(a+)+$')", {"s": "a" * 100_000 + "b"}),
        ("args.s.contains(args.t)", {"s": "a" * 60_000, "t": "a" * 30_000 + "b"}),
        ("args.l.all(x, !args.s.contains(args.t))", {"l": [1] * 1000, "s": "a" * 1900, "t": "a" * 900 + "b"}),
        ("size(args.s + args.s) > 5", {"s": "a" * 4_000_000}),
        ("args.l.all(x, size(args.s) > 0)", {"l": list(range(1000)), "s": "é" * 16_000}),
    ],
)
def test_no_arguments_make_a_condition_slow(text: str, args: dict[str, Json]) -> None:
    began = perf_counter()
    _test(text, args)

    assert perf_counter() - began < 2, "milliseconds here; unbounded, these take from seconds to minutes"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("size(args.message) <", 20, "the condition is not CEL (Syntax error"),
        ("", 0, "Syntax error"),
        ("argz.x == 1", 0, "there is no variable or function argz.x"),
        ("args.x == 1 &&\n  foo(args.x)", 17, "there is no variable or function foo"),
        ("'é' == 'é' && bar", 14, "there is no variable or function bar"),
        ("!('untrusted' in run.labels)", 17, "not supported by this version: run.labels"),
        ("identity.role == 'x'", 0, "of identity there is identity.name, identity.groups"),
        ("'a' + 1 == 'b'", 4, "no matching overload"),
        ("identity.name > 5", 14, "no matching overload"),
        ("args.x", 0, "boolean by type"),
        ("1 + 1", 0, "boolean by type"),
        ("args.s.matches(args.p)", 14, "must be a literal"),
        ("args.s.matches('(a')", 14, "invalid regular expression"),
        ("[1].exists(args, args == 1)", 10, "hides the variable"),
        ("(" * 60 + "true" + ")" * 60, 0, "nested deeper"),
        ("args.x == " + "+".join("1" * 60), 0, "nested deeper"),
        ("args.x == '" + "a" * 10_000 + "'", 0, "at most 10,000 characters"),
        ("args.x == '\0'", 0, "NUL"),
    ],
)
def test_an_expression_that_cannot_be_a_condition_says_where_and_why(text: str, offset: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Condition.of(text)

    assert [(fault.offset, message in fault.message) for fault in caught.value.faults][:1] == [(offset, True)]


def test_all_faults_of_an_expression_are_told_at_once() -> None:
    with pytest.raises(ConditionError) as caught:
        Condition.of("foo == 1 && bar == 2")

    assert [fault.offset for fault in caught.value.faults] == [0, 12]


_DEEP = """
from shim.policy.conditions import Condition, ConditionError, MAX_CHARACTERS
half = MAX_CHARACTERS // 2 - 10
for text in ("(" * half + "1" + ")" * half, "[" * half + "]" * half + " == []", "!" * 2 * half + "true",
             "args" + ".a" * half + " == 1", "-" * half + "1 == 1", "{1:" * (half // 2) + "1" + "}" * (half // 2),
             "args" + "[0]" * (half // 2) + " == 1", "1+" * half + "1 == 1", "true?true:" * (half // 5) + "true"):
    try:
        Condition.of(text)
    except ConditionError:
        pass
print("alive")
"""


def test_no_expression_brings_the_process_down() -> None:
    done = subprocess.run([sys.executable, "-c", _DEEP], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "alive\n", done.stderr
