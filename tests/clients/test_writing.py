"""The text that init writes: it parses, says what was meant, and allows what is uncommented and nothing else."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim import templates, yamltext
from shim.clients.adopting import adopt
from shim.clients.listing import Listing
from shim.clients.scalars import remark, scalar
from shim.clients.server import Found, Server
from shim.model import Tool
from shim.policy.engine import Policy
from tests.clients.given import KEY, ME, any_text, around, loaded, server, tool, uncommented, written

names = st.dictionaries(st.text(string.ascii_letters + "_", min_size=1, max_size=8), any_text, max_size=3)
stdio = st.builds(
    lambda name, words, env, cwd: server(name, command=("server", *words), env=env, cwd=cwd),
    any_text,
    st.lists(any_text, max_size=4),
    names,
    st.none() | st.just("sub folder"),
)
http = st.builds(
    lambda name, path, headers: server(name, url=f"https://host/{path}", headers=headers),
    any_text,
    st.text(string.ascii_letters, max_size=8),
    st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=8), any_text, max_size=3),
)


@given(st.lists(stdio | http, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whatever_the_servers_are_the_text_says_what_was_meant(
    tmp_path_factory: pytest.TempPathFactory, servers: list[Server]
) -> None:
    plan = adopt(Found(tuple(servers)), around())
    config = loaded(tmp_path_factory.getbasetemp(), written(plan))
    in_use = [one for one in plan.upstreams if one.missing is None]
    assert list(config.upstreams) == [one.name for one in in_use]
    # Nothing that was found is lost: an upstream, one to be uncommented, or left out with its reason.
    assert sum(len(one.places) for one in plan.upstreams) + len(plan.left_out) == len(servers)
    by_name = {str(place): one for one in in_use for place in one.places}
    for found in servers:
        one = by_name.get(f"VS Code, .vscode/mcp.json, {found.name}")
        if one is None or sum(found.name == other.name for other in servers) > 1:
            continue
        block = config.upstreams[one.name]
        filled = {name: templates.filled(text, plan.secrets) for name, text in {**block.env, **block.headers}.items()}
        for name, text in {**found.env, **found.headers}.items():
            assert filled.get(name, text) == text
        if found.command is not None and block.command is not None and block.command[0] != "/bin/sh":
            assert block.command == found.command
    # Nobody may call anything.
    assert not Policy(config.grants).rules
    # And with every `# ` taken away it is still a configuration in form.
    text = uncommented(written(plan))
    _, flaws = yamltext.plain(text, yamltext.compose(text))
    assert not flaws


@given(any_text, any_text)
@settings(max_examples=300)
def test_a_scalar_reads_back_and_a_remark_says_nothing(text: str, other: str) -> None:
    lines = "\n".join(remark(other, "  "))
    document = yamltext.decode(f"x:\n{lines}\n  {scalar(text)}: [{scalar(other)}, {scalar(text)}]\n".encode())
    value, flaws = yamltext.plain(document, yamltext.compose(document))
    assert (value, flaws) == ({"x": {text: [other, text]}}, [])


tool_names = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12).filter(
    lambda name: "/" not in name
) | st.sampled_from(
    ["*", "**", "a*", "[ab]", "a\\", "{a,b}", "- evil", "# x", "!x", "a: b", "&a", "'", '"', "null", "?"]
)
hints = st.fixed_dictionaries(
    {},
    optional={
        "readOnlyHint": st.booleans() | st.just("yes"),
        "destructiveHint": st.booleans(),
        "idempotentHint": st.booleans(),
    },
)
tools = st.lists(
    st.builds(
        lambda name, text, said: tool("one", name, description=text, annotations=said), tool_names, any_text, hints
    ),
    max_size=8,
    unique_by=lambda one: one.name,
)


@given(tools, st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_each_line_that_is_uncommented_allows_its_tool_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, found: list[Tool], read_only: bool, data: st.DataObject
) -> None:
    plan = adopt(Found((server(),)), around())
    text = written(plan, {"one": Listing(found)}, read_only=read_only)
    numbers = [n for n, line in enumerate(text.split("\n")[1:]) if re.match(r" {6}# - ", line)]
    chosen = {number: data.draw(st.booleans()) for number in numbers}
    folder = tmp_path_factory.getbasetemp()

    def allowed(text: str) -> set[str]:
        policy = Policy(loaded(folder, text).grants)
        others = [tool("one", name) for name in ("x", "ab", "a", "evil", "b")]
        return {one.name for one in (*found, *others) if policy.visible(ME, one.ref)}

    before = allowed(text)
    harmless = {
        one.name
        for one in found
        if one.definition["annotations"].get("readOnlyHint") is True
        and one.definition["annotations"].get("destructiveHint") is not True
    }
    assert before == (harmless if read_only else set())
    after = allowed(uncommented(text, chosen))
    assert len(after) == len(before) + sum(chosen.values())
    assert before <= after
    assert after <= {one.name for one in found}


def test_tools_stand_in_groups_with_their_first_sentence_and_their_hints() -> None:
    plan = adopt(Found((server(),)), around())
    listing = Listing(
        [
            tool("one", "read", description="Reads it. At length.", annotations={"readOnlyHint": True}),
            tool("one", "wipe", description="Wipes\nit", annotations={"readOnlyHint": False}),
            tool("one", "write", annotations={"readOnlyHint": False, "destructiveHint": False}),
            tool("one", "liar", annotations={"readOnlyHint": True, "destructiveHint": True}),
            tool("one", "mute", description=None),
        ],
        [("bad\nname", "its name is strange")],
    )
    text = written(plan, {"one": listing}, read_only=True)
    assert text.split("    allow:\n")[1] == (
        "      ## Only reads:\n"
        "      - one/read  # Reads it. [read-only]\n"
        "      ## Changes things:\n"
        "      # - one/write\n"
        "      ## Can destroy:\n"
        "      # - one/wipe  # Wipes it\n"
        "      # - one/liar  # [read-only, destructive]\n"
        "      ## Does not say what it does:\n"
        "      # - one/mute\n"
        "      ## left out, bad\\x0aname: its name is strange\n"
    )


def test_a_flood_of_tools_and_of_words_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    plan = adopt(Found((server(), server("two", command=("b",)))), around())
    found = [tool("one", f"{number}-{'x' * 900}", description="y" * 2**20) for number in range(20)]
    found += [tool("one", f"tool_{number}" + "z" * 400, description="Does it. " * 50) for number in range(10_000)]
    text = written(plan, {"one": Listing(found), "two": Listing([tool("two", "fine")])})
    assert len(text) < 5 * 2**20
    assert "more that found no room here" in text
    assert "# - two/fine" in text
    assert not Policy(loaded(tmp_path, text).grants).rules


def test_a_key_that_a_server_repeats_is_not_written() -> None:
    plan = adopt(Found((server(env={"TOKEN": KEY}),)), around())
    listing = Listing([tool("one", "a", description=f"Uses {KEY} to log in."), tool("one", f"with-{KEY}")])
    text = written(plan, {"one": listing})
    assert KEY not in text
    assert "# - one/a  # Uses [key] to log in." in text
    down = written(plan, {"one": Listing(problem=f"It said {KEY}")})
    assert KEY not in down
