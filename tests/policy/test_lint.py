"""Grants beside the tools that are known: undeclared arguments, types, patterns that match nothing."""

from __future__ import annotations

import pytest

from shim.model import Json, Tool
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import tool

COMMIT = tool(
    "git/git_commit",
    {
        "message": {"type": "string"},
        "amend": {"type": "boolean"},
        "count": {"type": "integer"},
        "paths": {"type": "array", "items": {"type": "string"}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
)
LOG = tool("git/git_log", {"count": {"type": "integer"}}, additionalProperties=False)


def _lint(when: str, *tools: Tool, allow: str = "git/*") -> list[tuple[str, int | None, str]]:
    policy = Policy([GrantBlock(name="g", to=("*",), allow=(allow,), when=when)])
    found = policy.lint(tools)
    assert all(name == "g" and fault.path == ("when",) for name, fault in found)
    return [(fault.level, fault.offset, fault.message) for _, fault in found]


def test_declared_arguments_of_the_right_types_are_fine() -> None:
    when = "size(args.message) < 200 && args.amend == false && args.count > 1.5 && args.paths.all(p, p != '')"

    assert _lint(when, COMMIT) == []
    assert _lint("has(args.message) && args.maybe == null && args.message == null", COMMIT) == []


def test_an_argument_that_no_matching_tool_declares_is_an_error_with_its_place() -> None:
    ((level, offset, message),) = _lint("true && size(args.mesage) < 200", COMMIT, LOG)

    assert (level, offset) == ("error", 13)
    assert "`mesage`" in message
    assert "did you mean `message`" in message


@pytest.mark.parametrize("when", ["has(args.nix)", "args['nix'] == 1", "'nix' in args", "args.nix.more == 1"])
def test_every_way_to_name_an_argument_is_looked_at(when: str) -> None:
    assert [level for level, _, _ in _lint(when, COMMIT)] == ["error"]


def test_an_argument_that_only_some_declare_is_a_warning() -> None:
    ((level, offset, message),) = _lint("args.message == 'x'", COMMIT, LOG)

    assert (level, offset) == ("warning", 0)
    assert "git/git_log" in message


def test_only_tools_that_the_grant_matches_count() -> None:
    assert _lint("args.message == 'x'", COMMIT, LOG, allow="git/git_commit") == []
    assert _lint("args.anything == 'x'", tool("time/now", {"zone": {}})) == []


@pytest.mark.parametrize(
    "open_tool",
    [
        tool("git/x"),
        tool("git/x", {}),
        tool("git/x", {"a": {}}, additionalProperties=True),
        tool("git/x", {"a": {}}, additionalProperties={}),
        tool("git/x", {"a": {}}, patternProperties={"^b": {}}),
        tool("git/x", {"a": {}}, allOf=[{"properties": {"b": {}}}]),
        tool("git/x", {"a": {}}, **{"$ref": "#/$defs/all"}),
        tool("git/x", properties=["not", "an", "object"]),
    ],
)
def test_schemas_that_leave_arguments_open_are_exempt(open_tool: Tool) -> None:
    assert _lint("args.b == 1", open_tool) == []


def test_a_schema_nested_to_no_end_is_taken_as_open() -> None:
    schema: dict[str, Json] = {}
    for _ in range(5000):
        schema = {"allOf": [schema]}

    assert _lint("args.b == 1", tool("git/x", {"a": {}}, **schema)) == []


def test_a_schema_that_only_requires_in_branches_is_not_open() -> None:
    strict = tool("git/x", {"a": {}}, anyOf=[{"required": ["a"]}])

    assert [level for level, _, _ in _lint("args.b == 1", strict)] == ["error"]


@pytest.mark.parametrize(
    ("when", "offset"),
    [
        ("args.message > 5", 13),
        ("args.amend == 'yes'", 11),
        ("1 in args.paths", 2),
        ("has(args.message) && args.message.amend == 1", 33),
    ],
)
def test_a_type_that_no_matching_tool_has_is_an_error_with_its_place(when: str, offset: int) -> None:
    ((level, at, message),) = _lint(when, COMMIT)

    assert (level, at) == ("error", offset)
    assert "git/git_commit" in message


def test_a_type_that_only_some_have_is_a_warning() -> None:
    other = tool("git/other", {"message": {"type": "array"}})

    assert [level for level, _, _ in _lint("args.message.startsWith('x')", COMMIT, other)] == ["warning"]


def test_types_are_not_confused_by_loop_variables_and_text() -> None:
    assert _lint("args.paths.all(args_message, args_message != args.message) && 'args.message' != ''", COMMIT) == []


@pytest.mark.parametrize("schema", [None, 5, [], {"type": 7}, {"type": ["string", "null"]}, {"properties": {"a": 3}}])
def test_a_schema_of_any_shape_is_borne(schema: Json) -> None:
    strange = Tool("git", "x", "git__x", {"name": "x", "inputSchema": schema}, "0" * 64)

    assert all(level in ("error", "warning") for level, _, _ in _lint("args.a == 'b'", strange))


def test_patterns_and_grants_without_effect_are_warned_about() -> None:
    policy = Policy(
        [
            GrantBlock(name="typo", to=("*",), allow=("git/git_comit", "git/git_*", "down/tool"), deny=("git/x*",)),
            GrantBlock(name="nobody", allow=("git/git_log",)),
            GrantBlock(name="nothing", to=("*",)),
        ]
    )

    found = policy.lint([COMMIT, LOG])

    assert [(name, fault.path) for name, fault in found] == [
        ("typo", ("allow", 0)),
        ("typo", ("deny", 0)),
        ("nobody", ()),
        ("nothing", ()),
    ]
    assert {fault.level for _, fault in found} == {"warning"}
    assert all(fault.path[:1] not in (("allow",), ("deny",)) for _, fault in policy.lint([]))


def test_a_list_that_was_left_empty_on_purpose_is_no_slip() -> None:
    assert Policy([GrantBlock(name="g", to=("*",), allow=())]).lint([LOG]) == []
    assert [fault.message for _, fault in Policy([GrantBlock(name="g", to=("*",))]).lint([LOG])] == [
        "neither allows nor denies anything"
    ]
