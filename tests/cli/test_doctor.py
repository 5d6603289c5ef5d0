"""`doctor`: each section finds what is broken in it, says what to do, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shim.cli.checkup import files, listening, secrets, store
from shim.cli.checkup.checks import Check
from shim.config.loader import load
from tests.cli.conftest import edit, prepare
from tests.cli.test_hostile import acting, odd
from tests.parts.odd import ROOT, odd_argv, read_ledger
from tests.promises.running import BIN, SHIM, START, environment, run, serving, write_config
from tests.upstream.test_tls import certify

__all__ = ["odd"]

UPSTREAM_WAITS = 10.0
SECTIONS = ["installation", "files", "store", "secrets", "upstreams", "clients", "identities", "server"]


SECRETS = """  kept: {source: file, path: secret}
  gone: {source: env, name: NOT_SET_HERE}
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run said."""

    code: int
    checks: list[Check]
    ok: bool
    err: str

    def one(self, section: str, name: str) -> Check:
        [found] = [check for check in self.checks if (check.section, check.name) == (section, name)]
        return found

    def broken(self) -> set[tuple[str, str]]:
        """Section and name of all that is an error."""
        return {(check.section, check.name) for check in self.checks if check.level == "error"}


async def doctor(config: Path, more: Mapping[str, str] | None = None) -> Report:
    code, out, err = await run(config, "doctor", "--json", more=more)
    found: dict[str, Any] = json.loads(out)
    checks = [Check(**check) for check in found["checks"]]
    for check in checks:
        if check.level in ("warning", "error"):
            assert check.remedy, check
    assert found["ok"] == all(check.level != "error" for check in checks)
    return Report(code, checks, found["ok"], err)


def named(checks: Iterator[Check], name: str) -> Check:
    [found] = [check for check in checks if check.name == name]
    return found


@pytest.fixture
def alone(config: Path) -> Path:
    """The configuration of the other verbs' tests, where no server of somebody else's may answer."""
    config.write_text(f"{config.read_text()}server: {{listen: '127.0.0.1:{unused_port()}'}}\n")
    return config


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def processes() -> str:
    """The command lines of all that runs on this machine."""
    return subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout


async def test_all_is_well(alone: Path) -> None:
    report = await doctor(alone)
    assert (report.code, report.ok, report.err) == (0, True, "")
    assert list(dict.fromkeys(check.section for check in report.checks)) == SECTIONS
    assert report.one("upstreams", "git").message.startswith("up, modern, ")
    assert report.one("identities", "reader").message.startswith("sees 4 tools over stdio, 2026-07-28, ")
    assert report.one("store", "record").level == "info"

    # and nothing was called; that the lists were shown is on the record, as for any client
    _, out, _ = await run(alone, "log", "list", "--json")
    assert json.loads(out) == []
    _, out, _ = await run(alone, "log", "export", "--events", "--format", "jsonl")
    kinds = [json.loads(json.loads(line)["event"])["kind"] for line in out.splitlines()]
    assert kinds.count("shown") == 2
    assert "intent" not in kinds


async def test_for_a_person_each_line_has_its_level_and_what_to_do(alone: Path) -> None:
    edit(alone, "mcp-server-time", "mcp-server-nowhere")
    code, out, err = await run(alone, "doctor")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    found = next(index for index, line in enumerate(lines) if line.startswith("  error    time: down: "))
    assert lines[found + 1].strip().startswith("-> ")
    assert lines[-1] == "1 error"


async def test_one_fault_is_said_once(alone: Path) -> None:
    # given a server that does not start, and one that is read by a secret whose file is missing
    edit(alone, "mcp-server-time", "mcp-server-nowhere")
    far = '{url: "http://127.0.0.1:9/mcp", headers: {A: "${secret:gone}"}, catalog: {gone: gone}}'
    edit(alone, "identities:\n", f"  far: {far}\nsecrets:\n  gone: {{source: file, path: keys/gone}}\nidentities:\n")

    # when all is looked at
    code, out, err = await run(alone, "doctor")

    # then each is one line and what to do, and what follows from it points there
    assert (code, err) == (1, "")
    assert out.count("cannot be read") == 1
    assert out.count("was not found") == 1
    assert "is not available" not in out
    assert "keys: not there yet" not in out
    assert "  error    far: down without the secret gone\n" in out
    missing = out[out.index("  error    gone: file: ") :].splitlines()[1]
    assert missing.strip().startswith(f"-> write it into {alone.parent}/keys/gone, ")


async def test_a_variable_that_is_not_set_is_said_once(alone: Path) -> None:
    line = edit(alone, "Etc/UTC]}", 'Etc/UTC], env: {A: "${env:NOT_SET_HERE}"}}')
    code, out, err = await run(alone, "doctor")
    assert code == 2
    assert (out.count("NOT_SET_HERE"), err.count("NOT_SET_HERE")) == (0, 1)
    assert f":{line}: " in err


async def test_without_a_configuration_it_says_how_to_get_one(tmp_path: Path) -> None:
    report = await doctor(tmp_path / "shim.yaml")
    assert report.code == 2
    configuration = report.one("files", "configuration")
    assert configuration.level == "error"
    assert "mcp-shim init" in (configuration.remedy or "")
    assert report.one("installation", "mcp-shim").level == "ok"
    assert "Traceback" not in report.err


async def test_a_broken_configuration_leaves_the_rest(alone: Path) -> None:
    line = edit(alone, "allow: [git/git_commit]", "alow: [git/git_commit]")
    report = await doctor(alone)
    assert report.code == 2
    assert f"{alone}:{line}: " in report.err
    assert report.broken() == {("files", "configuration")}
    assert report.one("installation", "python").level == "ok"


async def test_another_command_of_that_name_in_path_is_said(tmp_path: Path) -> None:
    other = tmp_path / "bin" / "mcp-shim"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    report = await doctor(tmp_path / "shim.yaml", {"PATH": f"{other.parent}:{BIN}:/usr/bin:/bin"})
    command = report.one("installation", "command")
    assert command.level == "warning"
    assert str(other) in command.message


def test_who_else_can_read_or_write_is_told_and_the_remedy_mends_it(config: Path) -> None:
    # given a store, its key and a configuration that others can reach, under a name that a shell would take apart
    folder = config.parent / "it's; here"
    folder.mkdir(0o777)
    folder.chmod(0o777)
    edit(config, "store: sqlite:var/shim.db", f'store: "sqlite:{folder}/shim.db"')
    for name in ("shim.db", "shim.db-wal", "shim.key"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    config.chmod(0o666)

    # when it is looked at, each is an error
    loaded = load(config, {})
    found = [check for check in files.checks(loaded) if check.level == "error"]
    assert [check.name for check in found] == ["configuration", "store", "store", "key", "store folder"]
    assert "group and others can read it" in found[1].message

    # then doing as it says is enough
    for check in found:
        assert check.remedy is not None
        subprocess.run(check.remedy, shell=True, check=True)
    assert [check for check in files.checks(loaded) if check.level == "error"] == []


def test_a_link_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").touch(0o600)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loose").symlink_to("nowhere")
    found = files.look(files.Kept("store", tmp_path / "link"))
    assert (found.level, str(tmp_path / "real") in found.message) == ("ok", True)
    assert files.look(files.Kept("store", tmp_path / "loose")).level == "error"


async def test_a_key_that_did_not_sign_the_checkpoints_is_found(config: Path) -> None:
    await run(config, "call", "--identity", "reader", "git/git_status", '{"repo_path": "sample"}')
    loaded = load(config, {})
    assert {check.level for check in store.checks(loaded)} == {"ok"}
    (config.parent / "var/shim.key").unlink()
    assert named(store.checks(loaded), "key").level == "error"
    (config.parent / "other").mkdir()
    other = prepare(config.parent / "other")
    await run(other, "call", "--identity", "reader", "git/git_status")
    (other.parent / "var/shim.key").rename(config.parent / "var/shim.key")
    assert "is not the key that signed" in named(store.checks(loaded), "key").message


async def test_a_damaged_store_is_an_error_of_the_store_and_of_who_needs_it(alone: Path) -> None:
    var = alone.parent / "var"
    var.mkdir(0o700)
    (var / "shim.db").write_bytes(b"not a database at all\n" * 100)
    (var / "shim.db").chmod(0o600)
    report = await doctor(alone)
    assert report.code == 1
    assert report.broken() == {("store", "record"), ("identities", "reader"), ("identities", "writer")}
    assert "damaged" in report.one("identities", "reader").message


def test_a_store_that_is_gone_is_told_from_one_that_never_was(config: Path) -> None:
    var = config.parent / "var"
    loaded = load(config, {})
    assert named(store.checks(loaded), "record").level == "info"
    var.mkdir()
    (var / "shim.checkpoints").touch()
    assert named(store.checks(loaded), "record").level == "error"


async def test_calls_that_a_kill_left_without_an_outcome_are_counted(tmp_path: Path) -> None:
    # given a process that is killed in the middle of a call
    ledger = tmp_path / "ledger"
    command = json.dumps(odd_argv(ledger=ledger))
    config = write_config(
        tmp_path,
        f"version: 1\nstore: sqlite:shim.db\nupstreams:\n  odd: {{command: {command}, cwd: {ROOT}}}\n"
        "identities: {me: {local: true}}\ngrants:\n  - {name: all, to: [me], allow: ['odd/*']}\n",
    )
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "call", "--identity", "me", "odd/slow", '{"key": "one"}', "--config", str(config)),
        env=environment(tmp_path),
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(START):
        while True:
            if read_ledger(ledger):
                break
            await asyncio.sleep(0.02)
    assert named(store.checks(load(config, {})), "processes").message.startswith("1 ")
    process.send_signal(signal.SIGKILL)
    await process.wait()

    # then its call is counted
    found = named(store.checks(load(config, {})), "unfinished")
    assert (found.level, found.message.split()[0]) == ("warning", "1")


async def test_upstreams_that_hang_are_bounded_and_ended(tmp_path: Path) -> None:
    # given an upstream that never says a word, and one whose definitions act on a terminal
    mark = f"{os.getpid()}{time.monotonic_ns()}"
    config = write_config(
        tmp_path,
        f"""version: 1
