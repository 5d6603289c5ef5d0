"""Why a process ended, in its own words: for whoever runs the shim, without keys, and for no caller."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from shim.errors import UpstreamUnavailable
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import Ended
from shim.upstream.hiding import Hiding
from tests.secrets.asking import broker as secrets_broker
from tests.upstream.support import Running, running

KEY = "Kd8-fake/key+42=zz"
TOKEN = "ghp_" + "a1B2" * 9


def dying(script: str, **block: object) -> UpstreamBlock:
    """An upstream whose process is a Python script, and ends."""
    return UpstreamBlock.model_validate({"command": (sys.executable, "-S", "-E", "-c", script), **block})


async def excuse(run: Running) -> str:
    """What a caller is told."""
    with pytest.raises(UpstreamUnavailable) as caught:
        await run.call("odd", "echo")
    assert caught.value.detail == str(caught.value), "the record would keep what is not the caller's to know"
    return str(caught.value)


async def error_of(script: str, **block: object) -> str:
    """What whoever runs the shim is told; callers are told nothing of what the process said."""
    async with running({"odd": dying(script, **block)}) as run:
        error = run.upstreams.status()["odd"].error or ""
        assert await excuse(run) == "The upstream odd is not available: its process ended with status 1."
        return error


BEGINNING = "The upstream odd is not available: its process ended with status 1"


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("Starting\nError: GITHUB_TOKEN is missing\n", "Error: GITHUB_TOKEN is missing"),
        ("no line feed at the end", "no line feed at the end"),
        (
            "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'HOST'\n",
            "KeyError: 'HOST'",
        ),
        (
            "throw e;\n^\n\nError: Cannot find module 'x'\n    at Module._load (node:internal/modules/cjs:1:2) {\n"
            "  code: 'E',\n  requireStack: []\n}\n\nNode.js v22.1.0\n",
            "Error: Cannot find module 'x'",
        ),
        ("\x1b[1m\x1b[31merror\x1b[0m: no \x1b]0;title\x07 \u202e\n", "error: no \\x1b]0;title\\x07 \\u202e"),
        ("Error: " + "ghp_aaaaaaaaaaaaaaaaaaaaaaa\x1b[1maaaaaaaaaaaaaaaaaaaaaa\n", "Error: [redacted]"),
        ("Error: " + "x" * 300 + "\n", "Error: " + "x" * 193 + " ..."),
        ("\xff\xfe Error: bytes\n", "\xff\xfe Error: bytes"),
    ],
    ids=["error", "unfinished", "python", "node", "controls", "coloured key", "long", "letters"],
)
async def test_what_a_process_said_last_of_its_reason_is_told(said: str, quoted: str) -> None:
    script = f"import os; os.write(2, {said.encode()!r}); os._exit(1)"
    assert await error_of(script) == f'{BEGINNING}: "{quoted}".'


@pytest.mark.parametrize("said", [b"", b"\n \n", b"-----\n}\n"], ids=["nothing", "blank", "no word"])
async def test_a_process_that_said_nothing_is_quoted_with_nothing(said: bytes) -> None:
    assert await error_of(f"import os; os.write(2, {said!r}); os._exit(1)") == f"{BEGINNING}."


async def test_a_key_that_a_process_prints_is_not_in_its_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a server that was handed a key as a secret and another as a variable, and prints both, as they are and in
    # an address, and one of somebody else
    caplog.set_level("DEBUG")
    script = (
        "import os, sys, urllib.parse as u; key, other = os.environ['KEY'], os.environ['OTHER']; "
        f"sys.exit(f'Error: {{key!r}} at ?k={{u.quote(key, safe=\"\")}} or {{other}} or {TOKEN}')"
    )
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    broker = secrets_broker({"key": {"source": "file", "path": str(tmp_path / "key")}})
    block = dying(script, env={"KEY": "Bearer \0key\0", "OTHER": "anotherone"}, catalog={"key": "key"})

    # when it is started
    async with running({"odd": block}, broker=broker) as run:
        error = run.upstreams.status()["odd"].error or ""

    # then the reason is told, with names where the keys were
    expected = "Error: 'Bearer [secret:key]' at ?k=Bearer%20[secret:key] or [env:OTHER] or [redacted]"
    assert error == f'{BEGINNING}: "{expected}".'
    assert not any(key in caplog.text for key in (KEY, "anotherone", TOKEN))


def test_what_a_process_said_is_in_nothing_that_a_call_is_refused_with() -> None:
    # A call that opened a session of its own raises it as it is.
    ended = Ended("odd", "its process ended with status 1", "Error: no")
    assert ended.explained == f'{BEGINNING}: "Error: no".'
    assert str(ended) == ended.detail == f"{BEGINNING}."


def test_a_value_is_hidden_line_by_line_and_the_longest_first() -> None:
    pem = "-----BEGIN X-----\nMIIBVwIBADANBgkq\nabc\n-----END X-----"
    hide = Hiding(
        {"pem": pem, "a": "abcdefgh", "b": "abcdefghij", "short": "xyz"}, {"TZ": "UTC", "DIR": "/srv/re"}, str
    )

    assert hide("MIIBVwIBADANBgkq") == "[secret:pem]"
    assert hide(json.dumps({"key": pem})) == '{"key": "[secret:pem]"}'
    assert hide("abcdefghij abcdefgh") == "[secret:b] [secret:a]"
    assert Hiding({}, {"BYTES": "no text: \udcff"}, str)("no text: \udcff") == "[env:BYTES]"
    assert hide("xyz in UTC, /srv/re") == "[secret:short] in UTC, /srv/re"


async def test_a_flood_of_complaints_and_an_endless_one_are_bounded() -> None:
    script = "import os; os.write(2, b'Error: ' + b'y' * 70_000 + b'\\n'); os._exit(1)"
    assert await error_of(script) == f'{BEGINNING}: "Error: ...".'
