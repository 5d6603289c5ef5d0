"""Who the claims of a JWT are, and that nobody can be named like another."""

from __future__ import annotations

import pytest

from shim.errors import Unauthenticated
from shim.identity.config import IdentityBlock
from shim.identity.naming import People, Template
from shim.model import Json, JsonObject

BLOCKS = {
    "support-bot": IdentityBlock(jwt={"sub": "support-bot"}, groups=("bots",)),
    "staff": IdentityBlock(jwt={"groups": "staff"}, name="staff:{claims.email}", groups=("people",)),
    "verified": IdentityBlock(jwt={"email_verified": "true", "level": "3"}),
    "me": IdentityBlock(local=True),
}


def who(**claims: Json) -> tuple[str, tuple[str, ...]]:
    identity = People(BLOCKS).identity(claims)
    return identity.name, identity.groups


def why(**claims: Json) -> str:
    with pytest.raises(Unauthenticated) as caught:
        who(**claims)
    return caught.value.why


def test_claims_that_are_equal_or_in_a_list_make_an_identity() -> None:
    assert who(sub="support-bot") == ("support-bot", ("bots",))
    assert who(groups=["x", "staff"], email="a@x.test") == ("staff:a@x.test", ("people", "staff"))
    assert who(groups="staff", email="a@x.test") == ("staff:a@x.test", ("people", "staff"))
    assert who(email_verified=True, level=3) == ("verified", ())


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": "me"},
        {"sub": "support-bot "},
        {"sub": {"support-bot": 1}},
        {"sub": ["support", "bot"]},
        {"groups": ["Staff"], "email": "a@x.test"},
        {"groups": "x staff", "email": "a@x.test"},
        {"groups": [["staff"]], "email": "a@x.test"},
        {"email_verified": 1, "level": 3},
        {"email_verified": True, "level": True},
        {"email_verified": True, "level": 3.0},
    ],
)
def test_anything_else_is_nobody(claims: JsonObject) -> None:
    assert why(**claims) == "a JWT that is no identity's"


def test_who_could_be_two_is_nobody() -> None:
    assert why(sub="support-bot", groups=["staff"], email="a@x.test") == ("a JWT that more than one identity asks for")


HOSTILE: list[Json] = [
    *(
        "",
        " ",
        "*",
        "a*",
        "a:b",
        ":a",
        "group:leads",
        "a/b",
        "a\\b",
        "a b",
        "a\0b",
        "a\nb",
        "a\u202eb",
        "\uff41@x.test",
    ),
    *("{claims.sub}", "a" * 129, ".a", "@a", "-a", "é@x.test", "\ud800"),
    *(["a@x.test"], {"a": 1}, True, False, -1, 1.5, 10**20),
]


@pytest.mark.parametrize("email", HOSTILE)
def test_a_claim_that_cannot_stand_in_a_name_makes_none(email: Json) -> None:
    assert why(groups="staff", email=email) == "a JWT whose claim email cannot stand in the name of an identity"


@pytest.mark.parametrize("email", [None, ...])
def test_a_claim_that_is_missing_makes_no_name(email: Json) -> None:
    claims = {"groups": "staff"} if email is ... else {"groups": "staff", "email": email}
    assert why(**claims) == "a JWT without the claim email, which the name of its identity needs"


@pytest.mark.parametrize("email", ["a@x.test", "auth0|5f7c", "A-b_c.d+e=f~g", "7", 7])
def test_what_can_stand_in_a_name(email: Json) -> None:
    assert who(groups="staff", email=email)[0] == f"staff:{email}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("staff", "without a claim"),
        ("staff:x", "without a claim"),
        ("staff:{claims.}", "without a claim"),
        ("staff:{identity}", "without a claim"),
        ("{claims.email}", "begins with a text of its own"),
        ("staff-{claims.email}", "begins with a text of its own"),
        (":{claims.email}", "begins with a text of its own"),
        ("group:{claims.email}", "means something else"),
        ("staff:*{claims.email}", "around its claims"),
        ("staff:{claims.a}{claims.b}", "two claims of a name need a `:`"),
        ("staff:{claims.a}-{claims.b}", "two claims of a name need a `:`"),
        ("staff:{claims.a} {claims.b}", "around its claims"),
        ("staff:{{claims.a}}", "around its claims"),
    ],
)
def test_a_template_that_could_name_two_alike_is_none(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Template.of(text)


def test_a_template_of_several_claims() -> None:
    template = Template.of("eu:{claims.tenant}:x.{claims.https://x.test/id}@here")
    assert template.prefix == "eu"
    assert template.name({"tenant": "t", "https://x.test/id": 7}) == "eu:t:x.7@here"
    assert template.could_name("eu:t:x.7@here")
    assert not template.could_name("eu:t:u:x.7@here")


def test_a_person_is_known_by_name_without_claims() -> None:
    people = People(BLOCKS)
    person = people.person("staff:a@x.test")
    assert person is not None
    assert (person.groups, dict(person.claims)) == (("people", "staff"), {})
    for name in ("staff", "staff:", "staff:a b", "me", "support-bot", "other:a"):
        assert people.person(name) is None
