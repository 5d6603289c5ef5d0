"""The browser that tests are given, and what is said where there is none."""

from __future__ import annotations

import subprocess

import pytest

from tests.parts import browser
from tests.parts.browser import Chromium
from tests.parts.fixtures import chromium as chromium
from tests.parts.install import MissingPart


def test_browser_and_driver_are_of_one_version(chromium: Chromium) -> None:
    said = [
        subprocess.run([program, "--version"], env=chromium.environment, capture_output=True, text=True, check=True)
        for program in (chromium.browser, chromium.driver)
    ]
    versions = {done.stdout.split()[1].partition(".")[0] for done in said}
    assert len(versions) == 1


def test_where_there_is_none_and_none_can_be_had_it_is_said_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingPart, match=r"have `chromium` and `chromedriver` in PATH \(Debian and Ubuntu: apt-get"):
        browser.chromium.__wrapped__()
