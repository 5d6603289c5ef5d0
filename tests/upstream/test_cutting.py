"""The two readers that cut streams into messages: whatever the pieces, the messages are the same, and bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.upstream.lines import Lines, TooLong
from shim.upstream.sse import Events, EventTooLong

PIECES = st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"id: 1"]), max_size=30)


@given(PIECES)
def test_lines_are_those_of_the_whole_text(pieces: list[bytes]) -> None:
    lines = Lines(10_000)
    cut = [line for piece in pieces for line in lines.feed(piece)]
    assert cut == b"".join(pieces).split(b"\n")[:-1]


@given(PIECES, st.integers(1, 8))
def test_a_line_over_the_limit_is_told_by_its_length(pieces: list[bytes], limit: int) -> None:
    lines = Lines(limit)
    for line, whole in zip(
        [line for piece in pieces for line in lines.feed(piece)], b"".join(pieces).split(b"\n"), strict=False
    ):
        if len(whole) > limit:
            assert isinstance(line, TooLong)
            assert (line.length, line.head, line.tail) == (len(whole), whole[:4096], whole[-4096:])
        else:
            assert line == whole


def test_a_long_line_keeps_no_more_than_its_ends_and_costs_no_more_than_its_length() -> None:
    lines = Lines(1000)
    began = time.process_time()
    for _ in range(10_000):
        lines.feed(b"x" * 10_000)
    (line,) = lines.feed(b"the end\n")
    assert isinstance(line, TooLong)
    assert line.length == 100_000_007
    assert line.tail.endswith(b"xthe end")
    assert time.process_time() - began < 2


@given(st.lists(st.sampled_from([b"a\n", b"\n", b"bb", b"c\nd"]), max_size=12), st.integers(0, 12))
def test_lines_that_are_skipped_are_counted_and_the_next_is_whole(pieces: list[bytes], skipped: int) -> None:
    lines, (before, after) = Lines(100), (b"".join(pieces[:skipped]), b"".join(pieces[skipped:]))
    assert sum(lines.skip(piece) for piece in pieces[:skipped]) == before.count(b"\n")
    assert list(lines.feed(after)) == (before + after).split(b"\n")[before.count(b"\n") : -1]


def test_an_empty_line_after_one_that_ends_with_cr_and_lf_in_two_pieces_ends_the_event() -> None:
    events = Events(100)
    assert events.feed(b"data: x\r") == events.feed(b"\n") == []
    assert [event.data for event in events.feed(b"\n")] == [b"x"]


@given(PIECES)
def test_events_do_not_depend_on_how_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    at_once, in_pieces, by_byte = Events(10_000), Events(10_000), Events(10_000)
    expected = at_once.feed(whole)
    assert [event for piece in pieces for event in in_pieces.feed(piece)] == expected
    assert [event for byte in whole for event in by_byte.feed(bytes([byte]))] == expected


def test_events_are_read_as_the_standard_says() -> None:
    events = Events(1000)
    stream = (
        b"\xef\xbb\xbf: hello\r\nevent: message\rid: 7\nretry: 250\ndata: one\ndata:two\r\n\r\ndata\n\nevent: x\n\n"
    )
    first, second = events.feed(stream)
    assert (first.data, first.kind, first.id) == (b"one\ntwo", b"message", b"7")
    assert (second.data, second.id) == (b"", b"7")
    assert events.retry == 0.25


def test_an_event_over_the_limit_is_refused_while_it_comes() -> None:
    events = Events(1000)
    events.feed(b"data: " + b"x" * 900)
    events.feed(b"x" * 900)
    with pytest.raises(EventTooLong):
        events.feed(b"x" * 900)


def test_comments_without_end_are_no_event() -> None:
    events = Events(1000)
    for _ in range(1000):
        assert events.feed(b": keep-alive, and nothing else\n") == []
    assert [event.data for event in events.feed(b"data: x\n\n")] == [b"x"]
