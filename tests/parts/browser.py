"""Chromium and its driver: those of the machine, or Debian's, unpacked below `.parts` without being installed."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.install import LOCKS, MissingPart, environment, installed, run

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
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingPart(_ADVICE)
    folder = installed("chromium", [_PINS], _unpack) / "root" / "usr"
    libraries = sorted({str(path.parent) for path in (folder / "lib").glob("*-linux-*/**/*.so*")})
    # Not the wrapper beside it, which looks for what a whole installation has.
    browser = folder / "lib" / "chromium" / "chromium"
    return Chromium(browser, folder / "bin" / "chromedriver", environment({"LD_LIBRARY_PATH": ":".join(libraries)}))


def _unpack(folder: Path) -> None:
    names = [line for line in _PINS.read_text().splitlines() if not line.startswith("#")]
    lists, cache, packages = folder / "lists", folder / "cache", folder / "packages"
    for made in (lists / "partial", cache / "archives" / "partial", packages):
        made.mkdir(parents=True)
    options = [f"Dir::State::Lists={lists}", f"Dir::Cache={cache}", "APT::Sandbox::User=root", "Acquire::Retries=2"]
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    # Some other source of the machine may not answer; whether this one did shows below.
    subprocess.run([*apt, "update"], env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wanted = subprocess.run(
        [*apt, "--simulate", "install", "--no-install-recommends", *names],
        env={**environment(), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    pins = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", wanted.stdout, re.MULTILINE)
    if wanted.returncode != 0 or not pins:
        raise MissingPart(_ADVICE)
    run([*apt, "download", *(f"{name}={version}" for name, version in pins)], _ADVICE, cwd=packages)
    for package in packages.iterdir():
        run(["dpkg-deb", "--extract", package, folder / "root"], _ADVICE)
    for done in (lists, cache, packages):
        shutil.rmtree(done)
