"""Programs as upstreams, through the whole of a real shim: governed, bounded, on the record, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from shim.model import JsonObject
from tests.commandline.given import RELAYS, alive, guards_of, held, left, script
from tests.promises.databases import exported
from tests.promises.running import Running, identity, serving, token, write_config
from tests.promises.wire import HttpPeer, http

META = "io.github.mcp-shim/decision"
GIT = """
    program: git
    cwd: repo
    env: {GIT_CONFIG_GLOBAL: /dev/null, GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0"}
    args: [--no-pager, -c, core.fsmonitor=false, -c, user.name=Agent, -c, user.email=agent@example.com]
    tools:
      log:
        read_only: true
        run: [log, --no-ext-diff, --format=%s, ["--max-count={count}"], ["--author={author}"], --end-of-options,
              "{ref}", --, ["{paths}"]]
        input:
          count: {type: integer, minimum: 1, maximum: 200, default: 20}
          author: {type: string, maxLength: 100, optional: true}
          ref: {type: string, pattern: "[A-Za-z0-9_./@^~-]+", default: HEAD}
          paths: {type: array, items: {type: string, maxLength: 400}, maxItems: 50, optional: true}
        output: lines
      diff:
        read_only: true
        run: [diff, --no-ext-diff, --no-textconv, {staged: {true: --staged}}, "-U{context}"]
        input:
          staged: {type: boolean, default: false}
          context: {type: integer, minimum: 0, maximum: 20, default: 3}
      status:
        run: [status, --porcelain]
      add:
        run: [add, --, "{paths}"]
        input: {paths: {type: array, items: {type: string, maxLength: 400}, minItems: 1, maxItems: 50}}
      commit:
        destructive: false
        run: [commit, --quiet, --no-verify, --no-gpg-sign, "--file={message}"]
        input: {message: {type: string, maxLength: 5000, minLength: 1, lines: true, as: file}}
"""


def configured(folder: Path, upstreams: str) -> Path:
    return write_config(
        folder,
        f"version: 1\nstore: sqlite:shim.db\nupstreams:\n{upstreams}identities:\n{identity('alice')}"
        f'grants:\n  - {{name: all, to: [alice], allow: ["*/*"]}}\n',
    )


async def call(shim: Running, name: str, arguments: JsonObject | None = None) -> JsonObject:
    async with http(shim.url, "modern", token=token("alice")) as peer:
        return await asked(peer, name, arguments)


async def asked(peer: HttpPeer, name: str, arguments: JsonObject | None = None) -> JsonObject:
    answer = await peer.request("tools/call", {"name": name, "arguments": arguments or {}})
    result: JsonObject = answer["result"]
    return result


def text(result: JsonObject) -> str:
    return str(result["content"][0]["text"])


def refused(result: JsonObject) -> str | None:
    said = (result.get("_meta") or {}).get(META)
    return said["reason"] if said else None


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit, whose configuration would have code run by `git status`."""
    folder = tmp_path / "repo"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, env=env, check=True)

    folder.mkdir()
    git("init", "--quiet")
    (folder / "file").write_text("one\n")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    hook = script(tmp_path, f"touch {tmp_path}/ran", "hook")
    git("config", "core.fsmonitor", hook)
    (folder / ".git" / "hooks" / "pre-commit").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (folder / ".git" / "hooks" / "pre-commit").chmod(0o755)
    return folder


async def test_git_as_its_operator_declared_it(tmp_path: Path, repo: Path) -> None:
    config = configured(tmp_path, f"  git:{GIT}")
    async with serving(config) as shim, http(shim.url, "modern", token=token("alice")) as peer:
        listed = (await peer.request("tools/list"))["result"]["tools"]
        log = next(tool for tool in listed if tool["name"] == "git__log")
        assert log["annotations"] == {"readOnlyHint": True}
        assert "_meta" not in log
        (repo / "file").write_text("two\n")
        assert "-one\n+two" in text(await asked(peer, "git__diff"))
        assert text(await asked(peer, "git__diff", {"staged": True})) == "(no output)"
        assert text(await asked(peer, "git__status")) == " M file\n"
        await asked(peer, "git__add", {"paths": ["file"]})
        assert "+two" in text(await asked(peer, "git__diff", {"staged": True, "context": 0}))
        message = "--amend\n\n$(touch ran); `id`"
        assert text(await asked(peer, "git__commit", {"message": message})) == "(no output)"
        found = await asked(peer, "git__log", {"author": "Agent", "paths": ["file"]})
        assert found["structuredContent"] == {"result": ["--amend"]}
        wrong = await asked(peer, "git__log", {"ref": "nowhere"})
        assert wrong["isError"] is True
        assert text(wrong).startswith("git ended with exit code 128.\nfatal: ")

        # then what an option or another file could do is not done
        out = str(tmp_path / "written")
        for arguments in (
            {"ref": f"--output={out}"},
            {"paths": [f"--output={out}"]},
            {"paths": ["-p"]},
            {"ref": "HEAD --all"},
            {"ref": "HEAD\n"},
            {"count": "1 --all"},
            {"count": -1},
            {"author": "a\0b"},
            {"output": out},
        ):
            answer = await asked(peer, "git__log", arguments)
            assert refused(answer) == "invalid-arguments", arguments
            assert out not in text(answer)
    assert not (tmp_path / "written").exists()
    assert not (tmp_path / "ran").exists()
    rows = await exported(config)
    assert [row["status"] for row in rows] == ["ok"] * 7 + ["error"] + ["denied"] * 9
    assert {row["reason"] for row in rows[8:]} == {"invalid-arguments"}
    assert all(row["result"] is None for row in rows[8:])


