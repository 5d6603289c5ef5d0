"""The published JSON Schema is the one that the loader reads by."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml

from shim.config.schema import schema, text
from shim.curating import ToolBlock
from shim.model import Json
from tests.config.given import faults, write

# It comes with the MCP SDK and has no types of its own.
Draft202012Validator = importlib.import_module("jsonschema").Draft202012Validator

PUBLISHED = Path(__file__).parents[2] / "config" / "shim.schema.json"

SAMPLE = """# yaml-language-server: $schema=shim.schema.json
version: 1
server:
  listen: 127.0.0.1:8765
  url: https://shim.example.com/mcp
  allowed_hosts: [shim.example.com]
  max_request: 4MiB
  tls: {cert: server.pem, key: server.key}
  behind_proxy: false
  jwt:
    issuer: https://idp.example.com
    audience: https://shim.example.com/mcp
    jwks_url: https://idp.example.com/keys
    algorithms: [RS256, ES256, EdDSA]
store: sqlite:var/shim.db
record:
  arguments: redacted
  results: digest
  key: shim.key
upstreams:
  git:
    command: [mcp-server-git, --repository, /srv/repo]
    env: {TZ: UTC, DEBUG: 0}
    cwd: .
    isolation: identity
    pool: {max: 16, idle: 10m}
  tickets:
    url: https://tickets.example.com/mcp
    headers: {Authorization: "Bearer ${secret:tickets}", X-Desk: "${env:TICKETS}"}
    tls: {ca: server.pem, cert: server.pem, key: server.key}
    era: auto
    prefix: tickets__
    timeout: 2m
    max_result: 10MiB
    required: false
    catalog: {tickets: tickets-readonly}
identities:
  code-assistant:
    groups: [developers]
    tokens:
      - id: laptop
        sha256: 5d1c6f0be2b74aa9c83e17f4906ad2b35e8801c7f6b94d2a9e7730c15ab8d46f
        expires: 2027-06-01
    runs: auto
  support-bot:
    jwt: {sub: support-bot}
  staff:
    jwt: {groups: staff}
    name: "staff:{claims.email}"
  me:
    local: true
  lead:
    groups: [leads]
grants:
  - name: read-the-repo
    to: [code-assistant, "group:leads"]
    allow: ["git/git_status", "git/git_diff*"]
  - name: small-commits
    to: [code-assistant]
    allow: ["git/git_commit"]
    when: size(args.message) < 200
  - name: tickets-for-staff
    to: ["group:staff"]
    allow: ["tickets/*"]
    scopes: [tickets.read]
  - name: nothing-yet
    to: [me]
    allow:
  - name: never-reset
    to: ["*"]
    deny: ["git/git_reset"]
secrets:
  tickets: {source: file, path: tickets.json, field: token, scope: call}
  tickets-readonly: {source: keyring, service: tickets, user: desk}
  other: {source: env, name: OTHER}
include: [policy/*.yaml]
"""


class _Yaml12(yaml.SafeLoader):
    """Scalars as editors read them: dates are text."""


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def as_an_editor_reads_it(text: str) -> Json:
    return yaml.load(text, Loader=_Yaml12)


def test_the_published_schema_is_that_of_the_blocks() -> None:
    fresh = text()
    assert PUBLISHED.read_text() == fresh, "run: python -m shim.config.schema > config/shim.schema.json"


def test_a_key_that_is_called_as_a_keyword_is_in_it() -> None:
    blocks = schema()["$defs"]
    assert list(blocks["ToolBlock"]["properties"]) == list(ToolBlock.model_fields)


def test_it_is_a_json_schema() -> None:
    assert list(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(json.loads(text()))) == []


def test_what_the_contract_shows_fits_the_schema_and_the_loader(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        write(tmp_path, "x", name)
    write(tmp_path, "grants: []\n", "policy/more.yaml")
    assert faults(tmp_path, SAMPLE, {"TICKETS": "t"}, mode=0o644) == []
    assert list(Draft202012Validator(schema()).iter_errors(as_an_editor_reads_it(SAMPLE))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("behind_proxy: false", "behind_proxy: maybe"),
        ("max_request: 4MiB", "max_request: [1]"),
        ("arguments: redacted", "arguments: some"),
        ("results: digest", "retain: 400d"),
        ("  git:", "  Git__x:"),
        ("max: 16", "max: 0"),
        ("era: auto", "pins: hold"),
        ("id: laptop", "run: x"),
        ("ES256, EdDSA", "HS256"),
        ("issuer: https", "issuers: https"),
        ("jwt: {sub: support-bot}", "jwt: [support-bot]"),
        ("scopes: [tickets.read]", "scopes: ['a b']"),
        ("sha256: 5d", "sha256: XX"),
        ("name: small-commits", "nome: small-commits"),
        ('allow: ["tickets/*"]', "allow: tickets"),
        ("include:", "enforce: true\ninclude:"),
        ("TZ: UTC", "T-Z: UTC"),
        ("scope: call", "scope: ever"),
        ("scope: call", "scopes: read"),
        ("  other:", "  oth.er:"),
        ("name: OTHER", "nome: OTHER"),
        ("catalog: {tickets:", "catalog: {tick ets:"),
    ],
)
def test_what_the_schema_refuses_the_loader_refuses(tmp_path: Path, old: str, new: str) -> None:
    for name in ("server.pem", "server.key"):
        write(tmp_path, "x", name)
    write(tmp_path, "grants: []\n", "policy/more.yaml")
    changed = SAMPLE.replace(old, new, 1)
    assert changed != SAMPLE
    assert list(Draft202012Validator(schema()).iter_errors(as_an_editor_reads_it(changed)))
    assert faults(tmp_path, changed, {"TICKETS": "t"})


def test_the_configuration_to_start_from_fits_both(tmp_path: Path) -> None:
    start = PUBLISHED.with_name("shim.yaml").read_text()
    assert start.startswith("# yaml-language-server: $schema=shim.schema.json\n")
    assert list(Draft202012Validator(schema()).iter_errors(as_an_editor_reads_it(start))) == []
    assert faults(tmp_path, start) == []
