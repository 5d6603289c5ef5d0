"""The release, built and installed once for all tests of it."""

from __future__ import annotations

import pytest

from tests.parts.install import ROOT, MissingPart
from tests.release.building import Built, Installed, build, install


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and the sdist of this tree."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def fresh(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that held nothing."""
    try:
        return install(built.wheel, tmp_path_factory.mktemp("fresh"))
    except MissingPart as missing:
        pytest.fail(str(missing), pytrace=False)
