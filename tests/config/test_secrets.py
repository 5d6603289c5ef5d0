"""Where secrets may be named in a configuration, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim import templates
from shim.config.loader import load
from tests.config.given import faults, loaded, write
from tests.secrets.asking import put

SECRETS = """secrets:
  gh: {source: env, name: GH}
  desk: {source: file, path: desk.json, field: token}
  ring: {source: keyring, service: s, user: u}
"""


def http(value: str, more: str = "") -> str:
    return (
        "version: 1\nupstreams:\n  a:\n    url: https://x/mcp\n"
        f"    headers:\n      X-A: {value}\n{more}"
        "  all:\n    command: [x]\n    env: {A: '${secret:gh}', B: '${secret:desk}', C: '${secret:ring}'}\n" + SECRETS
    )


@pytest.mark.parametrize(
    ("value", "references"),
    [
        ("${secret:gh}", ("gh",)),
        ("'Bearer ${secret:gh}'", ("gh",)),
        ("${secret:desk.user}:${secret:desk}", ("desk.user", "desk")),
        ("$${secret:gh}", ()),
        ("${env:A}", ()),
        ("'${env:A} ${secret:gh}'", ("gh",)),
    ],
)
def test_places_are_only_what_the_file_itself_names(tmp_path: Path, value: str, references: tuple[str, ...]) -> None:
    header = loaded(tmp_path, http(value), {"A": "${secret:desk} $${"}).upstreams["a"].headers["X-A"]
    assert templates.references(header) == references
    filled = templates.filled(header, dict.fromkeys(references, "V"))
    written = value.strip("'").replace("$${", "${").replace("${env:A}", "${secret:desk} $${")
    for reference in references:
        written = written.replace(f"${{secret:{reference}}}", "V", 1)
    assert filled == written


def test_a_variable_with_a_nul_makes_no_place(tmp_path: Path) -> None:
    assert faults(tmp_path, http("${env:A}"), {"A": "\0gh\0"}) == [
        "6: the environment variable A holds a NUL character; set it to text"
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("version: 1\nupstreams:\n  a:\n    command: [x, '--key=${secret:gh}']\n", 4, "everyone who lists processes"),
        ("version: 1\nupstreams:\n  a:\n    url: 'https://x/${secret:gh}'\n", 4, "nowhere else"),
        ("version: 1\nupstreams:\n  a:\n    command: [x]\n    cwd: ${secret:gh}\n", 5, "nowhere else"),
        ("version: 1\nstore: 'sqlite:${secret:gh}'\nupstreams: {a: {command: [x]}}\n", 2, "nowhere else"),
        (
            "version: 1\nupstreams: {a: {command: [x]}}\ngrants:\n- {name: '${secret:gh}', to: ['*']}\n",
            4,
            "nowhere else",
        ),
    ],
)
def test_a_secret_anywhere_else_is_a_fault(tmp_path: Path, text: str, line: int, message: str) -> None:
    found = faults(tmp_path, text + SECRETS)
    assert len(found) == 1, found
    assert found[0].startswith(f"{line}: a secret ")
    assert message in found[0]


def test_a_key_that_is_not_built_yet_is_the_only_fault_of_a_secret_in_it(tmp_path: Path) -> None:
    text = "version: 1\nupstreams:\n  a:\n    command: [x]\n    pins: '${secret:gh}'\n"
    assert faults(tmp_path, text + SECRETS) == ["5: not supported by this version: `pins`; take it out"]


@pytest.mark.parametrize("what", ["{identity}", "{claims.email}", "{tool}", "{invocation}"])
def test_a_secret_that_depends_on_the_call_is_a_fault_where_it_cannot(tmp_path: Path, what: str) -> None:
    keys = f"source: keyring, service: shim, user: 'x-{what}'"
    text = f"version: 1\nupstreams: {{a: {{command: [x]}}}}\nsecrets:\n  own:\n    {{{keys}}}\n"
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("5: `")
    assert f"` holds {what}, which a secret of source" in found[0]
    assert faults(tmp_path, text.replace(what, "{other}")) == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("keys/{identity}", None),
        ("{claims.org}/keys/x-{tool}-{invocation}.json", None),
        ("keys/{arguments.user}", "`path` may hold {identity}, {claims.NAME}, {tool} and {invocation}, and no other"),
        ("keys/{identiy}", "`path` may hold {identity}, {claims.NAME}, {tool} and {invocation}, and no other"),
    ],
)
def test_the_path_of_a_file_may_differ_from_caller_to_caller(tmp_path: Path, path: str, fault: str | None) -> None:
    text = f"version: 1\nupstreams: {{a: {{command: [x]}}}}\nsecrets:\n  own: {{source: file, path: '{path}'}}\n"
    found = faults(tmp_path, text)
    assert found == [] if fault is None else len(found) == 1 and fault in found[0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${secret:dusk}", "no secret is named 'dusk'; did you mean 'desk'?"),
        (
            "${secret:nothing-like-it}",
            "no secret is named 'nothing-like-it'; there are gh, desk, ring under `secrets:`",
        ),
        ("${secret:gh.token}", "a secret of source env has no fields; write ${secret:gh}"),
        ("${secret:ring.token}", "a secret of source keyring has no fields; write ${secret:ring}"),
        ("${secret:}", "'${secret:}' names no secret; write ${secret:NAME} or ${secret:NAME.FIELD}"),
        ("'${secret:a b}'", "'${secret:a b}' names no secret; write ${secret:NAME} or ${secret:NAME.FIELD}"),
        ("'${secret:gh'", "a `${` is not closed; write ${env:NAME} or ${secret:NAME}, or $${ for a literal ${"),
    ],
)
def test_a_secret_that_nobody_has_is_named_with_its_line(tmp_path: Path, value: str, message: str) -> None:
    assert faults(tmp_path, http(value)) == [f"6: {message}"]


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("gk: desk", "nothing of this upstream uses ${secret:gk}; name one that its `headers` or `env` use"),
        ("gh: dusk", "no secret is named 'dusk'; did you mean 'desk'?"),
    ],
)
def test_a_catalogs_secrets_are_names_that_are_known(tmp_path: Path, catalog: str, message: str) -> None:
    assert faults(tmp_path, http("${secret:gh}", f"    catalog:\n      {catalog}\n")) == [f"8: {message}"]
    assert faults(tmp_path, http("${secret:gh}", "    catalog:\n      gh: desk\n")) == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{source: env}", "`name` is missing"),
        ("{source: file, path: ''}", "`path`"),
        ("{source: file, path: x, user: y}", "`user` is no key of a secret of source file; it has path, field"),
        ("{source: enf, name: X}", "`source` names none of the sources that there are: 'enf'; did you mean 'env'?"),
        ("{name: X}", "`source` is missing"),
        ("{source: keyring, service: '', user: x}", "write the name that the keyring has for it"),
        ("{source: env, name: X, nome: X}", "did you mean 'name'?"),
    ],
)
def test_a_secret_has_the_keys_of_its_source(tmp_path: Path, block: str, message: str) -> None:
    found = faults(tmp_path, f"{http('x')}  odd:\n    {block}\n")
    assert len(found) == 1, found
    assert found[0].startswith(("14: ", "15: "))
    assert message in found[0]


def test_a_secret_that_nobody_uses_is_a_warning(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, http("x") + "  spare:\n    {source: env, name: X}\n")
    assert [(problem.line, problem.level) for problem in configuration.warnings] == [(14, "warning")]
    assert configuration.warnings[0].message.startswith("no upstream uses the secret spare;")


def test_an_identity_of_several_people_that_are_asked_for_theirs_is_a_warning(tmp_path: Path) -> None:
    text = http("'${secret:mine}'") + (
        "  mine: {source: people, prompt: Your token}\n"
        "secret_sources:\n  people: {type: user, key: file:k}\n"
        "server:\n  url: https://shim.example.com/mcp\n  jwt: {issuer: 'https://idp.example.com', audience: shim}\n"
        "identities:\n"
        "  staff: {jwt: {groups: staff}}\n"
        "  gil: {jwt: {sub: gil}}\n"
        "  each: {jwt: {groups: each}, name: 'each:{claims.sub}'}\n"
    )
    (warning,) = loaded(tmp_path, text).warnings
    assert "staff: what one of them gives of mine serves the calls of all" in warning.message
    mine = "{source: people, prompt: Your token}"
    assert loaded(tmp_path, text.replace(mine, "{source: env, name: X}")).warnings == ()


def test_a_secret_in_use_is_no_warning_where_variables_are_not_set(tmp_path: Path) -> None:
    text = http("x") + "  spare: {source: env, name: X}\n"
    text = text.replace("X-A: x", "X-A: '${env:UNSET} ${secret:spare}'")
    assert loaded(tmp_path, text, expand=False).warnings == ()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, "{}", "desk.json", mode)
    assert faults(tmp_path, http("x")) == [f"12: group or others can read {tmp_path}/desk.json; chmod 600 it"]
    (tmp_path / "desk.json").chmod(0o600)
    assert faults(tmp_path, http("x")) == []


def test_a_folder_is_no_secret_and_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "desk.json").mkdir()
    assert faults(tmp_path, http("x")) == [f"12: {tmp_path}/desk.json is not a regular file; put the secret into one"]


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, SECRETS, "policy/more.yaml")
    text = http("x").replace(SECRETS, "include: [policy/*.yaml]\n")
    configuration = load(write(tmp_path, text), {})
    assert configuration.secrets["desk"].path == str(tmp_path / "policy" / "desk.json")
    assert configuration.secret_places["desk"].line == 3


def test_a_secret_twice_is_a_fault_that_names_both(tmp_path: Path) -> None:
    write(tmp_path, "secrets:\n  gh: {source: env, name: GH}\n", "more.yaml")
    found = faults(tmp_path, http("x") + "include: [more.yaml]\n")
    assert found == [f"more.yaml:2: the secret gh is at {tmp_path}/shim.yaml:11 already; rename one"]


SOURCES = """version: 1
upstreams:
  a:
    url: https://example.com/mcp
    headers: {Authorization: "Bearer ${secret:hub}"}
