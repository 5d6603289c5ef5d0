"""Tokens of a GitHub app, against a stub of what GitHub's documentation says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import ValidationError

from shim.secrets.github_app import GitHubApp, Keys, Where
from shim.secrets.source import Around, Purpose, Unavailable
from tests.secrets.asking import put
from tests.secrets.github import APP, INSTALLATION, GitHub, github

CALL = Purpose("lease-1", "alice", tool="gh/read", invocation="inv-1", arguments={"repo": "docs"})
KEYS = Keys.model_validate(
    {"installation": int(INSTALLATION), "repositories": ["{arguments.repo}"], "permissions": {"contents": "read"}}
)
DEFAULT = frozenset({None})


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[GitHub]:
    async with github() as stub:
        yield stub


@pytest_asyncio.fixture
async def source(stub: GitHub, tmp_path: Path) -> AsyncIterator[GitHubApp]:
    path = put(tmp_path / "app.pem", stub.key.as_pem(private=True))
    where = Where(app_id=APP, private_key=str(path), api_url=stub.url)
    source = GitHubApp("github", where, Around({}, lambda: datetime.now(UTC), os.urandom, lambda: "id"))
    yield source
    await source.close()


async def test_a_token_lives_for_one_call(stub: GitHub, source: GitHubApp) -> None:
    issued = await source.issue(KEYS, DEFAULT, CALL)
    assert stub.alive == {issued.values[None]}
    assert issued.expires is not None
    assert timedelta(minutes=59) < issued.expires - datetime.now(UTC) < timedelta(minutes=61)
    assert issued.revocation is not None
    await source.revoke(issued.revocation, orphaned=False)
    assert not stub.alive
    # Over already: nothing to do.
    await source.revoke(issued.revocation, orphaned=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"permissions": {"contents": "write"}},
        {"permissions": {"contents": "read", "issues": "read"}},
        {"permissions": None},
        {"repository_selection": "all"},
        {"repositories": [{"name": "docs"}, {"name": "secrets"}]},
        {"repositories": None},
        {"expires_at": "soon"},
    ],
)
async def test_a_token_that_may_do_more_is_refused_and_ended(
    stub: GitHub, source: GitHubApp, changes: dict[str, object]
) -> None:
    stub.changes = changes
    with pytest.raises(Unavailable, match="it was revoked"):
        await source.issue(KEYS, DEFAULT, CALL)
    assert (stub.made, stub.alive) == (1, set())


@pytest.mark.parametrize("status", [302, 401, 403, 404, 422, 429, 500])
async def test_what_github_says_is_not_repeated(stub: GitHub, source: GitHubApp, status: int) -> None:
    stub.fails = status
    with pytest.raises(Unavailable, match=f"GitHub answered {status}") as refused:
        await source.issue(KEYS, DEFAULT, CALL)
    assert "eyJ" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_key_that_others_can_read_is_not_used(stub: GitHub, source: GitHubApp, tmp_path: Path) -> None:
    (tmp_path / "app.pem").chmod(0o644)
    with pytest.raises(Unavailable, match="chmod 600"):
        await source.issue(KEYS, DEFAULT, CALL)
    put(tmp_path / "app.pem", "no key")
    with pytest.raises(Unavailable, match="no RSA key"):
        await source.issue(KEYS, DEFAULT, CALL)
    assert stub.made == 0


@pytest.mark.parametrize("repo", ["../x", "a/b", "..", "", None, 1.5])
async def test_an_argument_stays_one_repository(stub: GitHub, source: GitHubApp, repo: object) -> None:
    with pytest.raises(Unavailable):
        await source.issue(KEYS, DEFAULT, Purpose("lease-1", "alice", arguments={"repo": repo}))
    assert stub.made == 0


def test_what_cannot_be_is_refused_when_it_is_read() -> None:
    for block in ({"repositories": ["owner/name"]}, {"installation": "x"}, {"permissions": {"contents": "all"}}):
        with pytest.raises(ValidationError):
            Keys.model_validate(block)
    with pytest.raises(ValidationError):
        Where(app_id=APP, private_key="/x", api_url="http://github.example")
