"""Names on the wire, what is left out, and who is told of changes."""

from __future__ import annotations

import hashlib

import pytest

from shim.catalog import Catalog, Contents
from shim.model import JsonObject, Offer
from shim.naming import wire_name


def tool(name: object, **more: object) -> JsonObject:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def offer(upstream: str, *tools: JsonObject) -> Offer:
    return Offer(upstream, "modern", "2026-07-28", {}, {}, None, tools)


def contents_of(order: list[tuple[str, str]], offers: dict[str, Offer]) -> Contents:
    return Catalog(order, offers).now


def test_a_plain_name_gets_the_prefix_and_no_more() -> None:
    assert wire_name("git__", "git", "git_status") == "git__git_status"
    assert wire_name("", "git", "git_status") == "git_status"


@pytest.mark.parametrize("name", ["admin.tools.list", "größe", "x" * 80])
def test_a_name_that_does_not_fit_is_cut_and_marked(name: str) -> None:
    wire = wire_name("up__", "up", name)
    mark = hashlib.sha256(f"up/{name}".encode()).hexdigest()[:8]
    assert wire.endswith(f"_{mark}")
    assert len(wire) <= 64
    assert wire.isascii()


def test_the_longest_name_that_fits_is_not_touched() -> None:
    assert wire_name("up__", "up", "x" * 60) == "up__" + "x" * 60


@pytest.mark.parametrize(
    "name", ["", "a/b", "a\nb", "a\u200bb", "a\u202eb", "\ud800", "vs\ufe0f", "h\u3164", "\u2800", "x" * 1025, None, 7]
)
def test_what_is_named_strangely_is_left_out_and_reported(name: object) -> None:
    contents = contents_of([("up", "up__")], {"up": offer("up", tool(name), tool("good"))})
    assert [t.name for t in contents.tools] == ["good"]
    assert len(contents.left_out) == 1


@pytest.mark.parametrize(
    "more",
    [{"title": [1]}, {"inputSchema": {}}, {"inputSchema": None}, {"inputSchema": {"type": "array"}}, {"icons": 3}],
)
def test_what_clients_would_refuse_is_left_out_because_it_would_cost_them_the_whole_list(more: JsonObject) -> None:
    contents = contents_of([("up", "up__")], {"up": offer("up", tool("bad") | more, tool("good"))})
    assert [t.name for t in contents.tools] == ["good"]
    assert [out.name for out in contents.left_out] == ["bad"]


def test_a_change_of_a_true_into_a_one_is_a_change() -> None:
    catalog = Catalog([("up", "up__")], {"up": offer("up", tool("a", x=True))})
    assert catalog.learn(offer("up", tool("a", x=1)))
    assert catalog.now.tools[0].definition["x"] == 1
    assert catalog.now.tools[0].definition["x"] is not True


def test_of_two_of_one_upstream_the_first_is_kept() -> None:
    contents = contents_of([("up", "up__")], {"up": offer("up", tool("a", title="1"), tool("a", title="2"))})
    assert [t.definition["title"] for t in contents.tools] == ["1"]
    assert "twice" in contents.left_out[0].why


def test_of_two_that_would_share_a_wire_name_the_upstream_configured_first_keeps_it() -> None:
    offers = {"b": offer("b", tool("x")), "a": offer("a", tool("x"))}
    contents = contents_of([("b", ""), ("a", "")], offers)
    assert contents.by_wire["x"].upstream == "b"
    assert contents.left_out[0].upstream == "a"


def test_what_only_the_shim_may_say_is_taken_out_of_definitions() -> None:
    raw = tool("a", _meta={"io.github.mcp-shim/decision": 1, "other": None}, unknown=None)
    contents = contents_of([("up", "up__")], {"up": offer("up", raw)})
    assert contents.tools[0].definition == tool("a", _meta={"other": None}, unknown=None)


def test_order_is_that_of_the_configuration_then_of_names() -> None:
    offers = {"a": offer("a", tool("z"), tool("b")), "z": offer("z", tool("a"))}
    contents = contents_of([("z", "z__"), ("a", "a__")], offers)
    assert [t.wire for t in contents.tools] == ["z__a", "a__b", "a__z"]


def test_watchers_hear_of_changes_and_only_of_changes() -> None:
    heard: list[int] = []
    catalog = Catalog([("up", "up__")])
    stop = catalog.watch(lambda: heard.append(1))
    assert catalog.learn(offer("up", tool("a")))
    assert not catalog.learn(offer("up", tool("a")))
    assert catalog.learn(offer("up", tool("a"), tool("b")))
    stop()
    catalog.learn(offer("up"))
    assert len(heard) == 2


def test_a_remembered_offer_is_there_before_any_upstream_is() -> None:
    catalog = Catalog([("up", "up__")], {"up": offer("up", tool("a")), "gone": offer("gone", tool("b"))})
    assert [t.ref for t in catalog.now.tools] == ["up/a"]


def test_a_wire_name_that_nobody_has_means_what_its_prefix_says() -> None:
    catalog = Catalog([("git", "git__"), ("git-b", "git__b__"), ("bare", "")])
    assert catalog.ref_of("git__x") == "git/x"
    assert catalog.ref_of("git__b__x") == "git-b/x"
    assert catalog.ref_of("x") == "bare/x"
    assert Catalog([("git", "git__")]).ref_of("x") is None