ODD = {
    "gigabyte": "head -c 1000000000 /dev/zero",
    "endless": f"{RELAYS}; sleep 1000 & setsid sleep 1000 & sleep 1000",
    "keeper": "(sleep 1000; echo late) & echo done",
    "asks": 'read -r answer </dev/tty; echo "got $answer"',
}


def odd_programs(folder: Path) -> dict[str, str]:
    """Each by its name. All that comes of them has the FIFO `held` open."""
    return {name: script(folder, f"exec 3>{folder}/held; {text}", name) for name, text in ODD.items()}


async def without_end(shim: Running, name: str) -> None:
    """Call a tool again and again, until nobody answers."""
    with contextlib.suppress(httpx2.HTTPError):
        while True:
            await call(shim, name)


async def test_odd_programs_are_bounded_and_on_the_record(tmp_path: Path) -> None:
    tools = "{t: {run: [], timeout: 1s}}"
    upstreams = "".join(
        f"  {name}: {{program: {path}, max_result: 1MiB, tools: {tools}}}\n"
        for name, path in odd_programs(tmp_path).items()
    )
    base = tmp_path / "base"
    base.mkdir()
    config = configured(tmp_path, upstreams)
    with held(tmp_path / "held") as ended:
        async with serving(config, env={"TMPDIR": str(base)}) as shim:
            answers = dict(zip(ODD, await asyncio.gather(*(call(shim, f"{name}__t") for name in ODD)), strict=True))
            assert ended()
            assert alive(base) == []
            assert left(base) == []
            assert peak(shim.process.pid) < 400
    assert refused(answers["gigabyte"]) == "result-too-large"
    assert refused(answers["endless"]) == "upstream-timeout"
    assert text(answers["keeper"]) == "done\n"
    assert text(answers["asks"]) == "got \n"
    rows = {row["upstream"]: row for row in await exported(config)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "gigabyte": "failed",
        "endless": "failed",
        "keeper": "ok",
        "asks": "ok",
    }
    assert list(base.iterdir()) == []


def peak(pid: int) -> int:
    """The most memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


async def until(is_so: Callable[[], bool], within: float = 10.0) -> bool:
    deadline = asyncio.get_running_loop().time() + within
    # Nobody tells of processes and files that others have.
    while not is_so() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return is_so()


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["shim", "guards, too"])
async def test_nothing_is_left_of_a_call_when_the_shim_is_killed(tmp_path: Path, both: bool) -> None:
    text = f"exec 3>held; echo x >$HOME/x; setsid sleep 1000 & {RELAYS}; touch began; sleep 1000"
    program = script(tmp_path, text.replace("held", str(tmp_path / "held")), "kept")
    base = tmp_path / "base"
    base.mkdir()
    tools = "{t: {run: [], timeout: 1s}}"
    upstreams = f"  u: {{program: {program}, files: {{KEY: k3y}}, tools: {{t: {{run: []}}}}}}\n" + "".join(
        f"  {name}: {{program: {path}, max_result: 1MiB, tools: {tools}}}\n"
        for name, path in odd_programs(tmp_path).items()
    )
    config = configured(tmp_path, upstreams)
    env = {"TMPDIR": str(base)}
    with held(tmp_path / "held") as ended:
        async with serving(config, env=env) as shim:
            calling = asyncio.ensure_future(call(shim, "u__t"))
            others = asyncio.gather(*(without_end(shim, f"{name}__t") for name in ODD))
            assert await until(lambda: any("began" in path for path in left(base)))
            assert any("KEY" in path for path in left(base))
            if both:
                os.kill(guards_of(shim.process.pid)[0], signal.SIGKILL)
            shim.kill()
            with pytest.raises(httpx2.HTTPError):
                await calling
            await others
            assert await until(ended)
            if both:
                # The files go with the next start: nobody else is there to do it.
                assert left(base) != []
            else:
                assert await until(lambda: not list(base.iterdir())), left(base)
    if both:
        async with serving(config, env=env):
            assert left(base) == []
    rows = await exported(config)
    assert [row["status"] for row in rows if row["upstream"] == "u"] == ["unknown"]
    assert {row["upstream"] for row in rows} == {"u", *ODD}
    assert {row["status"] for row in rows} <= {"ok", "failed", "unknown"}


async def test_what_is_put_in_and_does_not_fit_is_not_told_to_callers(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(
        '{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/p/{hidden}": {"get": {"operationId":'
        '"p", "parameters": [{"name": "hidden", "in": "path", "required": true, "schema": {"type": "string"}}],'
        '"responses": {}}}}}'
    )
    upstreams = """  u:
    program: echo
    tools:
      word: {run: [a, "{hidden}"], input: {hidden: {type: string, maxLength: 9}}}
      long: {run: [a, "{hidden}"], input: {hidden: {type: string, maxLength: 1}}}
  h: {openapi: api.json, base: "http://127.0.0.1:9", operations: ["*"]}
  g: {openapi: api.json, base: "http://127.0.0.1:9", operations: ["*"], fixed: {hidden: "${secret:bad}"}}
  i: {openapi: api.json, base: "http://127.0.0.1:9", operations: ["*"]}
secrets: {bad: {source: env, name: BAD}}
tools:
  u/*: {fixed: {hidden: -option}}
  h/*: {fixed: {hidden: ../up}}
  i/*: {fixed: {hidden: "${secret:bad}"}}
"""
    config = configured(tmp_path, upstreams)
    env = {"BAD": "secret/../up"}
    async with serving(config, env=env) as shim, http(shim.url, "modern", token=token("alice")) as peer:
        for name in ("u__word", "u__long", "h__p", "g__p", "i__p"):
            answer = await asked(peer, name)
            assert refused(answer) == "invalid-arguments"
            assert "whoever runs this server" in text(answer)
            assert "hidden" not in str(answer)
