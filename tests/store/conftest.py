"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store import power


@pytest.fixture(scope="session")
def disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a disk fail, and remembers."""
    return power.library(tmp_path_factory.mktemp("disk"))
