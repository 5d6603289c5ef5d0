"""The command answers at once: what a verb needs is imported when that verb runs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("aiosqlite", "asyncio", "cel_expr_python", "cryptography", "mcp", "pydantic", "rich", "uvicorn", "yaml")


def test_help_and_completion_import_nothing_heavy() -> None:
    script = f"import sys, shim.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
