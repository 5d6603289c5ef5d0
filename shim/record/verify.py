"""Whether the record is what was written: the chain, the checkpoints, and what hangs on them (P5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shim.errors import InvalidText, RecordUnavailable
from shim.model import Json, JsonObject
from shim.record import checkpoints, payloads
from shim.record.checkpoints import Checkpoint
from shim.store.chain import GENESIS, decode, link
from shim.store.reader import Event, Payload, Reader

Progress = Callable[[int, int | None], None]
"""Told how many events are done, and of how many (None: not known)."""

_PROGRESS_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result: `head` is the hash of the newest event in hex, `broken_at` the seq where it stops being true."""

    ok: bool
    events: int
    head: str
    broken_at: int | None = None
    what: str | None = None

    @classmethod
    def unread(cls, what: str) -> Verdict:
        """On a store that cannot even be opened."""
        return cls(False, 0, GENESIS.hex(), None, what)

    def to_json(self) -> JsonObject:
        """`{"ok", "events", "head", "broken_at", "what"}`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Expected:
    """A head that the verifier kept: the chain must have had it."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Expected:
        """From `SEQ:HASH`. Raises ValueError."""
        seq, colon, digest = text.partition(":")
        if not (colon and seq.isascii() and seq.isdecimal() and len(digest) == 64 and set(digest) <= _HEX):
            raise ValueError(f"{text!r} is not a checkpoint; write SEQ:HASH, the hash as 64 lower-case hex digits")
        return cls(int(seq), digest)


_HEX = frozenset("0123456789abcdef")


class _Broken(Exception):
    def __init__(self, seq: int | None, what: str) -> None:
        super().__init__(what)
        self.seq = seq
        self.what = what


class _Chain:
    """Walks events in order. Holds the heads that must be met, by seq."""

    def __init__(self, key: Ed25519PublicKey | None, kept: Iterable[Checkpoint | Expected]) -> None:
        self._key = key
        self._due: dict[int, set[str]] = {}
        self._latest = 0
        self.events = 0
        self.head = GENESIS
        for item in kept:
            if isinstance(item, Checkpoint) and key is not None and not item.is_signed_by(key):
                raise _Broken(item.seq, "a line of the file of checkpoints is not signed by the key")
            self._due.setdefault(item.seq, set()).add(item.hash)
            self._latest = max(self._latest, item.seq)

    def step(self, event: Event) -> JsonObject:
        """Check one event against the one before; what it holds. Raises _Broken."""
        seq = self.events + 1
        if event.seq != seq:
            raise _Broken(seq, f"event {seq} is missing; the next is {event.seq}")
        before = self.head
        digest = link(before, event.text)
        if digest != event.hash:
            raise _Broken(seq, "the event, or the one before it, is not what was written: its hash differs")
        found = _read(event.text)
        if found is None or found.get("seq") != seq:
            raise _Broken(seq, "the event's text is not an event with this seq")
        self.events, self.head = seq, digest
        due = self._due.pop(seq, None)
        if due is not None and due != {digest.hex()}:
            raise _Broken(seq, "a checkpoint that was kept names another hash here")
        if found["kind"] == "checkpoint":
            self._check(seq, checkpoints.from_body(found["body"]), before)
        return found

    def _check(self, seq: int, checkpoint: Checkpoint | None, before: bytes) -> None:
        if checkpoint is None or checkpoint.seq != seq - 1 or checkpoint.hash != before.hex():
            raise _Broken(seq, "the checkpoint does not name the event before it")
        if self._key is not None and not checkpoint.is_signed_by(self._key):
            raise _Broken(seq, "the checkpoint is not signed by the key")

    def finish(self) -> None:
        """After the last event: every head that must be met was. Raises _Broken."""
        if self._due:
            raise _Broken(
                self.events + 1,
                f"the chain ends at {self.events}; a checkpoint that was kept vouches for {self._latest}",
            )

    def verdict(self, broken: _Broken | None = None) -> Verdict:
        if broken is None:
            return Verdict(True, self.events, self.head.hex())
        return Verdict(False, self.events, self.head.hex(), broken.seq, broken.what)


def _read(text: bytes) -> JsonObject | None:
    try:
        found: Json = decode(text)
    except InvalidText:
        return None
    if not isinstance(found, dict) or tuple(found) != ("seq", "time", "kind", "invocation", "body"):
        return None
    invocation = found["invocation"]
    sound = isinstance(found["kind"], str) and isinstance(found["body"], dict)
    return found if sound and (invocation is None or isinstance(invocation, str)) else None


