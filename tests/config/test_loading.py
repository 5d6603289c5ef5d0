"""What a sound configuration becomes: defaults, paths, placeholders, includes, digest."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from shim.config.loader import load
from shim.errors import ConfigurationError
from tests.config.given import GOOD, faults, loaded, write


def test_what_is_not_written_has_the_defaults_of_the_contract(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, GOOD)
    assert configuration.server.listen == "127.0.0.1:8765"
    assert configuration.server.max_request == 4 * 2**20
    assert configuration.store == f"sqlite:{tmp_path}/var/shim.db"
    assert (configuration.record.arguments, configuration.record.results) == ("redacted", "digest")
    git = configuration.upstreams["git"]
    assert (git.isolation, git.era, git.timeout, git.max_result) == ("identity", "auto", 120.0, 10 * 2**20)
    assert (git.pool.max, git.pool.idle, git.prefix, git.required) == (16, 600.0, None, False)
    assert configuration.grants == ()


def test_a_value_is_read_by_the_type_of_its_key(tmp_path: Path) -> None:
    digest = "0" * 63 + "1"
    configuration = loaded(
        tmp_path,
        f"""version: 1
server: {{max_request: 1000, behind_proxy: true, listen: "0.0.0.0:80"}}
upstreams:
  "1": {{command: [echo, 1.0, no, 0x10], env: {{A: 0, B: true, C: 1e3}}, pool: {{max: 3}}}}
identities:
  2027: {{groups: [007], tokens: [{{id: 1e2, sha256: {digest}, expires: 2027-06-01}}]}}
grants:
  - name: 1.10
    to: [2027]
    allow:
    when: true
