"""What can be wrong with `server.jwt`, the identities that JWTs prove, and the scopes of grants."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.errors import ConfigurationError
from tests.config.given import faults, loaded

HEAD = "version: 1\nupstreams: {git: {command: [x]}}\n"
JWT = "server:\n  jwt: {issuer: https://idp.test, audience: a}\n"
STAFF = "identities:\n  staff:\n    jwt: {groups: staff}\n    name: 'staff:{claims.email}'\n"
SOUND = HEAD + JWT + STAFF + "grants:\n- {name: one, to: ['group:staff'], allow: [git/x], scopes: [git.read]}\n"


def test_what_is_sound(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, SOUND)
    jwt = configuration.server.jwt
    assert jwt is not None
    assert jwt.algorithms == ("RS256", "ES256", "EdDSA")
    assert configuration.identities["staff"].jwt == {"groups": "staff"}
    assert configuration.grants[0].scopes == ("git.read",)
    assert configuration.warnings == ()


def test_a_grant_may_be_for_one_person_of_a_template(tmp_path: Path) -> None:
    person = SOUND.replace("group:staff", "staff:ann@example.com")
    assert loaded(tmp_path, person).grants[0].to == ("staff:ann@example.com",)
    for nobody in ("stuff:ann@example.com", "staff:", "staff:ann b"):
        (fault,) = faults(tmp_path, person.replace("staff:ann@example.com", nobody))
        assert f"no identity is named {nobody!r}" in fault


CASES: dict[str, tuple[str, str, int, str]] = {
    "an issuer in the clear": ("https://idp.test", "http://idp.test", 4, "write https://"),
    "an issuer that is no URL": ("https://idp.test", "idp", 4, "is no http or https URL; write https://HOST"),
    "an issuer with a query": ("https://idp.test", "https://idp.test?x=1", 4, "no query"),
    "an issuer with a fragment": ("https://idp.test", "'https://idp.test#x'", 4, "no fragment"),
    "keys in the clear": ("audience: a", "audience: a, jwks_url: http://idp.test/keys", 4, "write https://"),
    "no audience": (", audience: a", "", 4, "`audience` is missing"),
    "an empty audience": ("audience: a", "audience: ''", 4, "audience"),
    "no issuer": ("issuer: https://idp.test, ", "", 4, "`issuer` is missing"),
    "an unknown algorithm": ("audience: a", "audience: a, algorithms: [RS257]", 4, "did you mean"),
    "none": ("audience: a", "audience: a, algorithms: [none]", 4, "none"),
    "a shared secret": ("audience: a", "audience: a, algorithms: [HS256]", 4, "HS256"),
    "no algorithms": ("audience: a", "audience: a, algorithms: []", 4, "no algorithm is allowed"),
    "a URL in the clear": ("server:\n", "server:\n  url: http://shim.test/mcp\n", 4, "in the clear"),
    "no URL behind a proxy": ("server:\n", "server:\n  behind_proxy: true\n", 4, "write `url`"),
    "a URL that cannot stand in a header": ("server:\n", "server:\n  url: https://shim.tést/mcp\n", 4, "in ASCII"),
    "no claims": ("jwt: {groups: staff}", "jwt: {}", 7, "name a claim"),
    "an empty claim": ("jwt: {groups: staff}", "jwt: {groups: ''}", 7, "character"),
    "a claim that is a list": ("jwt: {groups: staff}", "jwt: {groups: [staff]}", 7, "text is expected"),
    "a name without claims": ("staff:{claims.email}", "staff", 8, "without a claim"),
    "a name that is a group's": ("staff:{claims.email}", "group:{claims.email}", 8, "means something else"),
    "a name without a beginning": ("staff:{claims.email}", "{claims.email}", 8, "begins with a text of its own"),
    "a name and no jwt": ("    jwt: {groups: staff}\n", "", 7, "say with `jwt`"),
    "a name and a token": ("    name:", "    local: true\n    name:", 9, "has no tokens"),
    "persons as one": ("to: ['group:staff']", "to: [staff]", 10, "write `group:staff`"),
    "a deny with scopes": ("allow: [git/x]", "deny: [git/x]", 10, "write allow and deny as two grants"),
    "scopes in one text": ("scopes: [git.read]", "scopes: ['a b']", 10, "a scope is one word"),
    "scopes that end a header": ("scopes: [git.read]", "scopes: ['a\"b']", 10, "a scope is one word"),
    "two templates alike": (
        "grants:",
        "  more:\n    jwt: {x: y}\n    name: 'staff:{claims.sub}'\ngrants:",
        11,
        "two persons could have one name",
    ),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), CASES.values(), ids=CASES.keys())
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    changed = SOUND.replace(old, new, 1)
    assert changed != SOUND
    (fault,) = faults(tmp_path, changed)
    at, _, text = fault.partition(": ")
    assert message in text
    assert int(at) == line


def test_without_an_issuer_neither_jwt_nor_scopes_mean_anything(tmp_path: Path) -> None:
    found = faults(tmp_path, SOUND.replace(JWT, ""))
    assert [fault.partition(":")[0] for fault in found] == ["5", "8"]
    assert all("`server.jwt` is not configured" in fault for fault in found)


def test_an_issuer_for_nobody_is_warned_of(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, HEAD + JWT).warnings
    assert "no identity has `jwt`" in warning.message


def test_tokens_of_persons_are_orphans(tmp_path: Path) -> None:
    (tmp_path / "tokens.yaml").touch(0o600)
    (tmp_path / "tokens.yaml").write_text(f"staff: [{{id: a, sha256: {'f' * 64}}}]\n")
    (warning,) = loaded(tmp_path, SOUND).warnings
    assert "its tokens prove nothing" in warning.message


@pytest.mark.parametrize("listen", ["0.0.0.0:8765", "[::]:8765"])
def test_clients_are_told_a_url_at_which_somebody_is(tmp_path: Path, listen: str) -> None:
    tls = "server:\n  tls: {cert: c.pem, key: k.pem}\n"
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch(0o600)
    text = SOUND.replace("server:\n", f"{tls}  listen: '{listen}'\n")
    assert [fault.partition("; ")[2] for fault in faults(tmp_path, text)] == ["write `url`"]
    assert faults(tmp_path, text.replace("  listen:", "  url: https://shim.test/mcp\n  listen:")) == []
    with pytest.raises(ConfigurationError, match="write `url`"):
        loaded(tmp_path, SOUND.replace("server:\n", tls)).listening_on(listen)


def test_an_issuer_on_this_machine_needs_no_https(tmp_path: Path) -> None:
    assert faults(tmp_path, SOUND.replace("https://idp.test", "http://127.0.0.1:8080/realms/x")) == []
