"""The strict reader of messages: laws over any text, and over any spelling of a protocol key."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.server.message import BadMessage, read, trace_of

KEYS = ("jsonrpc", "id", "method", "params", "result", "error")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with suppress(BadMessage):
        read(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("2.0"),
    lambda inner: st.dictionaries(st.sampled_from(KEYS) | st.text(), inner) | st.lists(inner),
)


@given(VALUES)
def test_any_value_is_read_or_refused(value: object) -> None:
    try:
        message = read(json.dumps(value).encode())
    except BadMessage:
        return
    assert isinstance(value, dict)
    assert value["jsonrpc"] == "2.0"
    assert message.raw == value


def spellings(key: str) -> st.SearchStrategy[str]:
    """The key in other cases and widths, with what cannot be seen between its letters."""
    wide = {c: chr(ord(c) + 0xFEE0) for c in key if "!" <= c <= "~"}
    letters = [st.sampled_from([c, c.upper(), wide.get(c, c), c + "\u200b", c + "\0", "\u00ad" + c]) for c in key]
    return st.tuples(*letters).map("".join).filter(lambda text: text != key)


@given(st.sampled_from(KEYS).flatmap(spellings))
def test_no_other_spelling_of_a_protocol_key_passes(key: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "x", key: 1}
    with pytest.raises(BadMessage) as caught:
        read(json.dumps(message).encode())
    assert (caught.value.code, caught.value.id) == (-32600, 1)


@given(st.sampled_from(("name", "arguments", "_meta", "requestState")).flatmap(spellings))
def test_no_other_spelling_of_a_parameter_passes(key: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "n", key: {}}}
    with pytest.raises(BadMessage):
        read(json.dumps(message).encode())


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
@pytest.mark.parametrize("key", ["TaskId", "taskid", "task\u200bId", "taskId\0"])
def test_no_other_spelling_of_the_id_of_a_task_passes(method: str, key: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"taskId": "mine", key: "theirs"}}
    with pytest.raises(BadMessage):
        read(json.dumps(message).encode())


def test_unknown_members_pass() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "more": 1, "params": {"name": "n", "extra": {"Name": 1}}}
    assert read(json.dumps(body).encode()).params == {"name": "n", "extra": {"Name": 1}}


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-later", TRACE),
        (f"00-{TRACE}-{PARENT}-01-later", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01\n", None),
        (7, None),
        (None, None),
    ],
)
def test_only_a_valid_traceparent_names_a_trace(value: object, trace: str | None) -> None:
    assert trace_of({"traceparent": value}) == trace
