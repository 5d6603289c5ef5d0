"""Keys in a client's file, wherever they stand there, end up in secrets and nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim import templates
from shim.clients import argv, credentials, values
from shim.clients.adopting import adopt
from shim.clients.server import Found
from shim.clients.values import Key, Text, Value
from shim.config import placeholders
from tests.clients.given import KEY, any_text, around, loaded, server, uncommented, written

HELD = [
    ("headers", {"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer ${secret:one}"}),
    ("headers", {"x-api-key": KEY}, {"x-api-key": "${secret:one}"}),
    ("headers", {"Cookie": f"session={KEY}"}, {"Cookie": "${secret:one}"}),
    ("env", {"GITHUB_TOKEN": KEY}, {"GITHUB_TOKEN": "${secret:github-token}"}),
    ("env", {"OPENAI_KEY": "short"}, {"OPENAI_KEY": "${secret:openai-key}"}),
    ("env", {"SETTING": "ghp_" + "a1" * 20}, {"SETTING": "${secret:setting}"}),
    ("env", {"DATABASE_URL": "postgres://u:pw@host/db"}, {"DATABASE_URL": "${secret:database-url}"}),
    (
        "env",
        {"OPENAPI_HEADERS": '{"Authorization": "Bearer abc12345", "V": "1"}'},
        {"OPENAPI_HEADERS": "${secret:openapi-headers}"},
    ),
    ("env", {"WALLET_MNEMONIC": "legal winner thank"}, {"WALLET_MNEMONIC": "${secret:wallet-mnemonic}"}),
    ("env", {"SLACK_WEBHOOK": "https://host/services/T0/B0/x"}, {"SLACK_WEBHOOK": "${secret:slack-webhook}"}),
    ("env", {"LOG": "debug", "USE_TOKEN": "true"}, {"LOG": "debug", "USE_TOKEN": "true"}),
    ("env", {"TLS_KEY": "/etc/ssl/key.pem"}, {"TLS_KEY": "/etc/ssl/key.pem"}),
    ("env", {"MAX_TOKENS": "4096"}, {"MAX_TOKENS": "4096"}),
    ("env", {"AUTH_HEADER": "${NAME}"}, {"AUTH_HEADER": "$${NAME}"}),
]


@pytest.mark.parametrize(("where", "before", "after"), HELD)
def test_keys_in_headers_and_variables_become_secrets(
    where: str, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    more: dict[str, Any] = {where: before, **({"url": "https://host/mcp"} if where == "headers" else {})}
    plan = adopt(Found((server(**more),)), around())
    [one] = plan.upstreams
    assert (one.headers if where == "headers" else one.env) == after
    assert one.missing is None
    named = {reference for text in after.values() for reference in placeholders.secrets(text)}
    assert set(one.secrets) == set(plan.secrets) == named


LETTERS = "k3j9x0a7b2m5q8r1z4w6y3t9u0v2s7d5f8g1h4"
ARGUMENTS = [
    (("npx", "-y", "x", "--api-key", "abc"), ["abc"]),
    (("x", "--token=abc"), ["abc"]),
    (("x", "--header", "Authorization: Bearer abc"), ["abc"]),
    (("x", "-H", "X-Api-Key:abc"), ["abc"]),
    (("docker", "run", "-e", "GITHUB_TOKEN=abc", "image"), ["abc"]),
    (("x", "postgresql://user:abc@host/db"), ["postgresql://user:abc@host/db"]),
    (("x", "https://host/mcp?api_key=abc"), ["https://host/mcp?api_key=abc"]),
    (("x", "--config", '{"apiKey": "abc"}'), ['{"apiKey": "abc"}']),
    (("sh", "-c", "API_KEY=abc exec x"), ["abc exec x"]),
    (("sh", "-c", "cd /; API_KEY=abc exec x"), ["cd /; API_KEY=abc exec x"]),
    (("x", "sk-" + "a1" * 12), ["sk-" + "a1" * 12]),
    (("x", "--password", "-dash-first"), ["-dash-first"]),
    (("x", "postgresql://app:pa/ss#w0rd@host/db"), ["postgresql://app:pa/ss#w0rd@host/db"]),
    (("x", "postgresql://app:p@ss:w@host/db"), ["postgresql://app:p@ss:w@host/db"]),
    (("x", "--config", r'"{\"exaApiKey\": \"abcdef\"}"'), [r'"{\"exaApiKey\": \"abcdef\"}"']),
    (("x", "--config", '{"pat": "abcdef"}'), ['{"pat": "abcdef"}']),
    (("x", "start", f"napi_{LETTERS}"), [f"napi_{LETTERS}"]),
    (("x", f"patAbCd1234.{'a1' * 32}"), [f"patAbCd1234.{'a1' * 32}"]),
    (("x", f"123456789:AA{LETTERS}"), [f"123456789:AA{LETTERS}"]),
    (("x", "run", "me@host.org", "6f1c1b1e-7b1c-4b4e-9d5e-0c1d2e3f4a5b"), ["6f1c1b1e-7b1c-4b4e-9d5e-0c1d2e3f4a5b"]),
]


@pytest.mark.parametrize(("words", "keys"), ARGUMENTS, ids=lambda value: " ".join(value)[:40])
def test_keys_in_arguments_reach_the_program_through_its_environment(words: tuple[str, ...], keys: list[str]) -> None:
    plan = adopt(Found((server(command=words),)), around())
    [one] = plan.upstreams
    assert list(plan.secrets.values()) == keys
    assert one.command is not None
    assert one.command[:2] == ("/bin/sh", "-c")
    assert not any(key in word for word in one.command for key in keys if len(key) > 3)
    assert any("UNSAFE" in text for text in one.remarks)
    assert started(one.command, one.env, plan.secrets) == list(words)


def started(command: tuple[str, ...], env: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """The arguments that a program gets in the end, when a shell really runs what is configured."""
    script = placeholders.expand(command[2], {}).text.replace("exec ", "printf '%s\\0' ", 1)
    variables = {
        name: templates.filled(placeholders.expand(text, {}).text, secrets)
        for name, text in env.items()
        if text.startswith("${secret:")
    }
    run = subprocess.run(["/bin/sh", "-c", script], env=variables, stdout=subprocess.PIPE, check=True)
    return run.stdout.decode().split("\0")[:-1]


HARMLESS = [
    ("npx", "-y", "@modelcontextprotocol/server-filesystem@2025.8.21", "/Users/Me/Projects/2024/thing-for-Mcp/x"),
    ("uvx", "--from", "git+ssh://git@github.com/a/b", "server", "--key", "/etc/ssl/key.pem", "--no-auth", "/tmp"),
    ("docker", "run", "-i", "-e", "GITHUB_TOKEN", "ghcr.io/x/y@sha256:" + "a1" * 32),
    ("mcp-remote", "https://host/mcp", "--header", "Authorization:${AUTH_HEADER}"),
    ("docker", "run", "-v", "/srv/Data1:/srv/Data1", "ghcr.io/x/y:" + "a1" * 20, "https://host:8080/@scope/pkg"),
    ("java", "-jar", "com.example.ModelContextProtocolServer-1.2.3-SNAPSHOT.jar", "com.example.mcp2.server:main"),
    ("x", "--id", "6f1c1b1e-7b1c-4b4e-9d5e-0c1d2e3f4a5b", "--max-tokens", "4096", "--monkey", "banana"),
]


@pytest.mark.parametrize("words", HARMLESS, ids=lambda words: words[0])
def test_arguments_without_keys_stay_as_they_are(words: tuple[str, ...]) -> None:
    plan = adopt(Found((server(command=words),)), around())
    [one] = plan.upstreams
    assert one.command is not None
    assert [placeholders.expand(word, {}).text for word in one.command] == list(words)
    assert not plan.secrets


USES = [
    ("--header", "Authorization: Bearer ${MINE}"),
    ("--header", "Authorization:${MINE}"),
    ("-H", "X-Api-Key: $MINE"),
    ("--api-key=${MINE}",),
    ("--api-key", "${MINE}"),
]


@pytest.mark.parametrize("words", USES, ids=lambda words: words[-1])
def test_a_variable_that_its_server_uses_as_a_key_is_one(words: tuple[str, ...]) -> None:
    plan = adopt(Found((server(command=("x", *words), env={"MINE": "hunter2", "OTHER": "plain"}),)), around())
    [one] = plan.upstreams
    assert plan.secrets == {"mine": "hunter2"}
    assert one.env == {"MINE": "${secret:mine}", "OTHER": "plain"}
    assert one.command is not None
    assert [placeholders.expand(word, {}).text for word in one.command] == ["x", *words]


argument = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(argument, st.none() | st.sampled_from(["a", "b", "c"])), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_the_words_are_the_shell_passes_them_on_unchanged(words: list[tuple[str, str | None]]) -> None:
    # given words of any text, some of which end in a key; all keys want to be called the same
    keyed = [values.joined([Text(text), *([Key(f"key {key}", "k")] if key else [])]) for text, key in words]
    made, env = argv.through_shell(keyed, lambda name: name == "SHIM_K")
    command = tuple(values.written(word, lambda _: "") for word in made)
    variables = {name: f"${{secret:{part.text[-1]}}}" for name, (part,) in env.items() if isinstance(part, Key)}
    got = started(command, variables, {key: f"key {key}" for key in "abc"})
    assert got == [text + (f"key {key}" if key else "") for text, key in words]
    assert "SHIM_K" not in env


def test_one_key_is_one_secret_and_two_keys_are_two() -> None:
    plan = adopt(
        Found(
            (
                server("a", env={"TOKEN": "first-key"}),
                server("b", env={"TOKEN": "first-key"}, command=("other",)),
                server("c", env={"TOKEN": "second-key"}, command=("third",)),
            )
        ),
        around(),
    )
    assert plan.secrets == {"token": "first-key", "token-2": "second-key"}


def test_a_secret_that_is_there_already_is_used_again_and_another_is_not_touched() -> None:
    found = Found((server("a", env={"TOKEN": "mine"}), server("b", env={"KEY": "theirs"}, command=("other",))))
    plan = adopt(found, around(standing={"token": "mine", "key": "somebody else's"}))
    assert plan.secrets == {"token": "mine", "key-2": "theirs"}


def test_a_key_that_its_name_gave_away_is_known_where_nothing_does() -> None:
    found = Found(
        (server("a", env={"API_TOKEN": "swordfish-swordfish"}), server("b", command=("x", "swordfish-swordfish")))
    )
    plan = adopt(found, around())
    assert plan.secrets == {"api-token": "swordfish-swordfish"}
    assert "swordfish" not in written(plan)


def test_user_and_password_of_an_address_become_a_header() -> None:
    plan = adopt(Found((server(url="https://bob:s%40crets@host/mcp"),)), around())
    [one] = plan.upstreams
    assert (one.url, one.headers, one.missing) == ("https://host/mcp", {"Authorization": "Basic ${secret:one}"}, None)
    assert plan.secrets == {"one": "Ym9iOnNAY3JldHM="}


@pytest.mark.parametrize("url", [f"https://host/mcp?api_key={KEY}&a=1", f"https://host/s/{KEY}/mcp"])
def test_a_key_in_an_address_leaves_the_upstream_out_until_a_person_decides(url: str, tmp_path: Path) -> None:
    plan = adopt(Found((server(url=url),)), around())
    [one] = plan.upstreams
    assert one.missing is not None
    assert plan.secrets == {"one": KEY}
    text = written(plan)
    assert KEY not in text
    assert not loaded(tmp_path, text).upstreams
    # when it is uncommented, and the variable set
    (tmp_path / "secrets").mkdir()
    used = loaded(tmp_path, uncommented(text), {"ONE_KEY": KEY})
    assert used.upstreams["one"].url == url


def test_an_id_in_an_address_stays_there_and_is_said_to_be_one() -> None:
    url = "https://host/s/6f1c1b1e-7b1c-4b4e-9d5e-0c1d2e3f4a5b/mcp"
    [one] = adopt(Found((server(url=url),)), around()).upstreams
    assert (one.url, one.missing) == (url, None)
    assert any("it is a key" in remark for remark in one.remarks)


PLANTS = ("header", "env", "argument", "joined", "query", "user", "json")


@given(st.lists(st.tuples(st.sampled_from(PLANTS), st.integers(0, 3)), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_wherever_keys_are_planted_none_is_in_the_text(plants: list[tuple[str, int]]) -> None:
    servers = []
    for place, number in plants:
        key = f"{KEY}{number}"
        ways: dict[str, dict[str, Any]] = {
            "header": {"url": "https://host/mcp", "headers": {"Authorization": f"Bearer {key}"}},
            "env": {"env": {"SOME_API_KEY": key}},
            "argument": {"command": ("server", "--api-key", key)},
            "joined": {"command": ("server", f"--token={key}", key)},
            "query": {"url": f"https://host/mcp?token={key}"},
            "user": {"url": f"https://u:{key}@host/mcp"},
            "json": {"env": {"CONFIG": f'{{"apiKey": "{key}"}}'}},
        }
        servers.append(server(f"{place}-{number}", **ways[place]))
    plan = adopt(Found(tuple(servers)), around())
    assert KEY not in written(plan)
    assert KEY not in repr(plan)


@pytest.mark.parametrize("name", ["PASSWORD", "githubToken", "X-Auth-Token", "apiKey", "AWS_SECRET_ACCESS_KEY", "pat"])
def test_names_that_tell(name: str) -> None:
    assert credentials.names_credential(name)


@pytest.mark.parametrize("name", ["monkey", "max_tokens", "PUBLIC_KEY", "keyboard", "compass", "author", "MODE"])
def test_names_that_do_not(name: str) -> None:
    assert not credentials.names_credential(name)


@given(any_text)
def test_finding_keys_loses_no_text(text: str) -> None:
    value: Value = (Text(text),) if text else ()
    for found in (
        credentials.in_member(value, "API_KEY", "w"),
        credentials.in_member(value, "x", "w"),
        credentials.in_url(value, "w"),
        *credentials.in_words((value,), "w"),
        *[
            credentials.in_words((*map(_word, before), value), "w")[-1]
            for before in (["-u"], ["mysql", "-p"], ["mysql"])
        ],
    ):
        assert "".join(part.text for part in found if isinstance(part, Text | Key)) == text


def _word(text: str) -> Value:
    return (Text(text),)
