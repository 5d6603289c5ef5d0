"""Secrets that stand in a configuration as they are: what is kept of it has none, and is read as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.config.loader import load, recalled
from tests.config.given import write

TEXT = """version: 1
upstreams:
  a:
    url: https://a.example.com
    headers: {Authorization: Bearer canary-1, x-plain: stays, x-api-key: "${env:KEY}"}
  b:
    command: [b]
    env:
      B_TOKEN: >-
        canary-2
        canary-3
      TZ: UTC
secret_sources:
  bao: {type: vault, address: "https://bao.example.com", auth: {approle: {role_id: role, secret_id: 'canary-4'}}}
  op: {type: command, env: {OP_TOKEN: canary-5, PLACE: here}}
tools:
  a/*:
    fixed: {token: canary-7, deep: {api_key: [canary-8, 8]}, page: stays here}
    meta: {com.example/token: &again canary-9, com.example/password: *again}
grants: [{name: last, allow: ["a/*"]}]
"""


@pytest.mark.parametrize("before", ["", "\ufeff"], ids=["plain", "marked"])
def test_what_is_kept_has_no_secret_and_says_the_same(tmp_path: Path, before: str) -> None:
    path = write(tmp_path, before + TEXT)
    configuration = load(path, {"KEY": "canary-6"})
    ((name, kept),) = configuration.texts
    assert "canary" not in kept
    assert kept.count("\n") == TEXT.count("\n")
    assert all(
        said in kept
        for said in ("x-plain: stays", "${env:KEY}", "TZ: UTC", "role_id: role", "PLACE: here", "page: stays here")
    )
    again = recalled([(name, kept.encode())], path, {"KEY": "canary-6"})
    assert again.grants == configuration.grants
    assert again.grant_places["last"].position == configuration.grant_places["last"].position
    assert again.upstreams.keys() == configuration.upstreams.keys()
