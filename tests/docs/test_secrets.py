"""Every piece of the page on secrets is a configuration, and each source is on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from shim.config.loader import load
from shim.secrets.config import KINDS
from tests.docs.console import blocks
from tests.parts.install import ROOT
from tests.secrets.asking import put

PAGE = (ROOT / "docs" / "secrets.md").read_text()
PIECES = blocks(PAGE, "yaml")
BASE = {"version": 1, "identities": {"me": {"local": True}}}
SET = dict.fromkeys(("BAO_SECRET_ID", "DRIVE_SECRET", "IDP_SECRET", "OP_TOKEN"), "not-a-real-one")


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: str(yaml.safe_load(piece).get("secret_sources", "-"))[:24])
def test_what_is_shown_is_accepted(tmp_path: Path, piece: str) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("bao", "app.pem", "reading", "tickets", "writing"):
        put(tmp_path / "keys" / name, "not-a-real-one")
    config = tmp_path / "shim.yaml"
    config.write_text(yaml.safe_dump({**BASE, **yaml.safe_load(piece)}))
    loaded = load(config, SET)
    assert loaded.secrets
    assert [warning for warning in loaded.warnings if "secret" in warning.message] == []


def test_every_source_of_this_version_is_shown() -> None:
    shown = {
        word
        for piece in PIECES
        for part in (yaml.safe_load(piece),)
        for word in (
            *(source["type"] for source in part.get("secret_sources", {}).values()),
            *(secret["source"] for secret in part["secrets"].values()),
        )
    }
    assert set(KINDS) <= shown
