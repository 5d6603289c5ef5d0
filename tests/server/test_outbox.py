"""What is kept for clients that do not read, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shim.server.outbox import Outbox
from shim.server.replay import Replays, Room


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(0, 40))
def test_whoever_comes_late_hears_of_each_kind_once_in_order(kinds: list[str], after: int) -> None:
    outbox = Outbox()
    for kind in kinds:
        outbox.put(kind, kind)
    heard = [notice.method for notice in outbox.after(after)]
    missed = kinds[after:]
    assert heard == sorted(set(missed), key=lambda kind: len(missed) - missed[::-1].index(kind))
    assert len(outbox) == len(set(kinds))


def test_an_outbox_is_bounded_by_its_kinds() -> None:
    outbox = Outbox(kept=3)
    for kind in range(100):
        outbox.put(kind, str(kind))
        outbox.put(kind, str(kind))
    assert [notice.method for notice in outbox.after(0)] == ["97", "98", "99"]
    outbox.forget(98)
    assert [notice.method for notice in outbox.after(0)] == ["97", "99"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_a_stream_says_is_kept_in_number_and_bytes() -> None:
    track = Replays(Clock(), Room(events=3, bytes=10)).begin("session", "call")
    for number in range(1, 6):
        track.add(b"%d" % number)
    # the oldest are gone, and who would miss one is told so
    assert track.after(1) is None
    assert track.after(2) == [(3, b"3"), (4, b"4"), (5, b"5")]
    assert track.after(5) == []
    assert track.after(6) is None
    track.add(b"x" * 9)
    assert track.after(5) == [(6, b"x" * 9)]
    # one that is too large by itself is not kept
    track.add(b"y" * 11)
    assert (track.after(6), track.after(7), track.size) == (None, [], 0)


def test_streams_that_ended_are_kept_in_bytes_and_time() -> None:
    clock = Clock()
    replays = Replays(clock, Room(all_bytes=10, seconds=60))
    for name in ("a", "b", "c"):
        track = replays.begin("session", name)
        track.add(b"1234")
        replays.end(track)
    assert [replays.find("session", name) is not None for name in ("a", "b", "c")] == [False, True, True]
    assert replays.size == 8
    running = replays.begin("session", "d")
    clock.now = 60.0
    assert [replays.find("session", name) for name in ("b", "c", "d")] == [None, None, running]
    assert (replays.size, len(replays)) == (0, 1)


def test_nothing_is_kept_for_a_session_that_ended() -> None:
    replays = Replays(Clock())
    ended, running, other = replays.begin("one", "a"), replays.begin("one", "b"), replays.begin("other", "a")
    ended.add(b"x")
    replays.end(ended)
    replays.forget("one")
    assert running.ended
    # a call of it that ends later leaves nothing either
    running.add(b"late")
    replays.end(running)
    assert (len(replays), replays.size, replays.find("other", "a")) == (1, 0, other)


def test_a_request_that_takes_an_id_again_takes_the_place_of_the_first() -> None:
    replays = Replays(Clock())
    first = replays.begin("one", "a")
    first.add(b"x")
    replays.end(first)
    second = replays.begin("one", "a")
    assert (replays.find("one", "a"), len(replays), replays.size) == (second, 1, 0)
