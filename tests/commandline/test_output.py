"""What becomes of what a program writes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import jsontext
from shim.errors import ResultTooLarge
from shim.model import JsonObject
from shim.upstream.arguments import compiled
from shim.upstream.commandline.output import failed, least, result, schema_of
from shim.upstream.commandline.stderr import Stderr
from tests.commandline.given import block
from tests.upstream.support import running

NUMBERS: JsonObject = {"type": "array", "items": {"type": "integer"}}
OBJECT: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("output", "schema", "written", "structured"),
    [
        ("text", None, b"a\n", None),
        ("lines", None, b"a\nb\n", {"result": ["a", "b"]}),
        ("lines", None, b"", {"result": []}),
        ("lines", None, b"\na\r\n\n", {"result": ["", "a", ""]}),
        ("lines", None, "a\fb\x1ec\u2028d\ne".encode(), {"result": ["a\fb\x1ec\u2028d", "e"]}),
        ("json", None, b'{"a": 1}', {"a": 1}),
        ("json", None, b"[1]", {"result": [1]}),
        ("json", NUMBERS, b"[1, 2]", {"result": [1, 2]}),
        ("json", OBJECT, b'{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        ("json", {"properties": OBJECT["properties"]}, b'{"a": 1}', {"a": 1}),
    ],
)
def test_what_is_structured_fits_what_was_promised(
    output: str, schema: JsonObject | None, written: bytes, structured: Any
) -> None:
    found = result(output, schema, written, None)
    assert found.get("structuredContent") == structured
    assert found["content"] == [{"type": "text", "text": written.decode() or "(no output)"}]
    promised = schema_of(output, schema)
    assert promised is None or (promised["type"] == "object" and compiled(promised).is_valid(structured))


@pytest.mark.parametrize(
    ("schema", "written", "why"),
    [
        (None, b"{", "is not the JSON that it should be"),
        (None, b'{"a": NaN}', "NaN is not JSON"),
        (None, b'{"a": 1, "a": 2}', "appears twice"),
        (NUMBERS, b'["a"]', "does not fit the tool's output schema"),
        (OBJECT, b"[]", "does not fit the tool's output schema"),
        ({"properties": {}}, b"[]", "does not fit the tool's output schema"),
        (OBJECT, b'{"a": "\\ud800"}', "half of a character"),
    ],
)
def test_json_that_is_not_what_it_should_be_is_an_error(schema: JsonObject | None, written: bytes, why: str) -> None:
    found = result("json", schema, written, None)
    assert found["isError"] is True
    assert "structuredContent" not in found
    assert why in found["content"][0]["text"]


def test_bytes_become_what_their_media_type_says() -> None:
    data = base64.b64encode(b"\x00\xff").decode()
    picture = result("image/png", None, b"\x00\xff", "i")
    assert picture["content"] == [{"type": "image", "data": data, "mimeType": "image/png"}]
    sound = result("audio/wav", None, b"\x00\xff", "i")
    assert sound["content"] == [{"type": "audio", "data": data, "mimeType": "audio/wav"}]
    (other,) = result("application/pdf", None, b"\x00\xff", "i")["content"]
    resource = {"uri": "urn:mcp-shim:output:i", "mimeType": "application/pdf", "blob": data}
    assert other == {"type": "resource", "resource": resource}


def test_what_is_no_text_is_shown_and_said() -> None:
    first, note = result("text", None, b"a\xffb", None)["content"]
    assert first["text"] == "a\N{REPLACEMENT CHARACTER}b"
    assert "no UTF-8" in note["text"]


def test_a_signal_is_told_as_one() -> None:
    assert failed("/opt/bin/x", -9, "image/png", b"\x00", "")["content"] == [
        {"type": "text", "text": "x was ended by signal 9."}
    ]


def test_a_line_of_which_a_part_is_cut_off_is_not_told() -> None:
    told: list[str] = []
    stderr = Stderr(lambda text: text.replace("secret-of-theirs", "***"), told.append)
    for piece in (
        b"secret-of-",
        b"theirs",
        b"x" * 4090,
        b"\n",
        b"\x07" * 4085 + b"secret-of-theirs\n",
        b"secret-of-theirs\n",
    ):
        stderr(piece)
    assert told == ["***"]


pieces = st.sampled_from([b"\n", b"\r", b"\r\n", b"\v", b"\x1c", b"\x1d", "\x85\u2028".encode(), b"\xf0\x9f\x98", b"a"])


@given(st.sampled_from(["text", "lines", "image/png"]), st.lists(pieces | st.binary(max_size=3)).map(b"".join))
def test_no_result_is_smaller_than_it_was_said_to_be(output: str, written: bytes) -> None:
    assert least(output, written) <= len(jsontext.dump(result(output, None, written, None)))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\f", b"\x1c"])
def test_nor_is_one_of_many_ends(end: bytes) -> None:
    assert least("lines", end * 1000) <= len(jsontext.dump(result("lines", None, end * 1000, None)))


def test_lines_that_are_empty_are_told_by_what_their_list_takes() -> None:
    made = len(jsontext.dump(result("lines", None, b"\n" * 1000, None)))
    assert made - 100 < least("lines", b"\n" * 1000) <= made


async def test_empty_lines_are_too_large_by_what_they_would_be_as_json() -> None:
    zeros = block(
        "/bin/sh", {"run": ["-c", "head -c 900 /dev/zero | tr '\\0' '\\n'"], "output": "lines"}, max_result=4096
    )
    async with running({"u": zeros}) as run:
        with pytest.raises(ResultTooLarge, match="larger than 4096 bytes"):
            await run.call("u", "t")
