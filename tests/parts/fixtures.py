"""The installed parts as fixtures: import those that a test module needs. A missing part fails with one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from tests.parts import browser, peers
from tests.parts import documents as described
from tests.parts.install import MissingPart

T = TypeVar("T")


def _or_fail(part: Callable[[], T]) -> T:
    try:
        return part()
    except MissingPart as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def legacy_python() -> Path:
    """The interpreter of an environment with the SDK 1.x and `mcp-server-sqlite`."""
    return _or_fail(peers.legacy_python)


@pytest.fixture(scope="session")
def keyring_backends() -> Path:
    """A `keyring-path` with backends that need no desktop."""
    return _or_fail(peers.keyring_backends)


@pytest.fixture(scope="session")
def node() -> peers.Node:
    """Node with the Inspector and the reference servers."""
    return _or_fail(peers.node)


@pytest.fixture(scope="session")
def typescript() -> peers.TypeScript:
    """The TypeScript SDK's client, its tasks, and a server with an app."""
    return _or_fail(peers.typescript)


@pytest.fixture(scope="session")
def chromium() -> browser.Chromium:
    """A real browser, and the driver that goes with it."""
    return _or_fail(browser.chromium)


@pytest.fixture(scope="session")
def documents() -> Mapping[str, Path]:
    """OpenAPI documents of GitHub, Directus, Figma and rclone, by those names."""
    return _or_fail(described.documents)
