"""The page on Python functions: its ten lines work as they stand, and what else it shows is a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from shim.config.loader import load
from tests.docs.console import agrees, blocks, commands
from tests.docs.world import environment
from tests.parts.install import ROOT
from tests.secrets.asking import put

PAGE = (ROOT / "docs" / "tools" / "python.md").read_text()


def test_the_ten_lines_work(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "texts.py").write_text(blocks(PAGE, "python")[0])
    (tmp_path / "shim.yaml").write_text(blocks(PAGE, "yaml")[0])
    followed = commands(PAGE)
    assert len(followed) == 2
    for command in followed:
        done = subprocess.run(
            ["/bin/sh", "-c", command.text],
            cwd=tmp_path,
            env=environment(tmp_path / "home"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert agrees(command.output, done.stdout), (command.line, done.stdout)
        assert done.returncode == command.code


def test_what_is_shown_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    put(tmp_path / "keys" / "bao", "not-a-real-one")
    for piece in blocks(PAGE, "yaml"):
        config = tmp_path / "shim.yaml"
        config.write_text(yaml.safe_dump({"identities": {"me": {"local": True}}, **yaml.safe_load(piece)}))
        assert load(config, os.environ).upstreams
    for piece in blocks(PAGE, "python"):
        subprocess.run([sys.executable, "-c", piece], check=True, timeout=30)
