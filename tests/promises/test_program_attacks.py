"""What values have made of real programs elsewhere: each attack works on the program itself, and not through the shim.

The inputs are as free as a declaration may have them, so that it is no pattern that keeps an attack out.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shim.model import JsonObject
from tests.commandline.given import script
from tests.parts import programs
from tests.parts.install import MissingPart
from tests.promises.databases import exported
from tests.promises.running import serving, token
from tests.promises.test_programs import asked, configured, refused, text
from tests.promises.wire import HttpPeer, http

UPSTREAMS = """
  git:
    program: git
    cwd: repo
    env: {GIT_CONFIG_GLOBAL: /dev/null, GIT_CONFIG_NOSYSTEM: "1"}
    args: [-c, core.hooksPath=/dev/null]
    tools:
      log: {run: [log, --format=%s, "{it}"], input: {it: &free {type: string, maxLength: 200}}}
      logs: {run: [log, --format=%s, "{it}", --], input: {it: &list {type: array, items: *free, maxItems: 9}}}
      decorated: {run: [log, --format=%s, "--decorate={it}"], input: {it: *free}}
      checkout: {run: [checkout, --quiet, --no-guess, "{it}", --], input: {it: *free}}
      files: {run: [checkout, --quiet, "{it}", --, kept], input: {it: *free}}
      diff: {run: [diff, HEAD, --, "{it}"], input: {it: *list}}
      compare: {run: [diff, "{it}", "{to}", --], input: {it: *free, to: *free}}
  marks:
    program: ./marks
    tools:
      t:
        run: [mark, "{it}", ["--number={number}"], ["{file}"]]
        input:
          it: *free
          number: {type: integer, minimum: 0, optional: true}
          file: {type: path, under: documents, optional: true}
  kubectl:
    program: kubectl
    path: [bin]
    files: {KUBECONFIG: "${secret:kubeconfig}"}
    tools:
      get: {run: [get, "{it}"], input: {it: *free}}
      several: {run: [get, "{it}"], input: {it: *list}}
      parted: {run: [get, --, "{it}"], input: {it: *free}}
      selected: {run: [get, pods, --selector, "{it}"], input: {it: *free}}
      within: {run: [get, pods, "--namespace={it}"], input: {it: *free}}
  jq:
    program: jq
    path: [bin]
    cwd: documents
    env: {KEY: "${secret:key}"}
    tools:
      read: {run: [., "{it}"], input: {it: *free}}
      parted: {run: [., --, "{it}"], input: {it: *free}}
      said: {run: [--null-input, --arg, it, "{it}", $it], input: {it: *free}, output: json}
secrets:
  kubeconfig: {source: file, path: kubeconfig}
  key: {source: file, path: key}
