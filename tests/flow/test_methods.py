"""Which upstream a request means, how it is named there, and what of an answer a caller gets."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

import pytest

from shim import uritemplates
from shim.catalog import Catalog
from shim.errors import ProtocolError
from shim.methods import METHODS, Found, Use
from shim.model import Caller, Credential, Identity, JsonObject, Offer, Reply

READ, COMPLETE, PROMPT = METHODS["resources/read"], METHODS["completion/complete"], METHODS["prompts/get"]
MODERN = Caller(Credential(Identity("ann"), "local"), "http", "2026-07-28")
LEGACY = Caller(Credential(Identity("ann"), "local"), "http", "2025-11-25")


def offer(
    upstream: str,
    resources: Iterable[str] = (),
    templates: Iterable[str] = (),
    prompts: Iterable[str] = (),
    capabilities: JsonObject | None = None,
) -> Offer:
    return Offer(
        upstream,
        "modern",
        "2026-07-28",
        {},
        {"resources": {}, "prompts": {}} if capabilities is None else capabilities,
        None,
        (),
        prompts=tuple({"name": name} for name in prompts),
        resources=tuple({"uri": uri, "name": "r"} for uri in resources),
        templates=tuple({"uriTemplate": text, "name": "t"} for text in templates),
    )


def catalog(*offers: Offer, more: tuple[str, ...] = ()) -> Catalog:
    made = Catalog([(name, f"{name}__") for name in (*(one.upstream for one in offers), *more)])
    for one in offers:
        made.learn(one)
    return made


def find(made: Catalog, uri: str, *seen: str) -> Found:
    return READ.find(READ.read({"uri": uri}), made, lambda ref: any(ref.startswith(one) for one in seen))


def owner(found: Found) -> str | None:
    return found.target.upstream if found.target is not None else None


def test_a_listed_uri_is_of_the_first_upstream_of_which_the_caller_may_read_it() -> None:
    made = catalog(offer("a", ["x:1"]), offer("b", ["x:1"]))

    assert owner(find(made, "x:1", "resource:")) == "a"
    assert owner(find(made, "x:1", "resource:b/")) == "b"
    assert find(made, "x:1").ref == "resource:a/x:1"


def test_who_lists_a_uri_comes_before_who_has_a_template_for_it() -> None:
    made = catalog(offer("a", templates=["x:{n}"]), offer("b", ["x:1"]))

    assert owner(find(made, "x:1", "resource:")) == "b"
    assert owner(find(made, "x:1", "resource:a/")) == "a"
    assert owner(find(made, "x:2", "resource:")) == "a"


def test_what_nobody_lists_is_of_the_one_upstream_that_policy_lets_it_be_read_of() -> None:
    made = catalog(offer("a"), offer("b"), offer("tools", capabilities={"tools": {}}))

    assert owner(find(made, "x:1", "resource:b/")) == "b"
    assert owner(find(made, "x:1", "resource:tools/")) is None
    found = find(made, "x:1", "resource:")
    assert (found.target, found.ref) == (None, "resource:a/x:1")


def test_an_upstream_that_was_never_read_may_have_anything() -> None:
    made = catalog(offer("a"), more=("new",))

    assert owner(find(made, "x:1", "resource:new/")) == "new"


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        ("x://a/{id}", "x://a/1", True),
        ("x://a/{id}/end", "x://a/1/end", True),
        ("x://a/{id}/end", "x://a/1/other", False),
        ("x://a/{+path}{?q*}", "x://a/b/c?q=1", True),
        ("x://a*/{id}", "x://ab/1", False),
        ("x://[a]/{id}", "x://[a]/1", True),
        ("{+any}", "anything:at all", True),
        ("x://a/{id}", "x://b/1", False),
    ],
)
def test_a_template_leads_to_what_it_could_expand_to(template: str, uri: str, fits: bool) -> None:
    made = catalog(offer("a"), offer("b", templates=[template]))
    found = find(made, uri, "resource:")

    assert (owner(found) == "b") is fits


def test_definitions_that_clients_cannot_read_are_left_out_and_reported() -> None:
    made = catalog(
        offer("a", ["x:1", "x:1", "", "x:\u202e", "y" * 3000], ["x:{n", "x:{}", "x:}", "x:{ok}"], ["p", "a/b", "p", ""])
    )

    assert [one.ref for one in made.now.offered] == ["prompt:a/p", "resource:a/x:1", "template:a/x:{ok}"]
    assert [out.kind for out in made.now.left_out] == ["prompt"] * 3 + ["resource"] * 4 + ["template"] * 3


def test_prompts_have_names_on_the_wire_as_tools_have() -> None:
    made = catalog(offer("a", prompts=["p", "großer Gruß"]))

    assert [one.wire for one in made.now.prompts][1] == "a__p"
    asked = PROMPT.read({"name": "a__p"})
    target = PROMPT.find(asked, made, lambda _: True).target
    assert target is not None
    assert PROMPT.towards({"name": "a__p", "x": None}, target) == {"name": "p", "x": None}


def test_a_completion_follows_its_template_and_tells_no_names_of_what_may_not_be_read() -> None:
    made = catalog(offer("a", templates=["x://{owner}/{+path}"]))
    params = {
        "ref": {"type": "ref/resource", "uri": "x://{owner}/{+path}"},
        "argument": {"name": "path", "value": ""},
        "context": {"arguments": {"owner": "me"}},
    }

    def sees(ref: str) -> bool:
        return ref.startswith(("template:a/", "resource:a/x://me/open/"))

    asked = COMPLETE.read(params)
    found = COMPLETE.find(asked, made, sees)
    assert found.target is not None
    assert (asked.arguments, asked.args) == ({"owner": "me", "path": ""}, {"uri": "x://{owner}/{+path}"})
    use = Use(COMPLETE, MODERN, asked, found.target, sees)
    reply = Reply({"completion": {"values": ["open/a", "closed/b"], "total": 2, "x": 1}}, None, 1)
    assert use.told(reply).result == {"completion": {"values": ["open/a"], "x": 1}}


def told(uri: str, argument: str, *values: str) -> list[str]:
    """What of an upstream's values is told to somebody who may read `x://open/`, and see whatever begins so."""
    made = catalog(offer("a", templates=["x://{where}", "x:/{/where}", "x://{a,b}", "x://open/{n:3}", "x://open{?q}"]))

    def sees(ref: str) -> bool:
        return ref.startswith("resource:a/x://open/") or ref in ("template:a/" + one.name for one in made.now.templates)

    asked = COMPLETE.read({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": argument, "value": ""}})
    found = COMPLETE.find(asked, made, sees)
    assert found.target is not None
    completion = {"completion": {"values": list(values)}}
    result = Use(COMPLETE, MODERN, asked, found.target, sees).told(Reply(completion, None, 1)).result
    assert result is not None
    kept = result["completion"]["values"]
    assert isinstance(kept, list)
    return kept


@pytest.mark.parametrize(
    ("uri", "argument", "kept"),
    [
        ("x:/{/where}", "where", ["open/a"]),
        ("x://{where}", "where", ["open/a"]),
        ("x://open/{n:3}", "n", ["open/a", "closed/b"]),
        ("x://open{?q}", "q", []),
        # of a server that does not look at what is completed
        ("x://open/a", "where", []),
        ("x://open/{other}", "where", []),
        ("x://{where}", "elsewhere", []),
    ],
)
def test_whatever_is_completed_no_names_are_told_of_what_may_not_be_read(
    uri: str, argument: str, kept: list[str]
) -> None:
    assert told(uri, argument, "open/a", "closed/b") == kept


@pytest.mark.parametrize(
    ("template", "expansion"),
    [
        ("{a}", "1/%C3%A9"),
        ("{a,b}", "1/%C3%A9,2"),
        ("{+a}{#b}", "1/é#2"),
        ("x{.a,b}", "x.1/é.2"),
        ("x{/a,b*}", "x/1/é/2"),
        ("x{;a,b}", "x;a=1/é;b=2"),
        ("x{?a,b}{&b}", "x?a=1/é&b=2&b=2"),
        ("{b:1}{none}", "2{none}"),
        ("x{?b,none,a}", "x?b=2{?none,a}"),
    ],
)
def test_a_template_is_filled_as_its_operators_say(template: str, expansion: str) -> None:
    values = {"a": "1/é", "b": "2"}
    escaped = uritemplates.filled(template, values, escaped=True)
    assert unquote(escaped) == unquote(expansion)
    assert uritemplates.filled(template, values, escaped=False) == unquote(expansion)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a"}},
        {"ref": {"type": "ref/prompt", "name": "p", "uri": "x:1"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/tool", "name": "p"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": 1}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}, "context": []},
    ],
)
def test_what_is_no_completion_is_refused(params: JsonObject) -> None:
    with pytest.raises(ProtocolError, match="Invalid params"):
        COMPLETE.read(params)


def test_not_found_has_the_code_of_the_callers_era() -> None:
    made = catalog(offer("a", ["x:1"]))
    asked = READ.read({"uri": "x:1"})
    target = READ.find(asked, made, lambda _: True).target
    assert target is not None
    error = {"code": -32002, "message": "Resource not found", "data": {"uri": "x:1"}, "more": None}

    for caller, code in ((MODERN, -32602), (LEGACY, -32002)):
        use = Use(READ, caller, asked, target, lambda _: True)
        assert use.told(Reply(None, error, 1)).error == {**error, "code": code}
        assert use.told(Reply(None, {**error, "code": -32602}, 1)).error == {**error, "code": code}
        unknown = READ.unknown(asked, caller).error
        assert unknown == {"code": code, "message": "Resource not found", "data": {"uri": "x:1"}}
