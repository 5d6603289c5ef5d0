"""The wheel and the sdist hold what they need and nothing else, and say of themselves what is true."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from shim import __version__
from shim.config import samples
from tests.parts.install import ROOT
from tests.release.building import Built, build, unpacked

INFO = f"mcp_shim-{__version__}.dist-info"
SCHEMA = "shim/config/shim.schema.json"
SAMPLES = {f"shim/config/sample-{name}.yaml": f"examples/{name}/shim.yaml" for name in ("laptop", "team", "ci")}


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _read(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    return message_from_bytes(_read(built.wheel, f"{INFO}/METADATA"))


def test_the_wheel_holds_the_package_its_schema_the_samples_and_nothing_else(built: Built) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "shim").rglob("*.py")}
    about = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert _names(built.wheel) == modules | {"shim/py.typed", SCHEMA, *SAMPLES} | about


def test_the_packaged_schema_is_the_published_one(built: Built) -> None:
    assert _read(built.wheel, SCHEMA) == (ROOT / "config" / "shim.schema.json").read_bytes()


def test_the_packaged_samples_are_the_examples_of_the_project(built: Built) -> None:
    assert {path.parent.name for path in (ROOT / "examples").glob("*/shim.yaml")} == set(samples.NAMES)
    for packaged, example in SAMPLES.items():
        assert _read(built.wheel, packaged) == (ROOT / example).read_bytes()


def test_the_metadata_say_what_the_project_says(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Version"] == project["version"] == __version__
    assert metadata["Summary"] == project["description"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Classifier") == sorted(project["classifiers"])
    assert set(metadata.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"])


def test_the_metadata_name_the_license_and_carry_its_text(built: Built, metadata: Message) -> None:
    # License expressions came with 2.4; what is newer makes older installers warn.
    assert metadata["Metadata-Version"] == "2.4"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert _read(built.wheel, f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_the_description_is_the_readme(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    body = metadata.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().strip() == (ROOT / "README.md").read_text().strip()


def test_the_one_entry_point_is_the_command(built: Built) -> None:
    assert _read(built.wheel, f"{INFO}/entry_points.txt").decode() == "[console_scripts]\nmcp-shim = shim.cli:main\n"


def test_the_sdist_holds_sources_and_nothing_that_a_person_keeps(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # Given a tree in which the server has run, none of what it made is taken along.
    kept = [name for name in names if name.startswith("config/")]
    assert sorted(kept) == ["config/shim.schema.json", "config/shim.yaml"]
    assert not [name for name in names if "/var/" in name or "__pycache__" in name or name.endswith((".pyc", ".key"))]
    assert {"Makefile", "requirements.lock", ".ci/run", "PKG-INFO", "docs/architecture.md"} <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert modules <= names


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    again = build(unpacked(built.sdist, tmp_path / "source"), tmp_path / "dist")
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
