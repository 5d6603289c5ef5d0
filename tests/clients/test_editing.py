"""Putting a member into a file and taking it out again changes nothing else: JSON with comments, and TOML."""

from __future__ import annotations

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from shim.clients import jsonc, toml
from shim.clients.reading import json_document
from shim.model import Json, JsonObject

ENTRY: JsonObject = {"command": "/opt/mcp-shim", "args": ["stdio", "--identity", "me"], "env": {}}

SPACES = st.sampled_from(
    ["", " ", "\n", "\n  ", "\t", "\n\n    ", " // note\n  ", "/* a, b: { */", "\n// }\n", "/*\n*/\n"]
)
KEYS = st.text('ab"\\é/{}', min_size=1, max_size=4)


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    """The text of a JSON value with comments, odd spacing and trailing commas in it."""
    kinds = ["string", "number", "word", *(["object", "array"] if depth else [])]
    match draw(st.sampled_from(kinds)):
        case "string":
            return json.dumps(draw(st.text('a\n//"\\é{}[],:', max_size=6)), ensure_ascii=draw(st.booleans()))
        case "number":
            return draw(st.sampled_from(["0", "-1.5e3", "12"]))
        case "word":
            return draw(st.sampled_from(["true", "null"]))
        case "object":
            return draw(objects(depth - 1))
        case _:
            return draw(boxed("[", [(None, draw(values(depth - 1))) for _ in range(draw(st.integers(0, 3)))], "]"))


@st.composite
def boxed(draw: st.DrawFn, opening: str, members: list[tuple[str | None, str]], closing: str) -> str:
    parts = [
        draw(SPACES)
        + (f"{json.dumps(key)}{draw(SPACES)}:{draw(SPACES)}" if key is not None else "")
        + value
        + draw(SPACES)
        for key, value in members
    ]
    trailing = "," + draw(SPACES) if bool(parts) and draw(st.booleans()) else ""
    return opening + (",".join(parts) if parts else draw(SPACES)) + trailing + closing


@st.composite
def objects(draw: st.DrawFn, depth: int = 2, more: dict[str, str] | None = None) -> str:
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    members: list[tuple[str | None, str]] = [(key, draw(values(depth))) for key in keys]
    members += (more or {}).items()
    return draw(boxed("{", draw(st.permutations(members)), "}"))


@st.composite
def files(draw: st.DrawFn) -> str:
    """A client's file: with servers, with an empty object of servers, without one, or with nothing in it."""
    kind = draw(st.sampled_from(["servers", "none", "blank"]))
    if kind == "blank":
        return draw(st.sampled_from(["", "\n", " // nothing yet\n", "/* a */"]))
    more = {"servers": draw(objects(1))} if kind == "servers" else {}
    text = draw(SPACES) + draw(objects(1, more)) + draw(SPACES)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def document(text: str) -> JsonObject:
    return json_document(text)


@given(files())
def test_what_was_put_in_is_there_and_all_else_has_its_value(text: str) -> None:
    before = document(text)
    after = document(jsonc.put(text, ("servers",), "mcp-shim", ENTRY))
    servers = before.get("servers", {})
    assert isinstance(servers, dict)
    assert after == {**before, "servers": {**servers, "mcp-shim": ENTRY}}


@given(files())
def test_putting_in_and_taking_out_is_nothing(text: str) -> None:
    put = jsonc.put(text, ("servers",), "mcp-shim", ENTRY)
    assert jsonc.take(put, ("servers",), "mcp-shim", like=text) == text


@given(files())
def test_every_character_stays_where_a_member_is_put_in(text: str) -> None:
    rest = iter(jsonc.put(text, ("servers",), "mcp-shim", ENTRY))
    assert all(character in rest for character in "".join(text.split()))


@given(files(), st.data())
def test_one_member_taken_out_leaves_the_others(text: str, data: st.DataObject) -> None:
    before = document(text)
    keys = list(before)
    if not keys:
        return
    key = data.draw(st.sampled_from(keys))
    after = document(jsonc.take(text, (), key))
    assert after == {name: value for name, value in before.items() if name != key}