""",
    )
    assert configuration.server.max_request == 1000
    assert configuration.server.behind_proxy is True
    upstream = configuration.upstreams["1"]
    assert upstream.command == ("echo", "1.0", "no", "0x10")
    assert upstream.env == {"A": "0", "B": "true", "C": "1e3"}
    assert upstream.pool.max == 3
    identity = configuration.identities["2027"]
    assert identity.groups == ("007",)
    assert (identity.tokens[0].id, identity.tokens[0].sha256, identity.tokens[0].expires) == (
        "1e2",
        digest,
        "2027-06-01",
    )
    grant = configuration.grants[0]
    assert (grant.name, grant.to, grant.allow, grant.when) == ("1.10", ("2027",), (), "true")


def test_what_is_left_empty_is_an_empty_list_or_mapping(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, "version: 1\nupstreams:\nserver:\nidentities:\n  me:\ngrants:\n")
    assert configuration.upstreams == {}
    assert list(configuration.identities) == ["me"]
    assert configuration.grants == ()


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    write(tmp_path, "x", "conf/policy/ca.pem")
    write(
        tmp_path,
        """upstreams:
  here: {command: [./run, ./argument], cwd: work}
  there: {url: https://x/mcp, tls: {ca: ca.pem}}
  looked-up: {command: [run]}
""",
        "conf/policy/more.yaml",
    )
    path = write(
        tmp_path,
        "version: 1\nstore: sqlite:../data/x.db\nrecord: {key: shim.key}\nupstreams:\ninclude: [policy/*.yaml]\n",
        "conf/shim.yaml",
    )
    configuration = load(path, {})
    assert configuration.folder == tmp_path / "conf"
    assert configuration.tokens == tmp_path / "conf/tokens.yaml"
    assert configuration.store.path == str(tmp_path / "conf/../data/x.db")
    assert configuration.record.key == str(tmp_path / "conf/shim.key")
    here, there, found = (configuration.upstreams[name] for name in ("here", "there", "looked-up"))
    assert here.command == (str(tmp_path / "conf/policy/run"), "./argument")
    assert here.cwd == str(tmp_path / "conf/policy/work")
    assert there.tls is not None
    assert there.tls.ca == str(tmp_path / "conf/policy/ca.pem")
    assert (found.command, found.cwd) == (("run",), str(tmp_path / "conf"))


def test_a_variable_is_expanded_once_and_a_doubled_dollar_is_literal(tmp_path: Path) -> None:
    text = "version: 1\nupstreams:\n  a:\n    command: [x, '${env:A}-${env:B}', '$${env:A}', '$A $ {', '$$${env:A}']\n"
    configuration = loaded(tmp_path, text, {"A": "${env:B}", "B": "b"})
    assert configuration.upstreams["a"].command == ("x", "${env:B}-b", "${env:A}", "$A $ {", "$${env:A}")


def test_the_value_of_a_variable_is_checked_like_one_that_is_written(tmp_path: Path) -> None:
    text = "version: 1\nupstreams:\n  a:\n    command: [x]\n    timeout: ${env:T}\n"
    assert loaded(tmp_path, text, {"T": "5s"}).upstreams["a"].timeout == 5.0
    assert faults(tmp_path, text, {"T": "five"})[0].startswith("5: 'five' is not a duration")


def test_a_variable_that_is_not_text_is_a_fault(tmp_path: Path) -> None:
    text = "version: 1\nupstreams:\n  a: {command: ['${env:T}']}\n"
    assert faults(tmp_path, text, {"T": "\udcff"}) == [
        "3: the environment variable T is not UTF-8; set it to text",
    ]


def test_verbs_that_need_no_value_do_without_variables(tmp_path: Path) -> None:
    text = """version: 1
upstreams:
  a:
    command: [x, "${env:NO}"]
    timeout: ${env:NO}
  b:
    url: ${env:NO}
    headers: {Authorization: "${env:NO}"}
identities: {me: {local: true}}
grants:
  - {name: g, to: [me], allow: [a/x, b/y]}
"""
    assert len(faults(tmp_path, text)) == 4
    configuration = loaded(tmp_path, text, expand=False)
    assert configuration.upstreams["a"].command == ("x", "${env:NO}")
    assert configuration.upstreams["a"].timeout == 120.0
    assert configuration.upstreams["b"].url == "${env:NO}"
    assert list(configuration.identities) == ["me"]
    assert faults(tmp_path, text.replace("[x,", "[x, '${no}',"), expand=False)[0].startswith("4: '${no}' is no")


@pytest.mark.parametrize("line", ["store: sqlite:${env:NO}/x", 'record: {key: "${env:NO}"}'])
def test_where_the_record_lies_is_needed_by_every_verb(tmp_path: Path, line: str) -> None:
    (found,) = faults(tmp_path, GOOD + line + "\n", expand=False)
    assert found.startswith("6: ")
    assert "not set" in found


def test_included_grants_come_after_in_the_order_of_the_files_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        text = f"identities: {{id-{name}: {{}}}}\ngrants:\n  - {{name: {name}, to: [me], deny: [git/x]}}\n"
        write(tmp_path, text, f"policy/{name}.yaml")
    text = GOOD + "grants:\n  - {name: z, to: [id-a], allow: [git/x]}\ninclude: [policy/*.yaml]\n"
    configuration = loaded(tmp_path, text)
    assert [grant.name for grant in configuration.grants] == ["z", "a", "b"]
    assert [name for name, _ in configuration.texts] == ["shim.yaml", "policy/a.yaml", "policy/b.yaml"]
    assert list(configuration.identities) == ["me", "id-a", "id-b"]


@pytest.mark.parametrize(
    "key", ["version: 1", "server: {}", "store: sqlite:x", "record: {}", "enforce: true", "include: []"]
)
def test_an_included_file_may_not_hold_what_is_the_main_files(tmp_path: Path, key: str) -> None:
    write(tmp_path, f"grants: []\n{key}\n", "more.yaml")
    found = faults(tmp_path, GOOD + "include: [more.yaml]\n")
    assert len(found) == 1
    assert found[0].startswith("more.yaml:2: ")
    assert "in an included file" in found[0] or "not supported by this version" in found[0]


def test_a_name_twice_names_both_places(tmp_path: Path) -> None:
    write(
        tmp_path,
        """grants:
  - {name: g, to: [me], allow: [git/x]}
identities:
  me: {}
upstreams:
  git: {command: [other]}
""",
        "more.yaml",
    )
    text = GOOD + "include: [more.yaml]\ngrants:\n  - {name: g, to: [me], allow: [git/x]}\n"
    assert faults(tmp_path, text) == [
        f"more.yaml:2: the grant g is at {tmp_path}/shim.yaml:8 already; rename one",
        f"more.yaml:4: the identity me is at {tmp_path}/shim.yaml:5 already; rename one",
        f"more.yaml:6: the upstream git is at {tmp_path}/shim.yaml:3 already; rename one",
    ]


def test_faults_of_an_included_file_name_it(tmp_path: Path) -> None:
    write(tmp_path, "grants:\n  - {name: g, to: [you], allow: [git/x]}\n", "policy/more.yaml")
    write(tmp_path, "\0", "policy/none.yaml")
    found = faults(tmp_path, GOOD + "include: [policy/*.yaml]\n")
    assert [line.split(": ")[0] for line in found] == ["policy/more.yaml:2", "policy/none.yaml:1"]


def test_the_digest_of_one_file_is_its_sha256_as_read(tmp_path: Path) -> None:
    text = GOOD + "store: sqlite:${env:A}\n"
    first, second = loaded(tmp_path, text, {"A": "a"}), loaded(tmp_path, text, {"A": "b"})
    assert first.digest == second.digest == hashlib.sha256(text.encode()).hexdigest()
    assert first.texts == (("shim.yaml", text),)


def test_the_digest_of_several_files_is_that_of_their_listing(tmp_path: Path) -> None:
    write(tmp_path, "grants: []\n", "policy/a.yaml")
    configuration = loaded(tmp_path, GOOD + "include: [policy/*.yaml]\n")
    listing = subprocess.run(
        ["sha256sum", "shim.yaml", "policy/a.yaml"], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert configuration.digest == hashlib.sha256(listing).hexdigest()


def test_tokens_are_not_part_of_the_digest(tmp_path: Path) -> None:
    before = loaded(tmp_path, GOOD).digest
    write(tmp_path, f"me: [{{id: x, sha256: {'a' * 64}}}]\n", "tokens.yaml")
    assert loaded(tmp_path, GOOD).digest == before


def test_another_address_to_listen_on_is_held_to_the_same_rules(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, GOOD)
    assert configuration.listening_on("127.0.0.1:0").server.listen == "127.0.0.1:0"
    with pytest.raises(ConfigurationError, match="add `tls`"):
        configuration.listening_on("0.0.0.0:80")
    with pytest.raises(ConfigurationError, match="write HOST:PORT"):
        configuration.listening_on("80")
    behind = loaded(tmp_path, GOOD + "server: {behind_proxy: true}\n")
    assert behind.listening_on("0.0.0.0:80").server.listen == "0.0.0.0:80"


def test_a_path_that_is_relative_is_shown_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "nothing: here\n", "conf/shim.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^conf/shim\.yaml:1: "):
        load(Path("conf/shim.yaml"), {})
