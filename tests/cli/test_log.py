"""Reading, exporting and verifying a record on which something happened."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from shim.record.invocation import FIELDS
from tests.cli.conftest import prepare
from tests.promises.running import SHIM, START, environment, run

CALLS = (
    ("reader", "git/git_status", "ok", '{"repo_path": "sample"}'),
    ("reader", "git/git_commit", "denied", "{}"),
    ("writer", "time/get_current_time", "ok", '{"timezone": "Etc/UTC"}'),
)


@dataclass(frozen=True)
class Lived:
    """A configuration on whose record three calls stand, and these as `log list --json` has them."""

    config: Path
    rows: list[dict[str, object]]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    config = prepare(tmp_path_factory.mktemp("lived"))

    def verb(*words: str) -> str:
        command = [SHIM, *words, "--config", str(config)]
        return subprocess.run(command, env=environment(config.parent), stdout=subprocess.PIPE, text=True).stdout

    for identity, tool, _, args in CALLS:
        verb("call", "--identity", identity, tool, args)
    return Lived(config, json.loads(verb("log", "list", "--json")))


async def test_list(lived: Lived) -> None:
    assert [(row["identity"], row["tool"], row["status"]) for row in lived.rows] == [call[:3] for call in CALLS]
    assert all(tuple(row) == FIELDS for row in lived.rows)
    _, out, _ = await run(lived.config, "log", "list", "--json", "--tool", "git/*", "--status", "denied")
    assert json.loads(out) == [lived.rows[1]]
    _, out, _ = await run(lived.config, "log", "list", "--json", "--until", "30d")
    assert json.loads(out) == []
    _, out, _ = await run(lived.config, "log", "list", "--limit", "1")
    assert "time/get_current_time" in out
    assert "git/git_status" not in out


async def test_show(lived: Lived) -> None:
    id_ = str(lived.rows[0]["id"])
    code, out, _ = await run(lived.config, "log", "show", id_, "--json")
    assert code == 0
    found = json.loads(out)
    assert [event["kind"] for event in found.pop("events")] == ["intent", "outcome"]
    assert found == lived.rows[0]
    code, out, _ = await run(lived.config, "log", "show", id_)
    assert code == 0
    assert "git/git_status" in out
    code, out, err = await run(lived.config, "log", "show", "nothing")
    assert (code, out) == (1, "")
    assert "not on the record" in err


async def test_stats(lived: Lived) -> None:
    code, out, _ = await run(lived.config, "log", "stats", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["invocations"] == 3
    assert found["status"] == {"ok": 2, "denied": 1}


async def test_export(lived: Lived) -> None:
    code, out, _ = await run(lived.config, "log", "export", "--json", "--after", str(lived.rows[0]["seq"]))
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == lived.rows[1:]
    code, out, _ = await run(lived.config, "log", "export", "--format", "csv", "--identity", "reader")
    assert code == 0
    header, *rows = csv.reader(io.StringIO(out))
    assert tuple(header) == FIELDS
    assert [row[header.index("tool")] for row in rows] == ["git/git_status", "git/git_commit"]


async def test_a_file_is_its_owners_alone_and_a_link_is_not_followed(lived: Lived, tmp_path: Path) -> None:
    file, link = tmp_path / "calls.jsonl", tmp_path / "link.jsonl"
    file.write_text("something longer than nothing\n" * 1000)
    file.chmod(0o644)
    link.symlink_to(tmp_path / "planted")
    code, out, err = await run(lived.config, "log", "export", "--format", "jsonl", "--output", str(file))
    assert (code, out, err) == (0, "", f"{file}: 3 calls\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 3
    code, _, err = await run(lived.config, "log", "export", "--format", "jsonl", "--output", str(link))
    assert code == 1
    assert "symbolic link" in err
    assert not (tmp_path / "planted").exists()


async def test_verify_here_and_elsewhere(lived: Lived, tmp_path: Path) -> None:
    # given the record, its public key, and its events away from it
    code, out, _ = await run(lived.config, "log", "verify", "--json")
    assert code == 0
    verdict = json.loads(out)
    assert list(verdict) == ["ok", "events", "head", "broken_at", "what"]
    key, events = tmp_path / "key.pem", tmp_path / "events.jsonl"
    _, pem, _ = await run(lived.config, "log", "key")
    key.write_text(pem)
    await run(lived.config, "log", "export", "--events", "--format", "jsonl", "--output", str(events))
    elsewhere = ("log", "verify", "--file", str(events), "--key", str(key), "--json")

    # then both say the same, and so does the head that was kept
    head = f"{verdict['events']}:{verdict['head']}"
    code, out, _ = await run(tmp_path / "no.yaml", *elsewhere, "--checkpoint", head)
    assert (code, json.loads(out)) == (0, verdict)

    # but when a letter is changed, or the end is cut off below that head
    text = events.read_text()
    events.write_text(text.replace("reader", "reeder", 1))
    code, out, _ = await run(tmp_path / "no.yaml", *elsewhere)
    assert (code, json.loads(out)["ok"]) == (1, False)
    assert json.loads(out)["broken_at"]
    events.write_text("".join(text.splitlines(keepends=True)[:-1]))
    code, out, _ = await run(tmp_path / "no.yaml", *elsewhere, "--checkpoint", head)
    assert (code, json.loads(out)["ok"]) == (1, False)


async def test_nothing_has_happened_yet(config: Path) -> None:
    # given an installation on which nothing ran
    # then there is nothing to list, and a person is told why
    for verb in ("list", "export", "tail"):
        code, out, err = await run(config, "log", verb)
        assert (code, out, err) == (0, "", "nothing was recorded yet\n")
    code, out, err = await run(config, "log", "stats")
    assert (code, err) == (0, "nothing was recorded yet\n")
    # and a machine gets the same shape as ever
    for verb, wanted in (("list", "[]\n"), ("export", ""), ("tail", "")):
        assert await run(config, "log", verb, "--json") == (0, wanted, "")
    code, out, err = await run(config, "log", "stats", "--json")
    zero = {"events": 0, "invocations": 0, "status": {}, "decision": {}, "identity": {}, "tool": {}}
    assert (code, json.loads(out), err) == (0, zero, "")
    # but what has to be there is missed
    for words in (("show", "x"), ("key",)):
        code, out, err = await run(config, "log", *words)
        assert (code, out, len(err.splitlines())) == (1, "", 1)
    code, out, err = await run(config, "log", "verify", "--json")
    verdict = json.loads(out)
    assert (code, err, verdict["ok"], verdict["events"], verdict["broken_at"]) == (1, "", False, 0, None)
    assert "there is no record" in verdict["what"]
    assert not (config.parent / "var").exists()


async def test_a_record_that_is_gone_is_not_one_that_never_was(config: Path) -> None:
    store = config.parent / "var" / "shim.db"
    await run(config, "call", "--identity", "reader", "git/nothing")
    assert (store.parent / "shim.checkpoints").exists()
    store.unlink()
    code, out, err = await run(config, "log", "list", "--json")
    assert (code, out) == (1, "")
    assert "there is no record" in err


async def test_a_reader_that_leaves_gets_no_complaint(lived: Lived) -> None:
    # given a pipe that nobody reads any more
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "log", "export", "--format", "jsonl", "--config", str(lived.config)),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        env=environment(lived.config.parent),
    )
    os.close(writing)
    _, err = await process.communicate()
    assert err == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [["tail", "--json"], ["export", "--format", "jsonl", "--follow"]], ids=lambda w: w[0])
async def test_following_until_told_to_stop(config: Path, words: list[str], number: signal.Signals) -> None:
    # given one that follows a record with one call on it
    await run(config, "call", "--identity", "reader", "git/nothing")
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "log", *words, "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(config.parent),
    )
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), START)
    # when another comes
    await run(config, "call", "--identity", "reader", "git/more")
    second = await asyncio.wait_for(process.stdout.readline(), START)
    process.send_signal(number)
    rest, err = await process.communicate()
    # then each was told once, and the end is a good one
    assert [json.loads(line)["tool"] for line in (first, second)] == ["git__nothing", "git__more"]
    assert (process.returncode, rest, err) == (0, b"", b"")


@pytest.mark.parametrize("verb", [("log", "list"), ("log", "export", "--format", "csv")])
@pytest.mark.parametrize(
    ("filter_", "why"),
    [
        (("--decision", "denied"), "'denied' is not one of allow, deny; `--status denied` asks for that"),
        (("--decision", "no"), "'no' is not one of allow, deny"),
        (("--status", "deny"), "running, unknown; `--decision deny` asks for that"),
        (("--status", "no"), "'no' is not one of ok, error, denied, failed, cancelled, running, unknown"),
    ],
)
async def test_a_word_that_is_none_is_told_its_own_option(
    lived: Lived, verb: tuple[str, ...], filter_: tuple[str, str], why: str
) -> None:
    code, out, err = await run(lived.config, *verb, *filter_)
    assert (code, out) == (2, "")
    assert err.rstrip().endswith(why)


@pytest.mark.parametrize(
    ("filter_", "statuses"),
    [(("--decision", "deny"), ["denied"]), (("--decision", "allow"), ["ok", "ok"]), (("--status", "ok"), ["ok", "ok"])],
)
async def test_decision_and_status_filter(lived: Lived, filter_: tuple[str, str], statuses: list[str]) -> None:
    _, out, _ = await run(lived.config, "log", "list", "--json", *filter_)
    assert [row["status"] for row in json.loads(out)] == statuses