def verify_store(
    reader: Reader,
    key: Ed25519PublicKey | None,
    *,
    expected: Expected | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Verify a store and the file of checkpoints beside it; `expected` is a checkpoint that the verifier kept.

    What cannot be read is not verified: that is a verdict too.
    """
    chain = _Chain(None, ())
    try:
        # The file before the chain: a line is written after what it vouches for.
        kept: list[Checkpoint | Expected] = list(checkpoints.lines(checkpoints.file_path(reader.path)))
        chain = _Chain(key, [*kept, *([expected] if expected is not None else [])])
        with reader.snapshot():
            _walk_store(reader, chain, progress)
    except RecordUnavailable as error:
        return chain.verdict(_Broken(chain.events + 1, str(error)))
    except _Broken as broken:
        return chain.verdict(broken)
    return chain.verdict()


def _walk_store(reader: Reader, chain: _Chain, progress: Progress | None) -> None:
    total = reader.count("events")
    hanging = _Hanging(reader)
    rows = {row.seq: row for row in reader.checkpoints()}
    for event, payload in reader.events_with_payloads():
        found = chain.step(event)
        if found["kind"] in ("intent", "outcome"):
            hanging.check(event.seq, found, payload)
        elif found["kind"] == "config.loaded":
            _check_policy(reader, event.seq, found["body"])
        elif found["kind"] == "checkpoint":
            row = rows.pop(event.seq - 1, None)
            body = found["body"]
            if row is None or checkpoints.body(Checkpoint(row.seq, row.hash.hex(), row.time, row.signature)) != body:
                raise _Broken(event.seq, "the table of checkpoints does not hold this one as it is")
        if progress is not None and event.seq % _PROGRESS_EVERY == 0:
            progress(event.seq, total)
    if progress is not None:
        progress(chain.events, total)
    chain.finish()
    if rows:
        raise _Broken(min(rows), "the table of checkpoints holds one that is not an event")
    hanging.finish()
    wrong = reader.changed_columns()
    if wrong is not None:
        raise _Broken(None, wrong)


def _check_policy(reader: Reader, seq: int, body: JsonObject) -> None:
    digest, files = body.get("policy"), body.get("files")
    if not isinstance(digest, str) or not isinstance(files, list):
        raise _Broken(seq, "the event is not one that this program writes")
    # By content alone: the same texts may have had other names when they were first kept.
    kept = [hashlib.sha256(content).hexdigest() for _, content in reader.policy(digest)]
    if kept != [file.get("sha256") if isinstance(file, dict) else None for file in files]:
        raise _Broken(seq, "the texts of the configuration are not what was loaded")


class _Hanging:
    """The payloads: each as its event says, none missing, none more."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._found = 0

    def check(self, seq: int, event: JsonObject, payload: Payload | None) -> None:
        part = "arguments" if event["kind"] == "intent" else "result"
        body, invocation = event["body"], event["invocation"]
        sha256 = body.get(f"{part}_sha256")
        if sha256 is None:
            return
        if invocation is None or not isinstance(sha256, str):
            raise _Broken(seq, "the event is not one that this program writes")
        if payload is None:
            if not self._is_blanked(invocation, part):
                raise _Broken(seq, f"the {part} are missing, and no event says that they were blanked")
            return
        self._found += 1
        digest_only = body.get(f"{part}_kept") == "digest"
        if digest_only != (payload.content is None):
            raise _Broken(seq, f"the {part} are not kept as the event says")
        if payload.content is None:
            if payloads.salt_digest(payload.salt) != body.get(f"{part}_salt_sha256"):
                raise _Broken(seq, f"the salt of the {part} is not what was written: its digest differs")
            return
        if payloads.digest(payload.salt, payload.content) != sha256:
            raise _Broken(seq, f"the {part} are not what was written: their digest differs")

    def _is_blanked(self, invocation: str, part: str) -> bool:
        for event in self._reader.events_of(invocation):
            found = _read(event.text)
            if found is not None and found["kind"] == "payload.blanked":
                parts = found["body"].get("parts")
                if isinstance(parts, list) and part in parts:
                    return True
        return False

    def finish(self) -> None:
        if self._found != self._reader.count("payloads"):
            raise _Broken(None, "there are arguments or results that belong to no event")


def verify_events(
    lines: Iterable[bytes],
    key: Ed25519PublicKey | None,
    *,
    expected: Expected | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Verify what `exported_events` gave, line by line, without the store.

    Without a key the chain alone is checked; with one, the signatures of its checkpoints too.
    """
    chain = _Chain(key, [expected] if expected is not None else [])
    try:
        for event in _exported(lines, chain):
            chain.step(event)
            if progress is not None and event.seq % _PROGRESS_EVERY == 0:
                progress(event.seq, None)
        chain.finish()
    except _Broken as broken:
        return chain.verdict(broken)
    return chain.verdict()


def _exported(lines: Iterable[bytes], chain: _Chain) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
            yield Event(found["seq"], found["event"].encode("utf-8"), bytes.fromhex(found["hash"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
            raise _Broken(chain.events + 1, f"line {number} is not an exported event") from None


def verify_file(
    path: Path, key: Ed25519PublicKey | None, *, expected: Expected | None = None, progress: Progress | None = None
) -> Verdict:
    """As `verify_events`, for a file. Raises OSError."""
    with path.open("rb") as lines:
        return verify_events(lines, key, expected=expected, progress=progress)
