"""What was written on the streams of calls, kept for a while: a client that lost its connection reads on from there.

A call of a legacy client goes on when its connection breaks (MCP 2025-11-25, "Streamable HTTP": a disconnection is not
a cancellation), so its answer has to wait somewhere. Here it waits: bounded in number, bytes and time, and no longer
than its session lives.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

MOST_EVENTS = 256
MOST_BYTES = 4 * 2**20
"""Of one stream; when it has more, its oldest events go first."""

KEPT_BYTES = 32 * 2**20
"""Of all streams that have ended; when there are more, the streams that ended first go."""

KEPT_SECONDS = 60.0
"""How long what was written can be read again after the stream has ended."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bounds of what is kept."""

    events: int = MOST_EVENTS
    bytes: int = MOST_BYTES
    all_bytes: int = KEPT_BYTES
    seconds: float = KEPT_SECONDS


class Track:
    """The stream of one call. `name` is its own in its session, whose key is `owner`."""

    __slots__ = ("_bell", "_events", "_first", "_release", "_room", "ended", "ended_at", "name", "owner", "size")

    def __init__(self, owner: str, name: str, room: Room) -> None:
        self.owner = owner
        self.name = name
        self._room = room
        self._events: deque[bytes] = deque()
        self._first = 1
        self._bell: Callable[[], None] | None = None
        self._release: Callable[[], None] | None = None
        self.ended = False
        self.ended_at = 0.0
        self.size = 0

    @property
    def last(self) -> int:
        """The number of the newest event; 0 is that of the beginning."""
        return self._first + len(self._events) - 1

    def add(self, event: bytes) -> None:
        """Keep one more event."""
        self._events.append(event)
        self.size += len(event)
        while len(self._events) > self._room.events or (self._events and self.size > self._room.bytes):
            self.size -= len(self._events.popleft())
            self._first += 1
        self._ring()

    def end(self) -> None:
        """There will be no more events."""
        self.ended = True
        self._ring()

    def after(self, number: int) -> list[tuple[int, bytes]] | None:
        """(number, event) of each that came after that one; None where one of them is no longer kept."""
        if not self._first - 1 <= number <= self.last:
            return None
        return [(at, self._events[at - self._first]) for at in range(number + 1, self.last + 1)]

    def take(self, bell: Callable[[], None] | None, release: Callable[[], None]) -> None:
        """Be the one who delivers it; who did so before is told to leave, by its `release`.

        `bell` is called when there is more to read.
        """
        if self._release is not None:
            self._release()
        self._bell, self._release = bell, release

    def leave(self, release: Callable[[], None]) -> None:
        """Deliver it no longer."""
        if self._release == release:
            self._bell = self._release = None

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell()


class Replays:
    """Owns the tracks: those of calls that run, and those that ended of late."""

    def __init__(self, clock: Callable[[], float], room: Room | None = None) -> None:
        self._clock = clock
        self._room = room or Room()
        self._tracks: dict[str, dict[str, Track]] = {}
        self._ended: OrderedDict[Track, None] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return sum(map(len, self._tracks.values()))

    @property
    def size(self) -> int:
        """Bytes of the streams that have ended."""
        return self._size

    def begin(self, owner: str, name: str) -> Track:
        """A new track of a session, in the place of the one that had its name."""
        self.purge()
        before = self._tracks.get(owner, {}).get(name)
        if before is not None:
            self.discard(before)
        track = self._tracks.setdefault(owner, {})[name] = Track(owner, name, self._room)
        return track

    def find(self, owner: str, name: str) -> Track | None:
        """A session's track, while it is kept."""
        self.purge()
        return self._tracks.get(owner, {}).get(name)

    def end(self, track: Track) -> None:
        """A stream has ended: its track is kept for a while."""
        track.end()
        if self._tracks.get(track.owner, {}).get(track.name) is not track:
            return  # its session ended before it did
        track.ended_at = self._clock()
        self._ended[track] = None
        self._size += track.size
        while self._size > self._room.all_bytes:
            self._drop(next(iter(self._ended)))

    def discard(self, track: Track) -> None:
        """A track of which nothing is to be kept."""
        track.end()
        self._drop(track)

    def forget(self, owner: str) -> None:
        """A session has ended: nothing of it is kept."""
        for track in tuple(self._tracks.get(owner, {}).values()):
            self.discard(track)

    def purge(self) -> None:
        """Drop what has been kept for long enough."""
        end = self._clock() - self._room.seconds
        while self._ended and (track := next(iter(self._ended))).ended_at <= end:
            self._drop(track)

    def _drop(self, track: Track) -> None:
        tracks = self._tracks.get(track.owner, {})
        if tracks.get(track.name) is track:
            del tracks[track.name]
            if not tracks:
                del self._tracks[track.owner]
        if track in self._ended:
            del self._ended[track]
            self._size -= track.size
