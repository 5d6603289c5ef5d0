"""What several promises need: a repository to look at, and a shim in front of real servers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.promises.running import BIN, identity, write_config


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit and one untracked file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A. Author",
        "GIT_AUTHOR_EMAIL": "author@example.com",
        "GIT_COMMITTER_NAME": "A. Author",
        "GIT_COMMITTER_EMAIL": "author@example.com",
    }
    (folder / "README").write_text("hello\n")
    for command in (["init", "-q", "-b", "main"], ["add", "README"], ["commit", "-q", "-m", "begin"]):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)
    (folder / "NEW").write_text("untracked\n")
    return folder


@pytest.fixture
def git_config(tmp_path: Path, repository: Path) -> Path:
    """`mcp-server-git` behind the shim: `reader` may look, `writer` may also commit, `nobody` may nothing."""
    return write_config(
        tmp_path,
        f"""version: 1
store: sqlite:var/shim.db
upstreams:
  git:
    command: [{BIN}/mcp-server-git, --repository, {repository}]
identities:
{identity("reader")}{identity("writer")}{identity("nobody")}
grants:
  - name: look
    to: [reader, writer]
    allow: [git/git_status, "git/git_log", "git/git_diff*"]
  - name: small-commits
    to: [writer]
    allow: [git/git_commit, git/git_add]
    when: '!has(args.message) || size(args.message) < 50'
""",
    )
