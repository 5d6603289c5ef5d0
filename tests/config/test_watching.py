"""Following the files of a configuration, however they are changed."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shim.config import watching
from shim.config.configuration import Configuration
from shim.config.loader import load
from shim.config.watching import Watch
from shim.model import Problem

PATIENCE = 10.0


def text(*names: str, include: str = "") -> str:
    """A configuration with identities of these names."""
    lines = "".join(f"  {name}: {{}}\n" for name in names)
    return f"version: 1\nupstreams: {{}}\n{include}identities:\n{lines}"


@dataclass
class Followed:
    """What a watch has told; `ready` is what it is answered."""

    path: Path
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[Configuration] = field(default_factory=list)
    refused: list[tuple[tuple[Problem, ...], str | None]] = field(default_factory=list)
    ready: bool = True
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, configuration: Configuration) -> bool:
        async with self.news:
            self.taken.append(configuration)
            self.news.notify_all()
        return self.ready

    async def refuse(self, problems: Sequence[Problem], digest: str | None) -> None:
        async with self.news:
            self.refused.append((tuple(problems), digest))
            self.news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self.news:
                await self.news.wait_for(condition)
        except TimeoutError:
            had = [list(configuration.identities) for configuration in self.taken[-3:]]
            raise AssertionError(f"it did not come to that: {len(self.taken)} taken, the last {had}") from None

    async def until_it_has(self, *names: str) -> None:
        await self.until(lambda: bool(self.taken) and list(self.taken[-1].identities) == list(names))


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Followed]:
    """A watch that has looked once."""
    followed = Followed(path)
    watch = Watch(path, {}, take=followed.take, refuse=followed.refuse, asked=followed.asked)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await followed.until(lambda: bool(followed.taken or followed.refused))
        yield followed
        task.cancel()


@pytest.fixture
def main(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    path = folder / "shim.yaml"
    path.write_text(text("a"))
    return path


def put(path: Path, content: str) -> None:
    """As simple programs do."""
    path.write_text(content)


def link(path: Path, target: str) -> None:
    """Lead a name elsewhere, in one step."""
    fresh = path.with_name("..fresh")
    fresh.symlink_to(target)
    fresh.replace(path)


def version(folder: Path, *names: str) -> None:
    """A folder with a configuration."""
    folder.mkdir(parents=True)
    put(folder / "shim.yaml", text(*names))


def replace(path: Path, content: str) -> None:
    """As most editors do."""
    fresh = path.with_name("fresh")
    fresh.write_text(content)
    fresh.replace(path)


@pytest.mark.parametrize("write", [put, replace], ids=["in place", "replaced"])
async def test_a_change_is_read(main: Path, write: Callable[[Path, str], object]) -> None:
    async with following(main) as followed:
        for name in ("b", "c", "d"):
            write(main, text(name))
            await followed.until_it_has(name)
        assert followed.taken[-1].digest == load(main, {}).digest
        assert not followed.refused


async def test_moved_away_and_made_anew(main: Path) -> None:
    async with following(main) as followed:
        shutil.move(main, f"{main}~")
        put(main, text("b"))
        await followed.until_it_has("b")
        assert not followed.refused


async def test_a_mounted_configuration_is_swapped_by_one_link(tmp_path: Path) -> None:
    # given what Kubernetes mounts: a link to a link that leads into a folder for each version
    mount = tmp_path / "mount"
    version(mount / "..a", "a")
    link(mount / "..data", "..a")
    link(mount / "shim.yaml", "..data/shim.yaml")
    async with following(mount / "shim.yaml") as followed:
        for before, name in (("a", "b"), ("b", "c"), ("c", "d")):
            # when the one link is replaced, and the old version goes
            version(mount / f"..{name}", name)
            link(mount / "..data", f"..{name}")
            shutil.rmtree(mount / f"..{before}")
            await followed.until_it_has(name)
        assert not followed.refused


async def test_a_folder_that_is_itself_a_link(tmp_path: Path) -> None:
    releases, current = tmp_path / "releases", tmp_path / "current"
    version(releases / "one", "a")
    version(releases / "two", "b")
    link(current, "releases/one")
    async with following(current / "shim.yaml") as followed:
        link(current, "releases/two")
        await followed.until_it_has("b")
        # and then what is behind the link now
        put(releases / "two" / "shim.yaml", text("c"))
        await followed.until_it_has("c")
        assert not followed.refused


async def test_a_folder_that_goes_and_comes_back(main: Path) -> None:
    async with following(main) as followed:
        shutil.rmtree(main.parent)
        await followed.until(lambda: len(followed.refused) == 1)
        assert followed.refused[0][1] is None
        assert "cannot be read" in followed.refused[0][0][0].message
        version(main.parent, "b")
        await followed.until_it_has("b")
        replace(main, text("c"))
        await followed.until_it_has("c")


async def test_included_files_come_change_and_go(main: Path) -> None:
    policy = main.parent / "policy"
    version(policy, "unread")
    put(policy / "one.yaml", "identities: {one: {}}\n")
    put(main, text("a", include="include: ['policy/[ot]*.yaml']\n"))
    async with following(main) as followed:
        put(policy / "two.yaml", "identities: {two: {}}\n")
        await followed.until_it_has("a", "one", "two")
        replace(policy / "two.yaml", "identities: {zwei: {}}\n")
        await followed.until_it_has("a", "one", "zwei")
        shutil.move(policy / "two.yaml", policy / "gone")
        await followed.until_it_has("a", "one")
        assert not followed.refused


async def test_what_is_included_may_come_after_what_includes_it(main: Path) -> None:
    async with following(main) as followed:
        replace(main, text("a", include="include: [later/o*.yaml]\n"))
        await followed.until(lambda: len(followed.refused) == 1)
        version(main.parent / "later", "unread")
        put(main.parent / "later" / "one.yaml", "identities: {one: {}}\n")
        await followed.until_it_has("a", "one")
        assert len(followed.refused) == 1


async def test_a_fault_is_told_with_the_digest_of_its_text_and_mended(main: Path) -> None:
    async with following(main) as followed:
        bad = text("a").replace("version: 1", "version: 2")
        replace(main, bad)
        await followed.until(lambda: bool(followed.refused))
        problems, digest = followed.refused[0]
        assert [(problem.file, problem.line) for problem in problems] == [(str(main), 1)]
        assert digest is not None
        replace(main, text("b"))
        await followed.until_it_has("b")


async def test_what_is_half_written_for_an_instant_is_no_fault(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()

    def reading(path: Path, environ: Mapping[str, str]) -> Configuration:
        try:
            return load(path, environ)
        finally:
            read.set()

    monkeypatch.setattr(watching, "load", reading)
    monkeypatch.setattr(watching, "CALM", 1.0)
    async with following(main) as followed:
        for name in ("b", "c"):
            # given a writer that stops in the middle of a word, and goes on once that was read
            read.clear()
            put(main, text(name)[:14])
            assert await asyncio.to_thread(read.wait, PATIENCE)
            put(main, text(name))
            await followed.until_it_has(name)
        assert not followed.refused


async def test_a_burst_ends_with_the_last(main: Path) -> None:
    async with following(main) as followed:
        for number in range(300):
            replace(main, text(f"n{number}"))
        await followed.until_it_has("n299")
        assert not followed.refused


async def test_what_others_write_beside_it_is_not_looked_at(main: Path) -> None:
    async with following(main) as followed:
        put(main.parent / "shim.db-wal", "x")
        replace(main, text("b"))
        await followed.until_it_has("b")
        assert len(followed.taken) == 2


async def test_asked_it_reads_what_did_not_change(main: Path) -> None:
    async with following(main) as followed:
        followed.asked.set()
        await followed.until(lambda: len(followed.taken) == 2)
        assert followed.taken[1].digest == followed.taken[0].digest


async def test_what_was_not_taken_is_given_again(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SOON", 0.05)
    async with following(main) as followed:
        followed.ready = False
        replace(main, text("b"))
        await followed.until(lambda: len(followed.taken) >= 4)
        assert [list(taken.identities) for taken in followed.taken[1:4]] == [["b"]] * 3


async def test_a_ring_of_links_and_a_hostile_pattern_end_nothing(main: Path) -> None:
    link(main.parent / "ring", "ring")
    put(main, text("a", include="include: ['ring/*', '[', '**/ring/x', '${env:NOWHERE}', {}]\n"))
    async with following(main) as followed:
        assert followed.refused
        assert not followed.taken
        replace(main, text("b"))
        await followed.until_it_has("b")
