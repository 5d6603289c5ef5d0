"""A shim in front of real servers for the verbs to act on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from shim.cli import sample
from tests.promises.running import BIN, identity, write_config

CONFIG = """version: 1
store: sqlite:var/shim.db
upstreams:
  git: {{command: [{bin}/mcp-server-git, --repository, sample]}}
  time: {{command: [{bin}/mcp-server-time, --local-timezone, Etc/UTC]}}
identities:
{identities}  remote: {{}}
grants:
  - name: look
    to: [reader, writer]
    allow: [git/git_status, "git/git_log", "time/*"]
  - name: small-commits
    to: [writer, remote]
    allow: [git/git_commit]
    when: size(args.message) < 20
"""


def prepare(folder: Path) -> Path:
    """A configuration and its repository: `reader` looks, `writer` may commit as well, `remote` is not local."""
    sample.make(folder / "sample")
    identities = identity("reader") + identity("writer")
    return write_config(folder, CONFIG.format(bin=BIN, identities=identities))


def edit(config: Path, old: str, new: str) -> int:
    """Replace what stands once in a configuration; the line where it stood."""
    before, after = config.read_text().split(old)
    config.write_text(f"{before}{new}{after}")
    return before.count("\n") + 1


def leaving_traces(config: Path, name: str, **block: str) -> Path:
    """Add an upstream that does nothing but leave the returned file behind when it is started."""
    trace = config.parent / f"{name}-was-started"
    script = f"open({str(trace)!r}, 'w').close()"
    edit(
        config,
        "upstreams:\n",
        f"upstreams:\n  {name}: {json.dumps({'command': [sys.executable, '-c', script], **block})}\n",
    )
    return trace


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that nothing has happened with yet."""
    return prepare(tmp_path)
