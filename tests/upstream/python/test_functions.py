"""What is said of functions, which arguments they take, and what their results become. In this process: no child."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shim.model import Json, JsonObject, Tool
from shim.upstream.arguments import Judge
from shim.upstream.python.worker.finding import Unusable
from shim.upstream.python.worker.functions import Function, load
from shim.upstream.python.worker.giving import Unsayable
from shim.upstream.python.worker.taking import Unfit

TOOLS = Path(__file__).parent / "tools"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(TOOLS))
    yield
    sys.modules.pop("sums", None)


def function(name: str, *injected: str) -> Function:
    return load([f"sums:{name}"], frozenset(injected))[0][name]


def schema(name: str) -> JsonObject:
    found: JsonObject = function(name).definition["inputSchema"]
    return found


def result(name: str, arguments: JsonObject | None = None, injected: dict[str, str] | None = None) -> JsonObject:
    one = function(name, *(injected or {}))
    values, named = one.taking.taken(arguments or {}, injected or {}, None)
    return one.giving.given(one.call(*values, **named))


def test_a_model_is_told_what_annotations_and_docstring_say() -> None:
    assert {key: value for key, value in function("add").definition.items() if key != "_meta"} == {
        "name": "add",
        "description": "Add two numbers.\n\nThe sum is exact.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "The first number."},
                "b": {"type": "integer", "description": "The second one.", "default": 2},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
        "outputSchema": {
            "type": "object",
            "properties": {"result": {"type": "integer", "description": "Their sum."}},
            "required": ["result"],
        },
    }
    assert schema("echo")["properties"]["note"]["description"] == "A short one."
    assert schema("echo")["properties"]["mode"]["enum"] == ["fast", "slow"]
    assert schema("first")["properties"]["c"] == {
        "type": "integer",
        "minimum": 1,
        "default": 3,
        "description": "At least one.",
    }


def test_a_default_that_json_cannot_say_is_not_said() -> None:
    # Said all the same, it would be no JSON, and no function of the upstream could be served.
    assert schema("capped")["properties"]["most"] == {"type": "number"}
    assert result("capped", {"value": 3})["structuredContent"] == {"result": 3.0}


def test_neither_the_context_nor_what_is_filled_in_is_seen() -> None:
    assert schema("whoami")["properties"].keys() == {"db"}
    assert function("whoami", "db").definition["inputSchema"]["properties"] == {}
    with pytest.raises(Unfit, match="`db`"):
        function("whoami", "db").taking.taken({"db": "mine"}, {"db": "x"}, None)


def test_names_that_are_there_for_type_checkers_alone_are_understood() -> None:
    assert schema("later")["properties"]["rows"]["type"] == "array"
    assert result("later", {"amount": "1.50", "rows": [{"a": 1}, {}]})["structuredContent"] == {"result": "3.00"}


POINT = {"x": 1}
ECHO = {"point": POINT, "colour": "red"}
FITS: list[tuple[str, JsonObject, Json]] = [
    ("add", {"a": 1}, {"result": 3}),
    ("add", {"a": 10**40, "b": -1}, {"result": 10**40 - 1}),
    ("first", {"a": 1}, {"result": [1, 2, 3]}),
    ("first", {"a": 1, "b": 5, "c": 1}, {"result": [1, 5, 1]}),
    # Who takes `float | str` gets a number as it was sent; `float` alone is what it says.
    ("grouped", {"value": 2**53 + 1}, {"result": f"{2**53 + 1} 1 None"}),
    ("grouped", {"value": 1.0, "ratio": 2, "least": 3}, {"result": "1.0 2.0 3.0"}),
    ("grouped", {"value": "5"}, {"result": "5 1 None"}),
    ("nothing", {}, {"result": None}),
    ("anything", {"value": {"b": [1, None]}}, {"b": [1, None]}),
    ("anything", {"value": "x"}, {"result": "x"}),
    (
        "order",
        {"order": {"lines": [{"name": "a"}], "due": "2026-03-01", "parts": [{"lines": [], "due": "2026-03-02"}]}},
        {
            "lines": [{"name": "a"}],
            "due": "2026-03-01",
            "parts": [{"lines": [], "due": "2026-03-02", "parts": []}],
        },
    ),
    (
        "echo",
        {**ECHO, "when": "2026-03-01", "pair": [2, "two"], "note": "short"},
        {
            "point": {"x": 1, "y": 0.5},
            "colour": "red",
            "mode": "fast",
            "when": "2026-03-01",
            "pair": [2, "two"],
            "note": "short",
        },
    ),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), FITS)
def test_what_fits_arrives_as_its_type_and_comes_back_as_json(
    name: str, arguments: JsonObject, expected: Json, capfd: pytest.CaptureFixture[str]
) -> None:
    assert result(name, arguments)["structuredContent"] == expected
    assert judged(name, arguments) is None


MISFITS: list[tuple[str, JsonObject, str]] = [
    ("add", {}, "a"),
    ("add", {"a": "5"}, "a"),
    ("add", {"a": True}, "a"),
    ("add", {"a": 1.5}, "a"),
    ("add", {"a": None}, "a"),
    ("add", {"a": 1, "c": 2}, "c"),
    ("first", {"a": 1, "c": 0}, "c"),
    ("echo", {**ECHO, "colour": "green"}, "colour"),
    ("echo", {**ECHO, "mode": "other"}, "mode"),
    ("echo", {**ECHO, "note": "too long"}, "note"),
    ("echo", {**ECHO, "point": {"x": "1"}}, "point.x"),
    ("echo", {**ECHO, "point": {"x": 1, "z": 1}}, "point"),
    ("echo", {**ECHO, "pair": [1]}, "pair"),
    ("order", {"order": {"lines": [{"size": "1"}], "due": "2026-03-01"}}, "order.lines.0.size"),
]


@pytest.mark.parametrize(("name", "arguments", "where"), MISFITS)
def test_what_does_not_fit_is_refused_by_schema_and_by_annotation_and_both_say_which(
    name: str, arguments: JsonObject, where: str
) -> None:
    with pytest.raises(Unfit, match=f"`{where}") as refused:
        function(name).taking.taken(arguments, {}, None)
    assert "too long" not in str(refused.value)
    assert where.rpartition(".")[2] in (judged(name, arguments) or "")


def judged(name: str, arguments: JsonObject) -> str | None:
    definition = function(name).definition
    return Judge().misfit(Tool("up", name, name, definition, "digest"), arguments)


def test_what_only_an_annotation_knows_is_refused_as_well() -> None:
    with pytest.raises(Unfit, match=r"`order\.due`"):
        function("order").taking.taken({"order": {"lines": [], "due": "tomorrow"}}, {}, None)


def test_bytes_are_what_the_annotation_says() -> None:
    assert result("picture") == {"content": [{"type": "image", "data": "iVBORw==", "mimeType": "image/png"}]}
    assert result("archive")["content"][0]["resource"] == {
        "uri": "result:archive",
        "mimeType": "application/zip",
        "blob": "UEs=",
    }
    assert "outputSchema" not in function("picture").definition


@pytest.mark.parametrize(("name", "why"), [("lies", "return annotation"), ("infinite", "NaN or an infinity")])
def test_a_result_that_is_not_what_was_promised_is_not_passed_on(name: str, why: str) -> None:
    with pytest.raises(Unsayable, match=why):
        result(name)


REFUSED: list[tuple[str, str]] = [
    ("nowhere.at:all", "there is no module nowhere: it is looked for by "),
    ("sums.deeper:add", "there is no module sums.deeper|'sums' is not a package"),
    ("sums:ad", "there is no ad in sums; is it add?"),
    ("sums:LIMIT", "is no function: it is int"),
    ("sums:Colour", "is a class"),
    ("sums:untyped", "parameter a has no annotation"),
    ("sums:many", r"takes \*values"),
    ("sums:options", r"takes \*\*values"),
    ("sums:opaque", "parameter lock has no schema"),
    ("sums:codes", "parameter code has no schema"),
    ("sums:broken", "parameter value cannot be read: NoSuchType"),
    ("sums:returns_opaque", "return annotation has no schema"),
    ("sums:raw", "returns bytes; say which"),
    ("json:JSONDecoder", "is a class"),
    ("this_folder_has_none:*", "there is no module"),
    ("colorsys:f", "there is no f in colorsys"),
    ("antigravity_of_no_all:*", "there is no module"),
    ("sys:*", "has no __all__; name its functions one by one"),
]


@pytest.mark.parametrize(("entry", "why"), REFUSED)
def test_what_cannot_be_served_is_refused_by_name(entry: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        load([entry], frozenset())


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Unusable, match=r"untyped.*many"):
        load(["sums:untyped", "sums:many", "sums:add"], frozenset())
    with pytest.raises(Unusable, match="no function has a parameter nobody"):
        load(["sums:add"], frozenset({"nobody"}))


def test_a_star_is_what_all_names_without_what_is_no_function_and_what_is_broken_is_left_out() -> None:
    functions, left = load(["sums:*", "sums:add", "sums:first"], frozenset())
    assert [*functions] == ["add", "echo", "first"]
    assert [one.partition(":")[2].partition(":")[0] for one in left] == ["untyped"]


def test_two_functions_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "others.py").write_text("__all__ = ['add']\ndef add(a: int) -> int:\n    return a\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Unusable, match="two functions are named add: sums:add and others:add"):
        load(["sums:add", "others:*"], frozenset())


def test_the_source_stands_for_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changing.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    sources: list[Any] = []
    for body in ("1", "2", "1"):
        file.write_text(f"def f() -> int:\n    return {body}\n")
        sys.modules.pop("changing", None)
        importlib.invalidate_caches()
        sources.append(load(["changing:f"], frozenset())[0]["f"].source)
    assert sources[0] != sources[1]
    assert sources[0] == sources[2]