secret_sources:
  app:
    type: github-app
    app_id: 12
    private_key: app.pem
secrets:
  hub: {source: app, installation: 34, permissions: {contents: read}, scope: identity, ttl: 5m}
"""


def test_a_declared_source_has_the_keys_of_its_kind_and_its_paths_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "shim.yaml").write_text(SOURCES)
    put(tmp_path / "app.pem", "key")
    loaded = load(tmp_path / "shim.yaml", {})
    assert loaded.sources["app"].where().model_dump()["private_key"] == str(tmp_path / "app.pem")
    secret = loaded.secrets["hub"]
    assert (secret.scope, secret.ttl) == ("identity", 300.0)


@pytest.mark.parametrize(
    ("sound", "wrong", "line", "message"),
    [
        ("type: github-app", "type: githup-app", 8, "`type` is none of the kinds of source that there are"),
        ("type: github-app", "type: file", 8, "`type` file is a source without being declared"),
        ("    private_key: app.pem\n", "", 7, "`private_key` is missing"),
        ("app_id: 12", "app_id: 12\n    region: eu-west-1", 10, "`region` is no key of a source of type github-app"),
        ("source: app", "source: apps", 12, "did you mean 'app'?"),
        (", permissions: {contents: read}", "", 12, "`permissions` is missing"),
        ("scope: identity", "role_arn: 'arn:aws:iam::123456789012:role/x'", 12, "`role_arn` is no key of a secret"),
        ("installation: 34", "installation: '{invocation}'", 12, "differs from call to call, and `scope` is identity"),
        ("  app:\n", "  file:\n", 7, "file is a source without being declared; take another name"),
    ],
)
def test_what_is_wrong_with_a_declared_source_or_its_secret(
    tmp_path: Path, sound: str, wrong: str, line: int, message: str
) -> None:
    assert sound in SOURCES
    found = faults(tmp_path, SOURCES.replace(sound, wrong, 1))
    assert any(one.startswith(f"{line}: ") and message in one for one in found), found


def test_a_key_of_a_source_that_others_can_read_is_a_fault(tmp_path: Path) -> None:
    put(tmp_path / "app.pem", "key", 0o644)
    assert faults(tmp_path, SOURCES) == [f"10: group or others can read {tmp_path}/app.pem; chmod 600 it"]


def test_a_grant_binds_a_secret_that_there_is(tmp_path: Path) -> None:
    grant = "identities: {me: {local: true}}\ngrants:\n- name: g\n  to: [me]\n  allow: [a/*]\n  bind: {hub: hup}\n"
    assert faults(tmp_path, SOURCES + grant) == ["18: no secret is named 'hup'; did you mean 'hub'?"]


def test_a_name_that_a_grant_binds_needs_no_secret_of_its_own(tmp_path: Path) -> None:
    grant = "identities: {me: {local: true}}\ngrants:\n- name: g\n  to: [me]\n  allow: [a/*]\n  bind: {own: hub}\n"
    text = SOURCES.replace("${secret:hub}", "${secret:own}") + grant
    assert faults(tmp_path, text) == []
    assert faults(tmp_path, text.replace("  bind: {own: hub}\n", "")) != []


def test_a_catalog_is_not_read_with_what_differs_from_caller_to_caller(tmp_path: Path) -> None:
    text = SOURCES.replace("installation: 34", "installation: '{claims.org}'")
    text = text.replace("    headers:", "    catalog: {hub: hub}\n    headers:")
    found = faults(tmp_path, text)
    assert found == [
        "5: hub is another for each caller, and there is none when the catalog is read; name another",
    ]


PEOPLE = """version: 1
upstreams:
  a:
    url: https://example.com/mcp
    headers: {Authorization: "Bearer ${secret:own}", X-Other: "${secret:theirs}"}
