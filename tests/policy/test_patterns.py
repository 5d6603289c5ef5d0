"""The three kinds of pattern, each on its own kind; templates; what check and lint say of them."""

from __future__ import annotations

import pytest

from shim.model import Identity, JsonObject, Prompt, Resource, Template
from shim.policy.check import faults
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import facts, tool

ANN = Identity("ann")
TOOL, PROMPT, URI, TEMPLATE = "up/a", "prompt:up/a", "resource:up/x:a", "template:up/x:{a}"


def sees(ref: str, *allow: str, deny: tuple[str, ...] = ()) -> bool:
    return Policy([GrantBlock(name="g", to=("*",), allow=allow, deny=deny)]).visible(ANN, ref)


@pytest.mark.parametrize(
    ("pattern", "seen"),
    [
        ("**", {TOOL}),
        ("up/*", {TOOL}),
        ("prompt:**", {PROMPT}),
        ("prompt:up/a", {PROMPT}),
        ("resource:**", {URI, TEMPLATE}),
        ("resource:up/x:*", {URI, TEMPLATE}),
        ("resource:up/x:ab*", {TEMPLATE}),
        ("resource:up/x:a", {URI, TEMPLATE}),
        ("resource:other/**", set()),
        ("resource:up/y*", set()),
    ],
)
def test_a_pattern_is_about_its_own_kind_alone(pattern: str, seen: set[str]) -> None:
    assert {ref for ref in (TOOL, PROMPT, URI, TEMPLATE) if sees(ref, pattern)} == seen
    # As a deny it takes away what it certainly matches: not a template of which some resource is left.
    denied = {ref for ref in (TOOL, PROMPT, URI) if not sees(ref, "**", "prompt:**", "resource:**", deny=(pattern,))}
    assert denied == seen - {TEMPLATE}


@pytest.mark.parametrize(
    ("allow", "deny", "template", "seen"),
    [
        ("resource:up/file:///srv/**", (), "file:///{+path}", True),
        ("resource:up/file:///srv/**", (), "file:///etc/{name}", False),
        ("resource:up/file:///srv/*", (), "file:///srv/a/{name}", False),
        ("resource:up/file:///srv/a/one", (), "file:///srv/a/{name}", True),
        ("resource:up/**", ("resource:up/file:///srv/**",), "file:///srv/a/{name}", False),
        ("resource:up/**", ("resource:up/file:///srv/*",), "file:///srv/{name}", True),
        ("resource:up/**", ("resource:up/**.key",), "file:///srv/{name}", True),
        ("resource:up/**", (), "file:///srv/../{name}", False),
        ("resource:up/**", (), "file:///srv/.{name}", True),
        ("resource:up/**", (), "{+uri}", True),
    ],
)
def test_a_template_shows_when_something_that_it_leads_to_may_be_read(
    allow: str,
    deny: tuple[str, ...],
    template: str,
    seen: bool,
) -> None:
    assert sees(f"template:up/{template}", allow, deny=deny) is seen


def test_conditions_see_a_prompts_arguments_and_the_uri_and_what_it_is_called() -> None:
    when = 'tool.upstream == "up" && tool.name.startsWith("resource:") && args.uri.endsWith(".md")'
    policy = Policy([GrantBlock(name="g", to=("*",), allow=("resource:up/**",), when=when)])

    for uri, effect in (("x:a.md", "allow"), ("x:a.key", "deny")):
        assert policy.decide(ANN, f"resource:up/{uri}", facts({"uri": uri})).effect == effect


def _lint(grant: GrantBlock, *offered: Prompt | Resource | Template) -> list[str]:
    return [fault.message for _, fault in Policy([grant]).lint([tool("up/a", {"x": {}}), *offered])]


def prompt(name: str, *arguments: str) -> Prompt:
    definition: JsonObject = {"name": name, "arguments": [{"name": one} for one in arguments]}
    return Prompt("up", name, name, definition, "0")


def test_lint_knows_prompts_and_resources() -> None:
    grant = GrantBlock(name="g", to=("*",), allow=("prompt:up/review", "prompt:up/reveiw", "resource:up/y:*"))

    assert _lint(grant, prompt("review", "code"), Resource("up", "x:1", "x:1", {}, "0")) == [
        "`prompt:up/reveiw` matches no prompt that is known now",
        "`resource:up/y:*` matches no resource that is known now",
    ]
    assert len(_lint(grant, prompt("review"), Template("up", "y:{n}", "y:{n}", {}, "0"))) == 1


def test_a_condition_is_held_against_what_a_prompt_or_a_resource_has() -> None:
    for pattern, wrong, right in (
        ("prompt:up/review", "args.cod", "args.code"),
        ("resource:up/x:*", "args.url", "args.uri"),
    ):
        offered = (prompt("review", "code"), Resource("up", "x:1", "x:1", {}, "0"))
        found = _lint(GrantBlock(name="g", to=("*",), allow=(pattern,), when=f'{wrong} == "a"'), *offered)
        assert len(found) == 1
        assert f"did you mean `{right.removeprefix('args.')}`?" in found[0]
        assert _lint(GrantBlock(name="g", to=("*",), allow=(pattern,), when=f'{right} == "a"'), *offered) == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("prompt:*", "matches no prompt: names are `prompt:upstream/name`"),
        ("resource:/x", "names no upstream before its `/`; write `resource:upstream/uri`"),
        ("template:up/x:{a}", "character 1: a template shows when"),
        ("resource:up/[", "character 13: `[` without its `]`"),
        ("file:up/x", "there is no kind `file:`; there are `resource:` and `prompt:`"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said_in_the_words_of_its_kind(pattern: str, message: str) -> None:
    (fault,) = faults(GrantBlock(name="g", to=("*",), deny=(pattern,)))

    assert fault.level == "error"
    assert message in fault.message