"""
KEY = "canary-5b1e0c77"


@dataclass
class Setting:
    """`met`: connections that came to the address where no program was sent."""

    folder: Path
    config: Path
    peer: HttpPeer
    evil: str
    met: list[None]

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    async def tell(self, tool: str, it: object, **more: object) -> JsonObject:
        return await asked(self.peer, tool, {"it": it, **more})

    async def direct(self, *words: str, cwd: str = "repo") -> subprocess.CompletedProcess[str]:
        """The program itself with these words, as whoever declares it without thinking would have it run."""
        bin_ = self.folder / "bin"
        env = {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        env |= {"KUBECONFIG": str(self.folder / "kubeconfig"), "KEY": KEY}
        return await asyncio.to_thread(
            subprocess.run, words, cwd=self.folder / cwd, env=env, capture_output=True, text=True, check=False
        )

    async def state(self) -> tuple[str, ...]:
        """What is in the repository: its branches, where it stands, and what was changed and not committed."""
        branches = await self.direct("git", "branch", "--list")
        head = await self.direct("git", "rev-parse", "HEAD")
        kept = (self.repo / "kept").read_text()
        return branches.stdout, head.stdout, kept, *sorted(path.name for path in self.folder.rglob("written*"))


@asynccontextmanager
async def listening(met: list[None]) -> AsyncIterator[str]:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(None)
        await reader.readuntil(b"\r\n\r\n")
        # What is final: kubectl tries again and again where a connection only ends.
        writer.write(b"HTTP/1.1 401 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest_asyncio.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    for folder in ("repo", "bin", "documents"):
        (tmp_path / folder).mkdir()
    for find in (programs.kubectl, programs.jq):
        try:
            found = find()
        except MissingPart as missing:
            pytest.fail(str(missing), pytrace=False)
        (tmp_path / "bin" / found.name).symlink_to(found)
    nowhere = {"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "c"}
    nowhere |= {"contexts": [{"name": "c", "context": {"cluster": "c"}}], "apiVersion": "v1", "kind": "Config"}
    for name, content in (("kubeconfig", json.dumps(nowhere)), ("key", KEY)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "documents" / "d.json").write_text('{"a": 1}')
    script(tmp_path, f"echo started >>{tmp_path}/marked; echo done", "marks")
    met: list[None] = []
    config = configured(tmp_path, UPSTREAMS.partition("secrets:")[0])
    config.write_text(config.read_text() + "secrets:" + UPSTREAMS.partition("secrets:")[2])
    async with (
        listening(met) as evil,
        serving(config) as shim,
        http(shim.url, "modern", token=token("alice")) as peer,
    ):
        made = Setting(tmp_path, config, peer, evil, met)
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        await made.direct("git", "init", "--quiet", "--initial-branch=main")
        (made.repo / "kept").write_text("committed\n")
        await made.direct("git", "add", "kept")
        await made.direct("git", *who, "commit", "--quiet", "-m", "first")
        await made.direct("git", "branch", "topic")
        (made.repo / "kept").write_text("not committed\n")
        yield made


OPTIONS = ["--output=written", "--output", "-o", "-", "--", "--no-index", "-p", "--all"]
SWITCHES = ["-f", "--force", "--orphan=x", "--detach", "-fbx", "-B", "-bx", "-m", "-", "--", "--pathspec-from-file=a"]


async def test_git_takes_a_value_for_no_option_and_no_file(setting: Setting) -> None:
    # given what its words can do, where nobody looks at them
    before = await setting.state()
    assert before[2] == "not committed\n"
    await setting.direct("git", "log", "--output=written")
    assert (setting.repo / "written").exists()
    (setting.repo / "written").unlink()
    for words in (("-f", "--"), (".",), ("kept",)):
        await setting.direct("git", "checkout", *words)
        assert (setting.repo / "kept").read_text() == "committed\n"
        (setting.repo / "kept").write_text("not committed\n")
    await setting.direct("git", "checkout", "--orphan=x", "--")
    assert (await setting.direct("git", "symbolic-ref", "HEAD")).stdout == "refs/heads/x\n"
    await setting.direct("git", "symbolic-ref", "HEAD", "refs/heads/main")
    assert KEY in (await setting.direct("git", "diff", "--", "../key", "kept")).stdout
    # What an option may have or not is no word of its own: this one is taken for a ref.
    assert "short" in (await setting.direct("git", "log", "--decorate", "short")).stderr

    # when a value would be an option: nothing is started
    denied: list[tuple[str, object]] = [("git__log", one) for one in OPTIONS] + [
        ("git__logs", ["HEAD", one]) for one in OPTIONS
    ]
    denied += [(tool, one) for one in SWITCHES for tool in ("git__checkout", "git__files")]
    for tool, it in denied:
        assert refused(await setting.tell(tool, it)) == "invalid-arguments", (tool, it)

    # when it would be a file, or a value of an option: git has no such ref, and does nothing
    wrong: list[tuple[str, object]] = [
        ("git__checkout", one) for one in (".", "kept", ":/", ":(top)", "HEAD:kept", ":kept", "*", "nowhere", "")
    ]
    wrong += [("git__decorated", "--output=written"), ("git__diff", ["../key", "kept"])]
    for tool, it in wrong:
        answer = await setting.tell(tool, it)
        assert (answer["isError"], refused(answer)) == (True, None), (tool, it)
        assert KEY not in str(answer)
    for it, to in ((f"{setting.folder}/key", "kept"), ("../key", "../kubeconfig"), ("kept", "../key")):
        answer = await setting.tell("git__compare", it, to=to)
        assert (answer["isError"], KEY in str(answer)) == (True, False), (it, to)

    # then all is as it was, and what was meant still works
    assert await setting.state() == before
    assert text(await setting.tell("git__checkout", "topic")) == "(no output)"
    assert (await setting.direct("git", "symbolic-ref", "HEAD")).stdout == "refs/heads/topic\n"
    assert (setting.repo / "kept").read_text() == "not committed\n"
    rows = await exported(setting.config)
    assert [row["status"] for row in rows] == ["denied"] * len(denied) + ["error"] * (len(wrong) + 3) + ["ok"]


async def test_kubectl_sends_its_token_nowhere_else(setting: Setting) -> None:
    # given
    server = f"--server={setting.evil}"
    await setting.direct("kubectl", "get", "pods", server)
    assert len(setting.met) > 0
    setting.met.clear()

    # when, as a word of its own: in the place of a kind, one of a list, after `--`, as an option's value
    for tool, it in (
        ("kubectl__get", server),
        ("kubectl__get", "-s"),
        ("kubectl__several", ["pods", server]),
        ("kubectl__several", ["pods", "--kubeconfig=/dev/null"]),
        ("kubectl__parted", server),
        ("kubectl__selected", server),
    ):
        answer = await setting.tell(tool, it)
        assert refused(answer) == "invalid-arguments", (tool, it)
        assert "begins with `-`" in text(answer)
        assert setting.evil not in text(answer)
    # and as what an option already has with it
    for it in (server, f"default {server}", f"default,{server}"):
        assert (await setting.tell("kubectl__within", it))["isError"] is True

    # then
    assert setting.met == []


async def test_jq_reads_a_value_for_no_option_and_no_filter(setting: Setting) -> None:
    # given
    assert (await setting.direct("jq", ".", "-n", "d.json", cwd="documents")).stdout == "null\n"
    assert KEY in (await setting.direct("jq", "-n", "env", cwd="documents")).stdout

    # when
    for it in ("-n", "-f", "--from-file", "-L", "--rawfile", "--args", "--version", "--", "-"):
        for tool in ("jq__read", "jq__parted", "jq__said"):
            assert refused(await setting.tell(tool, it)) == "invalid-arguments", (tool, it)

    # then what would be a filter is a text
    for it in ("env", "$ENV.KEY", "env.KEY", '"\\(env)"', "$__prog_args", 'import "d" as $d; $d', "input_filename"):
        assert (await setting.tell("jq__said", it))["structuredContent"] == {"result": it}
    assert json.loads(text(await setting.tell("jq__read", "d.json"))) == {"a": 1}
    assert json.loads(text(await setting.tell("jq__parted", "d.json"))) == {"a": 1}


async def test_what_does_not_fit_says_which_and_why_and_starts_nothing(setting: Setting) -> None:
    wrong: list[tuple[JsonObject, str, str]] = [
        ({}, "it", "required"),
        ({"it": 5}, "it", "not of type"),
        ({"it": None}, "it", "not of type"),
        ({"it": "x" * 201}, "it", "longer than 200"),
        ({"it": "x", "cwd": "/"}, "cwd", "unexpected"),
        ({"it": "x", "number": "5"}, "number", "not of type"),
        ({"it": "x", "number": -1}, "number", "minimum"),
        ({"it": "-x"}, "it", "begins with `-`"),
        ({"it": "a\0b"}, "it", "a control character"),
        ({"it": "a\n--x"}, "it", "a control character"),
        ({"it": "x", "file": "../key"}, "file", "leads out of the folder"),
        ({"it": "x", "file": "/etc/passwd"}, "file", "not relative"),
    ]
    for arguments, name, why in wrong:
        answer = await asked(setting.peer, "marks__t", arguments)
        assert refused(answer) == "invalid-arguments", arguments
        assert name in text(answer), text(answer)
        assert why in text(answer), text(answer)
    marked = setting.folder / "marked"
    assert not marked.exists()
    assert text(await asked(setting.peer, "marks__t", {"it": "x", "number": 5, "file": "d.json"})) == "done\n"
    assert marked.read_text() == "started\n"
