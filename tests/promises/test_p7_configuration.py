"""P7: a bad configuration stops the start with `file:line: what and why`, all faults at once, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promises.running import run, write_config

BAD = """version: 1
store: sqlite:shim.db
upstreams:
  git:
    command: mcp-server-git
    isolatoin: shared
  tickets: {url: "https://tickets.example.com/mcp", pins: hold}
identities:
  me: {local: true}
grants:
  - name: look
    to: [mee]
    allow: ["gti/git_status"]
  - name: look
    to: [me]
    allow: ["git/git_commit"]
    when: size(args.message <
        3
"""


@pytest.mark.parametrize("verb", [["serve"], ["check", "--offline"], ["stdio", "--identity", "me"], ["tools"]])
async def test_all_faults_at_once_each_at_its_line(tmp_path: Path, verb: list[str]) -> None:
    config = write_config(tmp_path, BAD)
    code, _, err = await run(config, *verb)
    assert code == 2
    lines = {int(line.split(":")[1]) for line in err.splitlines() if line.startswith(str(config) + ":")}
    assert {5, 6, 7, 12, 13, 14} <= lines
    assert lines & {17, 18}
    assert "Traceback" not in err
    assert not (tmp_path / "shim.db").exists()


async def test_what_is_not_enforced_yet_is_refused_and_not_ignored(tmp_path: Path) -> None:
    config = write_config(tmp_path, BAD)
    _, _, err = await run(config, "check", "--offline")
    line = next(line for line in err.splitlines() if ":7:" in line)
    assert "not supported by this version" in line


async def test_a_missing_file_says_which(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path / "nowhere.yaml", "check", "--offline")
    assert code == 2
    assert "nowhere.yaml" in err
    assert "Traceback" not in err
