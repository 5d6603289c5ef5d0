"""The command answers at once: what a verb needs is imported when that verb runs."""

from __future__ import annotations

import subprocess
import sys

TYPER = {"typer", "annotated_doc", "click", "shellingham", "typing_extensions"}
"""The one library that the outermost module is made with, and what that needs."""


def test_help_and_completion_import_nothing_heavy() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport shim.cli.main\n"
        "print(*{name.partition('.')[0] for name in sys.modules.keys() - before})"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    imported = set(done.stdout.split())
    assert "shim" in imported
    assert imported - sys.stdlib_module_names - TYPER == {"shim"}
    assert "asyncio" not in imported
