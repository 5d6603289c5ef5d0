"""The folder `shared` beside the checkout: material that is handed to the project and not kept in it."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"


def shared(*parts: str) -> Path:
    """A file or folder in there. Raises FileNotFoundError, in one line that says where it is looked for."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: put the folder `shared` beside the checkout")
    return path