@given(files())
def test_an_element_of_an_array_comes_and_goes(text: str) -> None:
    before = document(text)
    if isinstance(before.get("inputs", []), list):
        put = jsonc.put(text, ("inputs",), None, {"id": "x"})
        inputs = document(put)["inputs"]
        assert isinstance(inputs, list)
        assert inputs[-1] == {"id": "x"}
        assert jsonc.take(put, ("inputs",), len(inputs) - 1, like=text) == text


@given(files())
def test_a_member_that_is_there_is_replaced_in_its_place(text: str) -> None:
    put = jsonc.put(text, ("servers",), "mcp-shim", ENTRY)
    again = jsonc.put(put, ("servers",), "mcp-shim", {"url": "x"})
    assert jsonc.put(again, ("servers",), "mcp-shim", ENTRY) == put
    servers = document(again)["servers"]
    assert isinstance(servers, dict)
    assert servers["mcp-shim"] == {"url": "x"}


LINES = st.sampled_from(
    [
        "",
        "# a note",
        'model = "o3" # which',
        'notify = ["a", # one\n  "b]",\n]',
        'long = """\n[mcp_servers.mcp-shim]\ncommand = 1\n\\""""',
        "raw = '''\n[x]\n# '''",
        "inline = {a = 1, b = [{c = 2}]}",
        "at = 2026-01-01T00:00:00Z",
        "'odd key'.\"and. more\" = 0",
    ]
)
INLINE = st.sampled_from(
    [
        "mcp_servers = {}",
        "mcp_servers = { } # none",
        'mcp_servers = {git = {command = "x, }", args = ["a", # one\n "b"]}, time.command = "t", time.args = []} # all',
        "mcp_servers = { 'a.b'.command = '},{' , git={} , \"time\" = { command = \"t\" } }",
    ]
)
TABLES = ["mcp_servers.git", "mcp_servers.git.env", "mcp_servers.'a.b'", "profiles.x", "mcp_servers.time"]


@st.composite
def tables(draw: st.DrawFn) -> str:
    lines = draw(st.lists(LINES, max_size=3, unique=True))
    shape = draw(st.sampled_from(["headers", "dotted", "section", "inline", "none"]))
    if shape == "dotted":
        lines.append('mcp_servers.git.command = "x"')
    if shape == "inline":
        lines.append(draw(INLINE))
    if shape == "section":
        lines += ["[mcp_servers]", 'git = {command = "x"}', 'time.command = "t"', ""]
    if shape == "headers":
        for header in draw(st.lists(st.sampled_from(TABLES), max_size=5, unique=True)):
            lines += [draw(st.sampled_from(["", "# about it", "\n"])), f"[{header}] # here", 'command = "x"']
    ending = draw(st.sampled_from(["", "\n", "\n\n", "\n# end", "\n# end\n\n"]))
    text = "\n".join(lines) + ending
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(tables())
def test_a_table_comes_and_goes(text: str) -> None:
    before = tomllib.loads(text)
    put = toml.put(text, "mcp_servers", "mcp-shim", ENTRY)
    after = tomllib.loads(put)
    assert after == {**before, "mcp_servers": {**before.get("mcp_servers", {}), "mcp-shim": ENTRY}}
    if "mcp_servers = {" not in text:
        assert put.startswith(text.rstrip())
    assert toml.take(put, "mcp_servers", "mcp-shim", like=text) == text


@given(tables(), st.sampled_from(["git", "time", "a.b"]))
def test_one_table_taken_out_leaves_the_others(text: str, name: str) -> None:
    before: dict[str, Json] = tomllib.loads(text)
    after = tomllib.loads(toml.take(text, "mcp_servers", name))
    servers = before.get("mcp_servers", {})
    assert isinstance(servers, dict)
    rest = {key: value for key, value in servers.items() if key != name}
    # A table that only its children made goes with the last of them.
    expected = {**before, "mcp_servers": rest} if rest or "mcp_servers" in after else before
    assert after == {key: value for key, value in expected.items() if key != "mcp_servers" or rest or key in after}


@given(tables())
def test_a_table_that_is_there_is_replaced_in_its_place(text: str) -> None:
    put = toml.put(text, "mcp_servers", "mcp-shim", ENTRY) + "\n[after]\nx = 1\n"
    again = toml.put(put, "mcp_servers", "mcp-shim", {"url": "x"})
    assert toml.put(again, "mcp_servers", "mcp-shim", ENTRY) == put
