"""Making, listing and revoking tokens."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.identity import tokenfile, tokens
from shim.identity.config import IdentityBlock, TokenBlock
from shim.identity.tokenfile import TokenFileError
from shim.identity.tokens import Issued, Listed, TokenError, UnknownIdentity, UnknownToken

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
HERE = {
    "agent": IdentityBlock(),
    "me": IdentityBlock(tokens=(TokenBlock(id="fixed", sha256="f" * 64, expires="2027-06-01"),)),
}


def new(path: Path, identity: str = "agent", expires: str = tokens.DEFAULT_EXPIRY, run: str | None = None) -> Issued:
    return tokens.new(path, HERE, identity, now=NOW, random=os.urandom, expires=expires, run=run)


def test_a_token_is_shown_once_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    issued = new(path)
    assert re.fullmatch(r"mcpshim_[A-Za-z0-9_-]{43}", issued.token)
    assert issued.token not in path.read_text()
    assert issued.token[8:] not in path.read_text()
    (entry,) = tokenfile.read(path).entries["agent"]
    assert entry.sha256 == hashlib.sha256(issued.token.encode()).hexdigest()
    assert (entry.id, entry.created, entry.expires) == (issued.id, "2027-01-01T12:00:00Z", "2027-04-01T12:00:00Z")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("expires", "end"),
    [("1h", "2027-01-01T13:00:00Z"), ("never", None), ("2027-06-01", "2027-06-01"), ("400d", "2028-02-05T12:00:00Z")],
)
def test_a_token_ends_when_it_is_told_to(tmp_path: Path, expires: str, end: str | None) -> None:
    assert new(tmp_path / "tokens.yaml", expires=expires).expires == end


@pytest.mark.parametrize("expires", ["", "soon", "2026-12-31", "99999999d", "-1d", "90"])
def test_an_expiry_that_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, expires: str) -> None:
    with pytest.raises(TokenError):
        new(tmp_path / "tokens.yaml", expires=expires)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run", ["", "a\nb", "r" * 129])
def test_a_run_that_cannot_be_named_so_is_refused(tmp_path: Path, run: str) -> None:
    with pytest.raises(TokenError, match="1 to 128 characters"):
        new(tmp_path / "tokens.yaml", run=run)


def test_text_that_yaml_would_read_otherwise_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    for run in ("0e12", "no", "null", "a: b", "# x", "'", "\u00e9\u4e16", "\U0001f600"):
        issued = new(path, run=run)
        assert [entry.run for entry in tokens.listed(path, HERE) if entry.id == issued.id] == [run]


def test_an_identity_that_is_not_there_gets_no_token(tmp_path: Path) -> None:
    with pytest.raises(UnknownIdentity, match="'you'"):
        new(tmp_path / "tokens.yaml", "you")


def test_the_list_has_all_tokens_and_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    issued = new(path, "me", run="nightly")
    assert tokens.listed(path, HERE) == [
        Listed("fixed", "me", None, None, "2027-06-01"),
        Listed(issued.id, "me", "nightly", "2027-01-01T12:00:00Z", "2027-04-01T12:00:00Z"),
    ]


def test_revoking_takes_one_out_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    first, second, third = new(path), new(path), new(path, "me")
    assert tokens.revoke(path, HERE, first.id) == "agent"
    assert [entry.id for entry in tokens.listed(path, HERE)] == ["fixed", second.id, third.id]
    assert tokens.revoke(path, HERE, third.id) == "me"
    assert tokens.revoke(path, HERE, second.id) == "agent"
    assert [entry.id for entry in tokens.listed(path, HERE)] == ["fixed"]


def test_what_cannot_be_revoked_says_why(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    with pytest.raises(UnknownToken, match="'nothing'"):
        tokens.revoke(path, HERE, "nothing")
    with pytest.raises(TokenError, match=r"under identities\.me\.tokens: take it out there"):
        tokens.revoke(path, HERE, "fixed")
    assert not path.exists()


def test_a_broken_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("agent: [\n")
    for change in (lambda: new(path), lambda: tokens.revoke(path, HERE, "x")):
        with pytest.raises(TokenFileError, match=r"tokens\.yaml:2: "):
            change()
    assert path.read_text() == "agent: [\n"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "else").write_text("")
    (tmp_path / "tokens.yaml").symlink_to("else")
    with pytest.raises(TokenError, match="symbolic link"):
        new(tmp_path / "tokens.yaml")
    assert (tmp_path / "else").read_text() == ""


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="cannot be written: No such file"):
        new(tmp_path / "nowhere" / "tokens.yaml")


MAKER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from shim.identity import tokens
from shim.identity.config import IdentityBlock
path, identities = Path(sys.argv[1]), {"agent": IdentityBlock()}
for _ in range(int(sys.argv[2])):
    print(tokens.new(path, identities, "agent", now=datetime.now(UTC), random=os.urandom).id)
"""


def test_processes_that_make_tokens_at_once_all_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKER, str(path), "15"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ids = [line for maker in makers for line in maker.communicate(timeout=60)[0].split()]
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert len(ids) == 45
    assert {entry.id for entry in tokens.listed(path, {})} == set(ids)
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.yaml"]
