"""Debian's packages, unpacked below `.parts` without being installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.parts.install import MissingPart, environment, installed, run


def unpacked(name: str, pins: Path, advice: str) -> Path:
    """The root that the packages of a list, and what they need beyond what is installed, were unpacked to.

    Raises MissingPart with the advice.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingPart(advice)
    return installed(name, [pins], lambda folder: _unpack(folder, pins, advice)) / "root"


def _unpack(folder: Path, pins: Path, advice: str) -> None:
    names = [line for line in pins.read_text().splitlines() if not line.startswith("#")]
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
    versions = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", wanted.stdout, re.MULTILINE)
    if wanted.returncode != 0 or not versions:
        raise MissingPart(advice)
    run([*apt, "download", *(f"{name}={version}" for name, version in versions)], advice, cwd=packages)
    for package in packages.iterdir():
        run(["dpkg-deb", "--extract", package, folder / "root"], advice)
    for done in (lists, cache, packages):
        shutil.rmtree(done)
