"""Chromium and its driver: those of the machine, or Debian's, unpacked below `.parts` without being installed."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.debian import unpacked
from tests.parts.install import LOCKS, environment

_PINS = LOCKS / "chromium.txt"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ADVICE = (
    "a browser is needed: have `chromium` and `chromedriver` in PATH (Debian and Ubuntu: apt-get install chromium"
    " chromium-driver)"
)


@dataclass(frozen=True)
class Chromium:
    """Two programs, and the environment that they need."""

    browser: Path
    driver: Path
    environment: dict[str, str] = field(repr=False)


@functools.cache
def chromium() -> Chromium:
    """The machine's own, else Debian's packages and what they need beyond what is installed. Raises MissingPart."""
    driver = shutil.which("chromedriver")
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if driver is not None and found is not None:
        return Chromium(Path(found), Path(driver), environment())
    folder = unpacked("chromium", _PINS, _ADVICE) / "usr"
    libraries = sorted({str(path.parent) for path in (folder / "lib").glob("*-linux-*/**/*.so*")})
    # Not the wrapper beside it, which looks for what a whole installation has.
    browser = folder / "lib" / "chromium" / "chromium"
    return Chromium(browser, folder / "bin" / "chromedriver", environment({"LD_LIBRARY_PATH": ":".join(libraries)}))
