"""What does not go into the record, and what does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.record.known import REDACTED, without_credentials
from shim.record.redact import Redactor, names_secret

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "name",
    [
        *("password", "passwd", "token", "secret", "authorization", "api_key", "apikey", "cookie", "private_key"),
        *("Pass-Word", "pass_word", "PASS-WD", "api__key", "private__key", "se-cret", "to_ken", "AUTH-ORIZATION"),
        *(
            "x" * 100 + "_Pass--Word",
            "credential",
            "API-Key",
            "ApiKey",
            "Set-Cookie",
            "clientSecret",
            "access_token",
            "X-Api-Key",
            "PRIVATE-KEY",
        ),
    ],
)
def test_these_names_are_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "tokenize", "passwordless", "repo", "secretary", "cookiecutter", "key", ""]
)
def test_these_names_are_not(name: str) -> None:
    assert not names_secret(name)


def test_names_count_at_any_depth_and_through_arrays() -> None:
    value = {"a": [{"b": {"Api_Key": {"x": 1}}}, {"password": None}], "token": 7, "kept": "yes"}
    redacted, count = Redactor().redact(value)
    assert redacted == {"a": [{"b": {"Api_Key": REDACTED}}, {"password": None}], "token": REDACTED, "kept": "yes"}
    assert count == 2
    assert value["token"] == 7


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pin": {"type": "string", "format": "password"},
        "many": {"type": "array", "items": {"$ref": "#/$defs/login"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"writeOnly": True}]},
        "tree": {"$ref": "#/$defs/tree"},
        "either": {"anyOf": [{"type": "null"}, {"$ref": "#hidden"}]},
        "open": {"type": "string"},
    },
    "patternProperties": {"^x-(a+)+$": {"writeOnly": True}},
    "$defs": {
        "login": {"properties": {"code": {"allOf": [{"$ref": "#/$defs/a~1b"}]}, "user": {}}},
        "a/b": {"format": "password"},
        "tree": {"properties": {"leaf": {"writeOnly": True}, "down": {"$ref": "#/$defs/tree"}}},
        "hidden": {"$anchor": "hidden", "writeOnly": True},
    },
}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"pin": "1234"}, {"pin": REDACTED}),
        ({"many": [{"code": 1, "user": "u"}]}, {"many": [{"code": REDACTED, "user": "u"}]}),
        ({"tree": {"down": {"down": {"leaf": "x"}}}}, {"tree": {"down": {"down": {"leaf": REDACTED}}}}),
        ({"either": "x"}, {"either": REDACTED}),
    ],
)
def test_what_the_schema_marks_is_hidden(value: dict[str, Any], wanted: dict[str, Any]) -> None:
    schema = {**SCHEMA, "patternProperties": {}}
    assert Redactor().redact(value, schema)[0] == wanted


def test_a_member_of_a_pair_is_hidden_by_its_place() -> None:
    schema = {"properties": {"pair": SCHEMA["properties"]["pair"]}}
    assert Redactor().redact({"pair": ["shown", "hidden"]}, schema)[0] == {"pair": ["shown", REDACTED]}


def test_an_expression_of_the_schema_is_never_run() -> None:
    began = time.perf_counter()
    redacted, _ = Redactor().redact({"x-" + "a" * 60 + "!": "v"}, SCHEMA)
    assert list(redacted.values()) == [REDACTED]
    assert time.perf_counter() - began < 1


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"$ref": "#", "allOf": [{"$ref": "#"}], "properties": {"p": {"writeOnly": True}}}
    assert Redactor().redact({"p": 1, "q": 2}, schema)[0] == {"p": REDACTED, "q": 2}


def test_a_text_that_holds_the_same_object_hides_the_same() -> None:
    inner = json.dumps({"token": "abc", "n": 2**70})
    value = {"structuredContent": {"token": "abc"}, "content": [{"type": "text", "text": inner}]}
    redacted, count = Redactor().redact(value)
    assert "abc" not in json.dumps(redacted)
    assert json.loads(redacted["content"][0]["text"]) == {"token": REDACTED, "n": 2**70}
    assert count == 2


@pytest.mark.parametrize("name", ["Pass-Word", "api__key", "se-cret", "AUTH-ORIZATION", "p\\u0061ssword"])
def test_a_text_that_holds_an_object_hides_every_spelling(name: str) -> None:
    redacted, count = Redactor().redact({"text": f'{{"a":[{{"{name}":"hunter2"}}]}}'})
    assert "hunter2" not in redacted["text"]
    assert count == 1


@given(_JSON)
def test_redaction_is_stable_and_keeps_what_is_not_secret(value: Any) -> None:
    once, _ = Redactor().redact(value)
    again, _ = Redactor().redact(once)
    assert again == once
    assert type(once) is type(value)


KNOWN = [
    "Bearer abc123.def-456",
    "Bearer abcdefgh",
    "BEARER abcdefgh",
    "bearer abcdefg8",
    "authorization: Basic dXNlcjpwYXNz",
    "Authorization: Bearer supersecrettoken",
    "Authorization: Bearer abc123",
    "AUTHORIZATION = bearer x",
    "Authorization: token abcdef",
    "Proxy-Authorization: bearer opaquetoken",
    "HTTP_AUTHORIZATION=Bearer opaque",
    "'Authorization' => 'Bearer opaque",
    "Authorization:\\ Bearer\\ opaque",
    '{"authorization": "bearer opaque',
    '"{\\"Authorization\\": \\"Bearer opaque',
    '"{\\\\\\"Authorization\\\\\\":\\\\\\"Basic opaque',
    "AccountKey=dGhlIGtleQ==",
    '"accountKey": "dGhlIGtleQ==',
    "SharedAccessKey=dGhlIGtleQ==",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "mcpshim_" + "A" * 43,
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "ghp_" + "a1" * 18,
    "github_pat_" + "a" * 30,
    "glpat-" + "x" * 20,
    "xoxb-123456789012-abc",
    "AIza" + "B" * 35,
    "sk-" + "c" * 24,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ24",
    "https://user:hunter2@example.com/x",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\ncut off",
]


@pytest.mark.parametrize("secret", KNOWN)
def test_known_credentials_are_found_in_the_middle_of_text(secret: str) -> None:
    text, count = without_credentials(f"before {secret}")
    assert count == 1
    assert text.startswith("before ")
    assert REDACTED in text
    for part in secret.replace("@", " ").replace(":", " ").split()[-1:]:
        assert part not in text or part in ("example.com/x", "KEY-----")


def test_what_stands_round_a_credential_stays() -> None:
    said = "curl -H 'Authorization: Bearer abcdefghijkl' https://example.com"
    assert without_credentials(said) == (said.replace("abcdefghijkl", REDACTED), 1)
    said = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=dGhl/IGtl+eQ==;EndpointSuffix=x"
    assert without_credentials(said) == (said.replace("dGhl/IGtl+eQ==", REDACTED), 1)
    said = '{"h":"{\\"Authorization\\":\\"Bearer opaque\\"}"}'
    assert without_credentials(said) == (said.replace("opaque", REDACTED), 1)


@pytest.mark.parametrize(
    "text",
    [
        "bearer instruments",
        "a bearer instrument.",
        "Bearer of news",
        'Bearer realm="x"',
        "no authorization",
        "the task-list of skilled work",
        "http://example.com:8080/",
        "AKIA",
        "no secret here",
    ],
)
def test_prose_is_left_as_it_is(text: str) -> None:
    assert without_credentials(text) == (text, 0)


HOSTILE = [
    "eyJ" * 300_000,
    "eyJaaaaaaaa." * 80_000,
    "-----BEGIN PRIVATE KEY-----" * 40_000,
    "-----BEGIN " * 90_000 + "PRIVATE KEY",
    "Bearer " * 150_000,
    "Bearer a" * 120_000,
    "://" * 300_000,
    "://a:" * 200_000,
    "sk-" * 300_000,
    "ghp_" * 250_000,
    "authorization: basic " * 50_000,
    ("authorization" + "\\" * 32) * 20_000,
    ("authorization" + " " * 32 + ":" + " " * 32) * 12_000,
    ("authorization: bearer" + " " * 32) * 15_000,
    "authorization:bearer " + "a" * 1_000_000,
    "AccountKey=" * 90_000,
    "aws_secret_access_key" * 50_000,
    "a" * 1_000_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:12] for text in HOSTILE])
def test_a_megabyte_made_to_be_slow_is_not(text: str) -> None:
    began = time.perf_counter()
    without_credentials(text)
    assert time.perf_counter() - began < 2


def test_texts_within_texts_nested_to_the_bound_are_walked_or_hidden_whole() -> None:
    def nest(value: Any, levels: int) -> Any:
        for _ in range(levels):
            value = [value]
        return value

    inner = json.dumps(nest({"token": "t" * 20, "more": json.dumps(nest({"token": "u" * 20}, 110))}, 110))
    for levels in (1, 60, 89, 92, 120):
        redacted, count = Redactor().redact(nest({"content": inner}, levels))
        assert count >= 1
        assert "t" * 20 not in json.dumps(redacted)
        assert "u" * 20 not in json.dumps(redacted)


def test_a_list_of_very_many_asks_a_wide_schema_once() -> None:
    wide = {
        "anyOf": [{"type": "string", "title": str(n)} for n in range(900)],
        "properties": {"p": {"writeOnly": True}},
    }
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": wide}}}
    value = {"list": ["x"] * 200_000}
    began = time.perf_counter()
    redacted, count = Redactor().redact(value, schema)
    assert time.perf_counter() - began < 3
    assert len(redacted["list"]) == 200_000
    assert count in (0, 200_000)


def test_a_reference_with_a_step_of_very_many_digits_leads_nowhere() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/anyOf/" + "9" * 5000}, "b": {"writeOnly": True}}}
    assert Redactor().redact({"a": "shown", "b": "hidden"}, schema) == ({"a": "shown", "b": REDACTED}, 1)