store: sqlite:shim.db
server: {{listen: '127.0.0.1:{unused_port()}'}}
upstreams:
  silent: {{command: [sleep, "{mark}"]}}
identities:
  nobody: {{local: true}}
""",
    )
    began = time.monotonic()
    report = await doctor(config)
    assert time.monotonic() - began < 2 * UPSTREAM_WAITS + START
    assert report.broken() == {("upstreams", "silent")}
    nobody = report.one("identities", "nobody")
    assert (nobody.level, nobody.message.split()[:2]) == ("warning", ["sees", "0"])
    assert mark not in await asyncio.to_thread(processes)


async def test_what_is_left_out_is_counted_and_nothing_hostile_acts(odd: Path) -> None:
    code, out, err = await run(odd, "doctor")
    assert code == 0, out
    assert "1 left out" in out
    assert acting(out) == set()
    assert acting(err) == set()


async def test_a_server_that_listens_is_asked_whether_it_is_ready(config: Path) -> None:
    edit(config, "store: sqlite:var/shim.db", "store: sqlite:var/shim.db\nserver: {listen: '127.0.0.1:1'}")
    async with serving(config) as shim:
        loaded = load(config, {}).listening_on(shim.url.removeprefix("http://").removesuffix("/mcp"))
        found = [(check.name, check.level) for check in await asyncio.to_thread(list, listening.checks(loaded))]
        assert found == [("healthz", "ok"), ("readyz", "ok")]
    [check] = listening.checks(loaded)
    assert check.level == "info"


async def test_over_tls_it_is_known_by_its_certificate(config: Path) -> None:
    # given a server with a certificate of its own
    certify(config.parent, "ours")
    certify(config.parent, "theirs")
    for name in ("ours", "theirs"):
        (config.parent / f"{name}.key").chmod(0o600)
    address = f"127.0.0.1:{unused_port()}"
    server = f"server: {{listen: '{address}', tls: {{cert: ours.pem, key: ours.key}}}}"
    edit(config, "version: 1\n", f"version: 1\n{server}\n")
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "serve", "--config", str(config)), stderr=asyncio.subprocess.PIPE, env=environment(config.parent)
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(START):
            while b"listening on" not in await process.stderr.readline():
                pass

        # then it is known by that certificate, and by no other
        found = await asyncio.to_thread(list, listening.checks(load(config, {})))
        assert [check.level for check in found] == ["ok", "ok"]
        edit(config, "cert: ours.pem, key: ours.key", "cert: theirs.pem, key: theirs.key")
        [check] = await asyncio.to_thread(list, listening.checks(load(config, {})))
        assert (check.level, "CERTIFICATE_VERIFY_FAILED" in check.message) == ("warning", True)
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-other\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"\x1b[2J" * 100_000,
    ],
)
async def test_somebody_else_at_our_address_is_said(config: Path, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        loaded = load(config, {}).listening_on(f"127.0.0.1:{port}")
        found = await asyncio.to_thread(list, listening.checks(loaded))
    assert "warning" in {check.level for check in found}


def test_secrets_that_cannot_be_had_are_found_and_no_value_is_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one secret that is there, and one that is not
    hidden = "hunter2-hunter2"
    (config.parent / "secret").write_text(json.dumps({"key": hidden}))
    (config.parent / "secret").chmod(0o600)
    edit(config, "identities:\n", f"secrets:\n{SECRETS}identities:\n")
    edit(config, "Etc/UTC]}", 'Etc/UTC], env: {A: "${secret:kept.key}", B: "${secret:gone}"}}')
    loaded = load(config, {})

    # when all are asked for
    found = {check.name: check for check in secrets.checks(loaded)}

    # then each is told, and no value
    assert [found[name].level for name in ("kept", "gone")] == ["info", "error"]
    assert "NOT_SET_HERE" in found["gone"].message
    assert hidden not in repr(found)
    monkeypatch.setenv("NOT_SET_HERE", hidden)
    there = {check.name: check for check in secrets.checks(loaded)}
    assert there["gone"].level == "info"
    assert hidden not in repr(there)
    assert [check.name for check in files.checks(loaded) if check.section == "files"].count("secret") == 1