secret_sources:
  people:
    type: user
    key: file:people.key
  idp:
    type: oauth
    token_url: https://idp.example.com/token
    authorization_url: https://idp.example.com/authorize?prompt=consent
    client_id: shim
    client_secret: ${env:SECRET}
    key: "keyring:"
secrets:
  own: {source: people, prompt: A token of the tracker, url: https://example.com/tokens}
  theirs: {source: idp, grant: authorization_code, scopes: [read]}
"""


def test_what_people_give_is_sealed_with_a_key_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "shim.yaml").write_text(PEOPLE)
    loaded = load(tmp_path / "shim.yaml", {"SECRET": "s"})
    assert loaded.sources["people"].where().model_dump() == {"key": f"file:{tmp_path}/people.key"}
    assert all(secret.is_given and secret.is_of_a_caller for secret in loaded.secrets.values())
    put(tmp_path / "people.key", "key", 0o640)
    assert faults(tmp_path, PEOPLE, {"SECRET": "s"}) == [
        f"9: group or others can read {tmp_path}/people.key; chmod 600 it"
    ]


@pytest.mark.parametrize(
    ("sound", "wrong", "line", "message"),
    [
        ("    key: file:people.key\n", "", 7, "`key` is missing"),
        ("key: file:people.key", "key: people.key", 9, "file:PATH"),
        ("key: file:people.key", "key: vault:bao", 9, "vault:SOURCE/KEY"),
        ("key: file:people.key", "key: vault:idp/k", 9, "`key` names no source of type vault: 'idp'"),
        ("prompt: A token of the tracker, ", "", 18, "`prompt` is missing"),
        ("https://example.com/tokens", "http://example.com", 18, "`url` is where people get it"),
        ('    key: "keyring:"\n', "", 13, "come together"),
        ('key: "keyring:"', "key: ./people.key", 16, "file:PATH"),
        ('key: "keyring:"', "key: file:people.key", 16, "people has this key; name another file"),
        ("authorize?prompt=consent", "authorize#x", 13, "without user and fragment"),
        ("https://idp.example.com/authorize", "http://idp.example.com/authorize", 13, "use https"),
        ("    authorization_url: https://idp.example.com/authorize?prompt=consent\n", "", 10, "come together"),
        ("[read]", "['{identity}']", 19, "the same of each person"),
        ("upstreams:\n", "server: {behind_proxy: true}\nupstreams:\n", 19, "write `server.url`"),
    ],
)
def test_what_is_wrong_with_what_people_give(tmp_path: Path, sound: str, wrong: str, line: int, message: str) -> None:
    assert sound in PEOPLE
    found = faults(tmp_path, PEOPLE.replace(sound, wrong, 1), {"SECRET": "s"})
    assert any(one.startswith(f"{line}: ") and message in one for one in found), found


def test_only_a_source_with_a_page_to_sign_in_at_has_what_people_allow(tmp_path: Path) -> None:
    text = PEOPLE.replace("    authorization_url: https://idp.example.com/authorize?prompt=consent\n", "")
    found = faults(tmp_path, text.replace('    key: "keyring:"\n', ""), {"SECRET": "s"})
    assert found == [
        "17: `grant` authorization_code is for a source that has `authorization_url` and `key`, which this has not"
    ]
