"""Every recipe of the page on programs is a configuration, and does what it says with the real program."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shim.config.loader import load
from shim.model import JsonObject
from tests.docs.console import blocks, section
from tests.parts import programs
from tests.parts.install import ROOT, MissingPart
from tests.promises.databases import exported
from tests.promises.running import identity, serving, token, write_config
from tests.promises.wire import HttpPeer, http
from tests.secrets.asking import put
from tests.secrets.vaults import Vaults, vaults

PAGE = (ROOT / "docs" / "tools" / "program.md").read_text()
NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "users": [{"name": "u", "user": {"token": "not-a-real-one"}}],
    "current-context": "c",
}
META = "io.github.mcp-shim/decision"


def recipe(name: str) -> dict[str, Any]:
    (piece,) = blocks(section(PAGE, name), "yaml")
    found: dict[str, Any] = yaml.safe_load(piece)
    return found


def written(folder: Path, found: dict[str, Any]) -> Path:
    """The recipe as a configuration in which alice may do all that it offers."""
    grant = {"name": "all", "to": ["alice"], "allow": ["*/*"]}
    text = yaml.safe_dump({"version": 1, "store": "sqlite:shim.db", "grants": [grant], **found})
    path = write_config(folder, f"{text}identities:\n{identity('alice')}")
    path.chmod(0o600)
    return path


def linked(folder: Path, program: Path) -> None:
    """The program in the folder that the recipe looks in."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / program.name).symlink_to(program)


async def call(peer: HttpPeer, name: str, arguments: JsonObject | None = None) -> JsonObject:
    answer = await peer.request("tools/call", {"name": name, "arguments": arguments or {}})
    result: JsonObject = answer["result"]
    return result


def text(result: JsonObject) -> str:
    assert not result.get("isError"), result
    return str(result["content"][0]["text"])


def refused(result: JsonObject) -> str | None:
    said = (result.get("_meta") or {}).get(META)
    return said["reason"] if said else None


def part(found: Any) -> Path:
    try:
        return Path(found())
    except MissingPart as missing:
        pytest.fail(str(missing), pytrace=False)


def test_the_first_piece_is_a_configuration(tmp_path: Path) -> None:
    first = yaml.safe_load(blocks(PAGE, "yaml")[0])
    first["upstreams"]["jq"]["program"] = str(part(programs.jq))
    assert load(written(tmp_path, first), {}).upstreams["jq"].tools["pick"].output == "json"


