"""What a verb does not need is not imported for it: a start is what people wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest

FOR_REQUESTS = {"mcp", "mcp_types", "httpx2", "starlette", "uvicorn", "cryptography", "jwt", "boto3", "keyring"}


@pytest.mark.parametrize(
    ("modules", "without"),
    [
        ("shim.cli.main", {*FOR_REQUESTS, "pydantic", "asyncio", "yaml", "rich"}),
        ("shim.cli.main, shim.config.loader, shim.record.queries, shim.store.reader", FOR_REQUESTS),
    ],
    ids=["help", "the record"],
)
def test_what_is_not_needed_is_not_imported(modules: str, without: set[str]) -> None:
    script = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    assert without.isdisjoint(done.stdout.split())
