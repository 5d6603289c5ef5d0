"""Shell completion: the script that is handed out completes, in a real bash, what the configuration holds."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.install import ROOT
from tests.promises.running import SHIM, environment

CONFIG = """\
version: 1
upstreams:
  time: {command: [mcp-server-time, --local-timezone, Etc/UTC]}
identities:
  reviewer: {}
  release-bot: {}
  me: {local: true}
grants:
  - {name: all, to: ["*"], allow: ["time/*"]}
"""

TEMPTING = ["plain", "now; touch pwned", "$(touch pwned)", "`touch pwned`", "* ~", "-x", "a|b", "'"]

# What bash does when Tab is pressed, without a terminal: sets these variables, calls the function, reads COMPREPLY.
_TAB = """\
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$(complete -p mcp-shim | sed 's/.*-F \\([^ ]*\\).*/\\1/')" mcp-shim
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "shim.yaml").write_text(CONFIG)
    return tmp_path


def _run(folder: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@functools.cache
def _shown() -> str:
    shown = [SHIM, "--show-completion", "bash"]
    env = {**environment(Path.home()), "SHELL": "/bin/bash"}
    return subprocess.run(shown, env=env, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout


def _tab(folder: Path, *words: str) -> list[str]:
    done = _run(folder, "bash", "--norc", "-s", "--", "mcp-shim", *words, stdin=_shown() + _TAB)
    assert done.stderr == ""
    return done.stdout.split()


def test_verbs_complete(folder: Path) -> None:
    assert _tab(folder, "to") == ["tools", "token"]
    assert _tab(folder, "log", "e") == ["export"]
    assert _tab(folder, "secrets", "l") == ["list", "leases"]


def test_identities_complete_wherever_one_is_asked_for(folder: Path) -> None:
    for words in (("call", "--identity"), ("explain", "--identity"), ("log", "list", "--identity"), ("token", "new")):
        assert _tab(folder, *words, "re") == ["reviewer", "release-bot"], words


def test_another_configuration_is_looked_at_wherever_it_is_named(folder: Path) -> None:
    (folder / "other.yaml").write_text(CONFIG.replace("reviewer", "rewriter"))
    assert _tab(folder, "token", "new", "--config", "other.yaml", "rew") == ["rewriter"]
    assert _tab(folder, "--config", "other.yaml", "token", "new", "rew") == ["rewriter"]


def test_ids_of_tokens_complete_and_the_tools_of_the_last_catalog(folder: Path) -> None:
    _run(folder, SHIM, "token", "new", "reviewer")
    _run(folder, SHIM, "call", "--identity", "me", "time/get_current_time", '{"timezone": "Etc/UTC"}')
    [id_] = _tab(folder, "token", "revoke", "")
    assert id_ in _run(folder, SHIM, "token", "list").stdout
    assert _tab(folder, "explain", "--tool", "time/get") == ["time/get_current_time"]


def test_a_configuration_that_cannot_be_read_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "config" / "shim.yaml").write_text("version: 1\nidentities: {a: [")
    assert _tab(folder, "token", "new", "") == []


def test_nothing_is_offered_that_a_shell_would_act_on(folder: Path) -> None:
    # Given an upstream that names its tools so that, once on the command line, they would run
    script = f"from tests.cli import odd; odd.TOOLS[:] = [dict(odd.TOOLS[0], name=n) for n in {TEMPTING}]; odd.main()"
    config = CONFIG.replace(
        "{command: [mcp-server-time, --local-timezone, Etc/UTC]}",
        f"{{command: {json.dumps([sys.executable, '-c', script])}, cwd: {ROOT}}}",
    )
    (folder / "config" / "shim.yaml").write_text(config)
    _run(folder, SHIM, "call", "--identity", "me", "time/plain")
    assert "touch pwned" in _run(folder, SHIM, "tools").stdout
    # When Tab is pressed, then only what means nothing to a shell is put onto the line.
    assert _tab(folder, "explain", "--tool", "time/") == ["time/-x", "time/plain"]


def test_it_is_installed_where_bash_looks(folder: Path) -> None:
    _run(folder, "bash", "--norc", "-c", "mcp-shim --install-completion; true")
    assert str(folder / ".bash_completions" / "mcp-shim.sh") in (folder / ".bashrc").read_text()


@pytest.mark.parametrize(("shell", "line"), [("zsh", "#compdef mcp-shim"), ("fish", "complete --command mcp-shim")])
def test_other_shells_have_their_scripts(folder: Path, shell: str, line: str) -> None:
    assert line in _run(folder, "env", f"_MCP_SHIM_COMPLETE=source_{shell}", SHIM).stdout
