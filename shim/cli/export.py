"""`log export | key | verify`: taking the record elsewhere, and checking it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from shim.cli import output
from shim.cli.errors import PROBLEM, problem, usage
from shim.cli.following import until_stopped, wait
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration, store_path
from shim.cli.reading import (
    After,
    ByDecision,
    ByIdentity,
    ByStatus,
    ByTool,
    Running,
    Since,
    Until,
    query,
    reader,
    reader_if_any,
    say_nothing_yet,
)
from shim.cli.text import visible
from shim.errors import RecordUnavailable
from shim.model import JsonObject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from shim.record.queries import Query
    from shim.record.verify import Expected, Progress, Verdict
    from shim.store.reader import Reader

_LATER = ("parquet", "ocsf", "otlp", "syslog")
_EVERY = 100


def export(
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help="jsonl or csv.")] = "jsonl",
    config: Config = DEFAULT_CONFIG,
    events: Annotated[bool, typer.Option("--events", help="The chain itself, to be verified elsewhere.")] = False,
    since: Since = None,
    until: Until = None,
    after: After = 0,
    identity: ByIdentity = None,
    tool: ByTool = None,
    decision: ByDecision = None,
    status: ByStatus = None,
    running: Running = False,
    follow: Annotated[bool, typer.Option("--follow", help="And then what comes, until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A file (0600), not the screen.")
    ] = None,
) -> None:
    """What was called, for another system; or with --events, the chain as it is."""
    from shim.record.export import FORMATS

    if format_ in _LATER:
        raise usage(f"--format {format_}: not supported by this version; write jsonl or csv")
    if format_ not in FORMATS:
        raise usage(f"--format {format_!r} is not a format; write one of {', '.join(FORMATS)}")
    if as_json and format_ != "jsonl":
        raise usage(f"--json is --format jsonl, not {format_}")
    wanted = query(since, until, after, identity, tool, decision, status, running)
    narrowed = running or any(value is not None for value in (since, until, identity, tool, decision, status))
    if events and (narrowed or format_ != "jsonl"):
        raise usage("--events exports the chain whole, as jsonl: only --after, --follow and --output go with it")
    with reader_if_any(config) as record, _sink(file) as sink, until_stopped() if follow else nullcontext():
        chain = after if events else None
        shown = file is not None or not sys.stdout.isatty()
        written = _Count(_items(record, wanted, chain, follow=follow, shown=shown) if record is not None else ())
        for piece in FORMATS[format_](written):
            sink.write(piece)
            if follow:
                sink.flush()
    if record is None and not as_json:
        say_nothing_yet()
    if file is not None:
        what = "event" if events else "call"
        output.say(f"{visible(str(file))}: {written.count} {what}{'' if written.count == 1 else 's'}")


def _items(record: Reader, wanted: Query, chain: int | None, *, follow: bool, shown: bool) -> Iterable[JsonObject]:
    # `chain`: the events after that seq, instead of invocations.
    from shim.record import queries

    if chain is not None:
        items = _events(record, chain, follow)
    elif follow:
        items = queries.follow(record, wanted, wait)
    else:
        items = queries.listed(record, wanted)
    return items if follow else _watched(items, record, shown=shown)


class _Count:
    """Counts what passes."""

    def __init__(self, items: Iterable[JsonObject]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[JsonObject]:
        for item in self._items:
            self.count += 1
            yield item


@contextmanager
def _sink(file: Path | None) -> Iterator[BinaryIO]:
    if file is not None:
        with output.private_file(file) as sink:
            yield sink
    else:
        sys.stdout.flush()
        yield sys.stdout.buffer


def _events(record: Reader, after: int, follow: bool) -> Iterator[JsonObject]:
    from shim.record import queries

    while True:
        before = record.changes()
        for event in queries.exported_events(record, after):
            after = event["seq"]
            yield event
        if not follow:
            return
        while record.changes() == before:
            wait()


def _watched(items: Iterable[JsonObject], record: Reader, *, shown: bool) -> Iterator[JsonObject]:
    # Items come in order of seq, so how far along the chain one is says how much is done.
    with _progress("exporting", shown) as advance:
        head = record.head()
        for number, item in enumerate(items):
            if number % _EVERY == 0:
                advance(item["seq"], head.seq if head is not None else None)
            yield item


@contextmanager
def _progress(title: str, shown: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    if not (shown and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def key(config: Config = DEFAULT_CONFIG) -> None:
    """The public key that checks checkpoints (PEM)."""
    from shim.record import checkpoints

    private = checkpoints.load_key(_private_key(config))
    sys.stdout.write(checkpoints.public_pem(private).decode("ascii"))


def _private_key(config: Path) -> Path:
    from shim.record import checkpoints

    loaded = configuration(config, expand=False)
    path = Path(loaded.record.key) if loaded.record.key is not None else checkpoints.key_path(store_path(loaded))
    # Reading verbs make nothing: a key made now would not be the one that signed.
    if not path.exists():
        raise problem(f"{path}: there is no key yet; it is made at the first start")
    return path


def verify(
    config: Config = DEFAULT_CONFIG,
    file: Annotated[Path | None, typer.Option("--file", metavar="EXPORT", help="An export with --events.")] = None,
    public: Annotated[
        Path | None, typer.Option("--key", metavar="PUBLIC", help="The public key, from `log key`.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="SEQ:HASH", help="A head that you kept: the chain must have it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Whether the record is what was written: 0 if so, 1 if not."""
    from shim.record.verify import Expected, verify_file

    try:
        expected = Expected.parse(checkpoint) if checkpoint is not None else None
    except ValueError as error:
        raise usage(f"--checkpoint: {error}") from None
    with _progress("verifying") as progress:
        if file is not None:
            offline = _public_key(public) if public is not None else None
            try:
                verdict = verify_file(file, offline, expected=expected, progress=progress)
            except OSError as error:
                raise usage(f"--file {file}: {error.strerror}") from None
        else:
            verdict = _verify_own(config, public, expected, progress)
    if as_json:
        output.json_object(verdict.to_json())
    elif verdict.ok:
        output.line(f"ok: {verdict.events} events, unbroken; head {verdict.events}:{verdict.head}")
    else:
        where = f"at event {verdict.broken_at}: " if verdict.broken_at is not None else ""
        output.line(f"BROKEN {where}{verdict.what}")
    if file is not None and public is None:
        output.say("the chain alone was checked; with --key PUBLIC the signatures of its checkpoints are, too")
    if not verdict.ok:
        raise typer.Exit(PROBLEM)


def _verify_own(config: Path, public: Path | None, expected: Expected | None, progress: Progress) -> Verdict:
    from shim.record.verify import Verdict, verify_store

    with ExitStack() as stack:
        try:
            record = stack.enter_context(reader(config))
        except RecordUnavailable as error:
            return Verdict.unread(str(error))
        trusted = _public_key(public) if public is not None else _own_key(config)
        return verify_store(record, trusted, expected=expected, progress=progress)


def _public_key(path: Path) -> Ed25519PublicKey:
    from shim.record import checkpoints

    try:
        return checkpoints.load_public(path.read_bytes())
    except OSError as error:
        raise usage(f"--key {path}: {error.strerror}") from None
    except ValueError:
        raise usage(f"--key {path}: not a public key in PEM; `mcp-shim log key` prints it") from None


def _own_key(config: Path) -> Ed25519PublicKey:
    from shim.record import checkpoints

    return checkpoints.load_key(_private_key(config)).public_key()


def add_to(group: typer.Typer) -> None:
    """Add the verbs to the group `log`."""
    group.command()(export)
    group.command()(key)
    group.command()(verify)
