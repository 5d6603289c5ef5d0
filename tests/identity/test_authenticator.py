"""Who a credential proves, and until when."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shim.errors import Unauthenticated
from shim.identity import tokens
from shim.identity.authenticator import Authenticator
from shim.identity.config import IdentityBlock, TokenBlock
from shim.identity.expiry import instant
from shim.identity.tokens import UnknownIdentity
from shim.model import Identity, Json
from tests.identity.issuer import claims, ec, public, signed
from tests.identity.judging import ISSUER, Bench, bench

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


def sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def configured(expires: str | None = None) -> dict[str, IdentityBlock]:
    block = TokenBlock(id="laptop", sha256=sha("secret"), expires=expires, run="nightly")
    return {
        "agent": IdentityBlock(groups=("devs",), tokens=(block,), runs="idle"),
        "me": IdentityBlock(local=True),
    }


def at(moment: datetime = NOW) -> Callable[[], datetime]:
    return lambda: moment


def test_a_token_proves_its_identity_with_its_groups_and_run(tmp_path: Path) -> None:
    credential = Authenticator(configured(), tmp_path / "tokens.yaml", clock=at()).bearer("secret")
    assert (credential.id, credential.run) == ("laptop", "nightly")
    assert (credential.identity.name, credential.identity.groups) == ("agent", ("devs",))
    assert credential.identity.runs == "idle"


@pytest.mark.parametrize("token", ["", "Secret", "secret ", "laptop", sha("secret"), "\udcff", "s" * 100_000, "me"])
def test_anything_else_proves_nothing(tmp_path: Path, token: str) -> None:
    authenticator = Authenticator(configured(), tmp_path / "tokens.yaml", clock=at())
    with pytest.raises(Unauthenticated, match=r"^authentication required$"):
        authenticator.bearer(token)


@pytest.mark.parametrize(
    ("expires", "last"),
    [
        ("2027-06-01", datetime(2027, 6, 1, 23, 59, 59, 999_999, UTC)),
        ("2027-06-01T12:00:00Z", datetime(2027, 6, 1, 11, 59, 59, 999_999, UTC)),
        ("2027-06-01t12:00:00.5+02:00", datetime(2027, 6, 1, 10, 0, 0, 499_999, UTC)),
    ],
)
def test_a_token_holds_until_its_end_and_not_after(tmp_path: Path, expires: str, last: datetime) -> None:
    now = [last]
    authenticator = Authenticator(configured(expires), tmp_path / "tokens.yaml", clock=lambda: now[0])
    authenticator.bearer("secret")
    now[0] += timedelta(microseconds=1)
    with pytest.raises(Unauthenticated) as caught:
        authenticator.bearer("secret")
    assert caught.value.why == "the token laptop has expired"


@pytest.mark.parametrize("text", ["", "soon", "2027", "2027-13-01", "2027-06-01T12:00:00", "20270601", "9999-12-31"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="2027-06-01T12:00:00Z"):
        instant(text)


def test_only_a_local_identity_needs_no_token(tmp_path: Path) -> None:
    authenticator = Authenticator(configured(), tmp_path / "tokens.yaml", clock=at())
    assert authenticator.local("me").id == "local"
    for name in ("agent", "nobody"):
        with pytest.raises(Unauthenticated):
            authenticator.local(name)


def test_anonymous_is_who_the_configuration_says_and_nobody_behind_a_proxy(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    assert Authenticator(configured(), path, clock=at()).anonymous() is None
    authenticator = Authenticator({"guest": IdentityBlock(anonymous=True)}, path, clock=at())
    credential = authenticator.anonymous()
    assert credential is not None
    assert (credential.identity.name, credential.id) == ("guest", "anonymous")
    assert authenticator.anonymous(forwarded=True) is None


def test_a_new_token_holds_and_a_revoked_one_does_not_from_the_next_request_on(tmp_path: Path) -> None:
    path, identities = tmp_path / "tokens.yaml", configured()
    authenticator = Authenticator(identities, path)
    for _ in range(20):
        issued = tokens.new(path, identities, "agent", now=datetime.now(UTC), random=os.urandom)
        assert authenticator.bearer(issued.token).id == issued.id
        tokens.revoke(path, identities, issued.id)
        with pytest.raises(Unauthenticated):
            authenticator.bearer(issued.token)


def test_an_edit_in_place_of_the_same_length_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.touch(0o600)
    authenticator = Authenticator(configured(), path)
    for number in range(50):
        path.write_text(f"agent: [{{id: a, sha256: {sha(str(number))}}}]\n")
        assert authenticator.bearer(str(number)).id == "a"


BROKEN = {
    "not YAML": "agent: [",
    "half a file": f"agent:\n- id: a\n  sha256: {sha('other')[:20]}\n",
    "an id of the configuration": f"agent: [{{id: laptop, sha256: {sha('other')}}}]\n",
    "a token of the configuration": f"agent: [{{id: a, sha256: {sha('secret')}}}]\n",
    "a token twice": f"agent: [{{id: a, sha256: {sha('other')}}}, {{id: b, sha256: {sha('other')}}}]\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_believed_proves_nothing_until_it_is_mended(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.yaml"
    sound = f"agent: [{{id: a, sha256: {sha('other')}}}]\n"
    path.touch(0o600)
    path.write_text(sound)
    authenticator = Authenticator(configured(), path)
    assert authenticator.bearer("other").id == "a"
    # When the file is broken, none of its tokens holds; those of the configuration do
    path.write_text(text)
    for _ in range(3):
        with pytest.raises(Unauthenticated) as caught:
            authenticator.bearer("other")
        assert "the token file is broken" in caught.value.why
        assert authenticator.bearer("secret").id == "laptop"
    # Then it is said once, and a mended file holds at once
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"{path}:" in caplog.text
    path.write_text(sound)
    assert authenticator.bearer("other").id == "a"


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.touch(0o600)
    path.write_text(f"agent: [{{id: a, sha256: {sha('other')}}}]\n")
    authenticator = Authenticator(configured(), path)
    authenticator.bearer("other")
    path.chmod(0o602)
    with pytest.raises(Unauthenticated):
        authenticator.bearer("other")


def test_tokens_of_an_identity_that_is_gone_prove_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.touch(0o600)
    path.write_text(f"gone: [{{id: a, sha256: {sha('other')}}}]\n")
    with pytest.raises(Unauthenticated):
        Authenticator(configured(), path).bearer("other")


def test_a_file_that_is_removed_takes_its_tokens_along(tmp_path: Path) -> None:
    path, identities = tmp_path / "tokens.yaml", configured()
    issued = tokens.new(path, identities, "me", now=datetime.now(UTC), random=os.urandom)
    authenticator = Authenticator(identities, path)
    assert authenticator.bearer(issued.token).identity.name == "me"
    path.unlink()
    with pytest.raises(Unauthenticated):
        authenticator.bearer(issued.token)


KEY = ec()
STAFF = {"staff": IdentityBlock(jwt={"groups": "staff"}, name="staff:{claims.email}")}


def with_jwt(path: Path, identities: dict[str, IdentityBlock]) -> tuple[Authenticator, Bench]:
    there = bench(KEY)
    return Authenticator(identities, path, verifier=there.verifier), there


def jwt(**members: Json) -> str:
    usual = {"groups": ["staff"], "email": "a@x.test", "scope": "a b"}
    return signed({"alg": "ES256", "kid": KEY.kid}, claims(ISSUER, **{**usual, **members}), KEY)


async def test_a_jwt_proves_who_its_claims_are_once_its_key_is_at_hand(tmp_path: Path) -> None:
    authenticator, there = with_jwt(tmp_path / "tokens.yaml", STAFF)
    token = jwt(sub="7", jti="j")
    with pytest.raises(Unauthenticated):
        authenticator.bearer(token)
    for _ in range(3):
        await authenticator.prepare(token)
        credential = authenticator.bearer(token)
    assert (credential.identity.name, credential.identity.groups) == ("staff:a@x.test", ("staff",))
    assert credential.identity.claims["email"] == "a@x.test"
    assert credential.scopes == frozenset({"a", "b"})
    assert credential.id == f'jwt:{{"iss":"{ISSUER}","sub":"7","jti":"j"}}'
    assert there.fetches == 1


async def test_a_bearer_whose_digest_is_known_is_that_token_even_if_it_is_a_jwt(tmp_path: Path) -> None:
    token = jwt()
    block = IdentityBlock(tokens=(TokenBlock(id="odd", sha256=sha(token)),))
    authenticator, there = with_jwt(tmp_path / "tokens.yaml", {**STAFF, "other": block})
    credential = authenticator.bearer(token)
    assert (credential.identity.name, credential.scopes) == ("other", None)
    assert there.fetches == 0


async def test_what_was_verified_ends_with_its_time_and_with_its_key(tmp_path: Path) -> None:
    authenticator, there = with_jwt(tmp_path / "tokens.yaml", STAFF)
    token = jwt()
    await authenticator.prepare(token)
    assert authenticator.bearer(token).ends is not None
    there.published = [public(ec())]
    there.now += 301
    await authenticator.prepare(token)
    with pytest.raises(Unauthenticated) as caught:
        authenticator.bearer(token)
    assert caught.value.why == "a JWT of a key that the issuer does not have"
    there.now += 3600
    with pytest.raises(Unauthenticated) as caught:
        authenticator.bearer(token)
    assert caught.value.why == "a JWT that has expired"


async def test_what_is_remembered_of_verified_tokens_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shim.identity.authenticator._REMEMBERED", 5)
    authenticator, _ = with_jwt(tmp_path / "tokens.yaml", STAFF)
    for number in range(20):
        token = jwt(email=f"p{number}@x.test")
        await authenticator.prepare(token)
        assert authenticator.bearer(token).identity.name == f"staff:p{number}@x.test"
    assert len(authenticator._remembered) == 5


async def test_without_an_issuer_a_jwt_is_an_unknown_token(tmp_path: Path) -> None:
    authenticator = Authenticator({"staff": IdentityBlock(jwt={"groups": "staff"})}, tmp_path / "tokens.yaml")
    await authenticator.prepare(jwt())
    with pytest.raises(Unauthenticated) as caught:
        authenticator.bearer(jwt())
    assert caught.value.why == "unknown or revoked token"


async def test_an_identity_that_was_proved_is_as_the_configuration_says_now(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    authenticator, _ = with_jwt(path, STAFF)
    await authenticator.prepare(jwt())
    person = authenticator.bearer(jwt()).identity
    later = {"staff": STAFF["staff"].model_copy(update={"groups": ("more",)}), "me": IdentityBlock(local=True)}
    now = Authenticator(later, path).again(person)
    assert now is not None
    assert (now.name, now.groups) == ("staff:a@x.test", ("more", "staff"))
    renamed = {"staff": IdentityBlock(jwt={"groups": "staff"}, name="people:{claims.email}")}
    assert Authenticator(renamed, path).again(person) is None
    assert Authenticator({}, path).again(person) is None
    assert Authenticator(later, path).again(Identity("me")) == Identity("me")
    assert Authenticator(later, path).again(Identity("staff")) is None


async def test_what_was_shown_once_is_known_by_its_id_until_it_is_revoked_or_over(tmp_path: Path) -> None:
    path, moment = tmp_path / "tokens.yaml", NOW
    block = configured("2027-06-01")["agent"]
    identities = {"agent": block, "guest": IdentityBlock(anonymous=True), "me": IdentityBlock(local=True)}
    issued = tokens.new(path, identities, "me", now=NOW, random=os.urandom)
    authenticator = Authenticator(identities, path, clock=lambda: moment)
    shown = authenticator.bearer(issued.token)
    assert authenticator.still(shown.id, "me")
    assert not authenticator.still(shown.id, "agent")
    assert authenticator.still("laptop", "agent")
    assert authenticator.still("anonymous", "guest")
    assert not authenticator.still("local", "me")
    assert not authenticator.still("other", "me")
    tokens.revoke(path, identities, shown.id)
    assert not authenticator.still(shown.id, "me")
    moment = datetime(2027, 6, 2, tzinfo=UTC)
    assert not authenticator.still("laptop", "agent")


async def test_of_a_jwt_that_was_shown_nothing_but_its_end_is_known(tmp_path: Path) -> None:
    authenticator, _ = with_jwt(tmp_path / "tokens.yaml", STAFF)
    await authenticator.prepare(jwt())
    shown = authenticator.bearer(jwt())
    assert shown.ends is not None
    assert authenticator.still(shown.id, shown.identity.name)
    assert not Authenticator(STAFF, tmp_path / "tokens.yaml").still(shown.id, shown.identity.name)


def test_persons_have_no_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    with pytest.raises(UnknownIdentity, match="many persons"):
        tokens.new(path, STAFF, "staff", now=NOW, random=os.urandom)
    path.touch(0o600)
    path.write_text(f"staff: [{{id: a, sha256: {sha('other')}}}]\n")
    with pytest.raises(Unauthenticated):
        Authenticator(STAFF, path).bearer("other")
