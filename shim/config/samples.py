"""The sample configurations that come with the package: `examples/` of the project, for who has the package alone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

NAMES: Final = ("laptop", "team", "ci")

_ELSEWHERE = "$schema=../../config/shim.schema.json\n"
_BESIDE = "$schema=shim.schema.json\n"


def text(name: str) -> str:
    """The sample of one of the NAMES, for a folder in which its schema is `shim.schema.json`."""
    packaged = resources.files("shim.config") / f"sample-{name}.yaml"
    if packaged.is_file():
        found = packaged.read_text("utf-8")
    else:
        # In a checkout they lie where people read them, and nowhere else.
        found = (Path(__file__).parents[2] / "examples" / name / "shim.yaml").read_text("utf-8")
    return found.replace(_ELSEWHERE, _BESIDE, 1)
