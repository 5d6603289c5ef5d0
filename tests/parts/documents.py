"""OpenAPI documents that nobody here wrote, out of npm packages: one file of each, which is all that is kept."""

from __future__ import annotations

import functools
import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.parts.install import LOCKS, PARTS, MissingPart, installed, run
from tests.parts.peers import npm

_PINS = LOCKS / "documents.txt"


@functools.cache
def documents() -> Mapping[str, Path]:
    """Each document by its name: github, directus, figma, rclone. Raises MissingPart."""
    lines = [line.split() for line in _PINS.read_text().splitlines() if not line.startswith("#")]

    def build(folder: Path) -> None:
        for name, package, member, digest in lines:
            advice = f"cannot fetch {package} from the npm registry: check the network, or NODE_EXTRA_CA_CERTS"
            more = {"npm_config_cache": str(PARTS / "npm-cache"), "npm_config_update_notifier": "false"}
            run([*npm(), "pack", package, "--loglevel=error", "--prefer-offline"], advice, more=more, cwd=folder)
            (archive,) = folder.glob("*.tgz")
            with tarfile.open(archive) as packed:
                found = packed.extractfile(member)
                data = found.read() if found is not None else b""
            archive.unlink()
            if hashlib.sha256(data).hexdigest() != digest:
                raise MissingPart(f"{member} of {package} is another than {_PINS.name} says: write its digest there")
            (folder / f"{name}{Path(member).suffix}").write_bytes(data)

    folder = installed("documents", [_PINS], build)
    return {name: folder / f"{name}{Path(member).suffix}" for name, _, member, _ in lines}