def ran(*words: str | Path, cwd: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(words, cwd=cwd, env=env, check=True)


@pytest.fixture(scope="module")
def at() -> Iterator[Vaults]:
    with vaults() as found:
        yield found


async def test_every_recipe_does_what_it_says(tmp_path: Path, at: Vaults) -> None:
    """In front of one shim, which takes longest to start."""
    ffmpeg = part(programs.ffmpeg)
    for program in (part(programs.kubectl), part(programs.jq), ffmpeg, at.postgres.psql):
        linked(tmp_path, program)
    found: dict[str, Any] = {"upstreams": {}}
    for name in ("git", "kubectl", "psql", "jq", "ffmpeg"):
        found["upstreams"] |= recipe(name)["upstreams"]
    role = {"source": "bao", "path": "database/creds/reader", "ttl": "5m", "public": ["username"]}
    found["secrets"] = {**recipe("kubectl")["secrets"], "db": role}
    found["secret_sources"] = {"bao": {"type": "vault", "address": at.bao.address, "auth": {"approle": at.approle}}}
    found["upstreams"]["sql"]["env"]["PGHOST"] = at.postgres.folder
    put(tmp_path / "kubeconfig", json.dumps(NOWHERE))
    for folder in ("repo", "videos", "sounds"):
        (tmp_path / folder).mkdir()
    ran("git", "init", "--quiet", cwd=tmp_path / "repo")
    made = ["-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "mpeg4"]
    ran(ffmpeg, "-loglevel", "error", *made, "a.mp4", cwd=tmp_path / "videos")

    # What the shim keeps from it, psql does.
    at.postgres.ask(f"\\! touch {tmp_path}/ran")
    (tmp_path / "ran").unlink()
    config = written(tmp_path, found)
    async with serving(config) as shim, http(shim.url, "modern", token=token("alice")) as peer:
        await git(peer, tmp_path / "repo")
        await kubectl(peer)
        await psql(peer, tmp_path)
        await jq(peer)
        await convert(peer, tmp_path)

    assert not (tmp_path / "ran").exists()
    assert at.postgres.roles() == []
    rows = [row for row in await exported(config) if row["upstream"] == "sql"]
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["error"] * 4
    assert [len(row["secrets"]) for row in rows] == [1] * 7
    assert all(lease["revoked"] for row in rows for lease in row["secrets"])


async def git(peer: HttpPeer, repo: Path) -> None:
    (repo / "file").write_text("one\n")
    ran("git", "add", "file", cwd=repo)
    await call(peer, "git__commit", {"message": "first", "paths": ["file"]})
    (repo / "file").write_text("two\n")
    assert "-one\n+two" in text(await call(peer, "git__diff"))
    assert text(await call(peer, "git__log", {"author": "Agent"})).endswith(" Agent first\n")
    assert refused(await call(peer, "git__log", {"ref": "--output=x"})) == "invalid-arguments"
    (repo / "file").write_text("three\n")
    ran("git", "branch", "topic", cwd=repo)
    assert text(await call(peer, "git__checkout", {"ref": "topic"})) == "(no output)"
    assert (repo / ".git" / "HEAD").read_text() == "ref: refs/heads/topic\n"
    for ref, refusal in (("-f", "invalid-arguments"), (".", None), ("file", None)):
        answer = await call(peer, "git__checkout", {"ref": ref})
        assert (answer["isError"], refused(answer)) == (True, refusal), ref
    assert (repo / "file").read_text() == "three\n"


async def kubectl(peer: HttpPeer) -> None:
    made = await call(peer, "kubectl__render", {"name": "web", "image": "nginx:1", "replicas": 2})
    assert made["structuredContent"]["kind"] == "Deployment"
    assert made["structuredContent"]["spec"]["replicas"] == 2
    for arguments in ({"name": "--server=http://evil", "image": "a"}, {"name": "a b", "image": "a"}):
        assert refused(await call(peer, "kubectl__render", arguments)) == "invalid-arguments"
    assert refused(await call(peer, "kubectl__get", {"kind": "--server=http://evil"})) == "invalid-arguments"
    answer = await call(peer, "kubectl__get", {"kind": "pods"})
    assert "127.0.0.1:9" in str(answer["content"][0]["text"])


async def psql(peer: HttpPeer, folder: Path) -> None:
    asked = {"sql": "SELECT current_user"}
    first, second = [text(await call(peer, "sql__query", asked)).splitlines()[1] for _ in range(2)]
    assert first != second
    assert text(await call(peer, "sql__connections", {"who": "it's; \\! touch x"})) == "count\n0\n"
    does = f"touch {folder}/ran"
    for attack in (
        f"\\! {does}",
        f"SELECT 1;\n\\! {does}",
        f"SELECT 1 \\g |{does}",
        f"COPY (SELECT 1) TO PROGRAM '{does}'",
    ):
        answer = await call(peer, "sql__query", {"sql": attack})
        assert answer["isError"] is True
        assert "psql ended with exit code" in str(answer["content"][0]["text"])


async def jq(peer: HttpPeer) -> None:
    document = {"items": [{"name": "b", "size": 7}, {"name": "a", "size": 9}, {"name": "c", "size": 1}]}
    found = await call(peer, "jq__names", {"least": 5, "document": document})
    assert found["structuredContent"] == {"result": ["a", "b"]}
    assert refused(await call(peer, "jq__names", {"least": "env", "document": {}})) == "invalid-arguments"


async def convert(peer: HttpPeer, folder: Path) -> None:
    (picture,) = (await call(peer, "ffmpeg__frame", {"video": "a.mp4", "second": 0.5}))["content"]
    assert (picture["type"], picture["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")
    answer = await call(peer, "ffmpeg__convert", {"video": "a.mp4", "sound": "a.wav"})
    assert not answer.get("isError"), answer
    assert (folder / "sounds" / "a.wav").read_bytes().startswith(b"RIFF")
    assert refused(await call(peer, "ffmpeg__frame", {"video": "../shim.yaml"})) == "invalid-arguments"
    (folder / "videos" / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    assert (await call(peer, "ffmpeg__frame", {"video": "list.m3u8"}))["isError"] is True
