"""OpenBao as an upstream, through its own document, with what it leases itself."""

from __future__ import annotations

import json
from pathlib import Path

from shim.model import JsonObject
from shim.refusals import DECISION_META
from tests.parts.openbao import openbao
from tests.promises.running import identity, run, serving, token, write_config
from tests.promises.wire import HttpPeer, http

_RULES = """
path "secret/data/team/*" { capabilities = ["create", "update", "read", "delete", "patch"] }
path "ssh/verify" { capabilities = ["create", "update"] }
path "ssh/creds/otp" { capabilities = ["create", "update"] }
path "sys/internal/specs/openapi" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "auth/token/create" { capabilities = ["update"] }
"""


async def called(peer: HttpPeer, name: str, arguments: JsonObject) -> JsonObject:
    answer = await peer.request("tools/call", {"name": name, "arguments": arguments})
    result: JsonObject = answer["result"]
    return result


async def test_openbao_by_its_own_document_with_what_it_leases(tmp_path: Path) -> None:
    with openbao() as bao:
        bao.write("sys/mounts/ssh", type="ssh")
        bao.write("ssh/roles/otp", key_type="otp", default_user="alice", cidr_list="10.0.0.0/8")
        key = bao.token("team", _RULES)
        config = write_config(
            tmp_path,
            f"""version: 1
record: {{results: full}}
upstreams:
  bao:
    openapi: {bao.address}/v1/sys/internal/specs/openapi
    base: {bao.address}/v1
    operations: ["* /secret/data/{{path}}", "!DELETE /**"]
    auth: {{header: {{X-Vault-Token: "${{secret:key}}"}}}}
    slashes: [path]
    catalog: {{key: key}}
  otp:
    openapi: {bao.address}/v1/sys/internal/specs/openapi
    base: {bao.address}/v1
    operations: [ssh-verify-otp]
    auth: {{header: {{X-Vault-Token: "${{secret:key}}"}}}}
    fixed: {{body: {{otp: "${{secret:once.key}}"}}}}
    catalog: {{key: key}}
    prefix: ""
identities:
{identity("alice")}
grants:
  - {{name: team, to: [alice], allow: ["bao/*", "otp/*"]}}
secret_sources:
  bao: {{type: vault, address: "{bao.address}", auth: {{token: "${{env:BAO_TOKEN}}"}}}}
secrets:
  key: {{source: env, name: BAO_TOKEN}}
  once: {{source: bao, path: ssh/creds/otp, params: {{ip: 10.1.2.3}}, scope: call, ttl: 5m}}
""",
        )
        environment = {"BAO_TOKEN": key}
        async with (
            serving(config, env=environment) as shim,
            http(shim.url, "modern", token=token("alice")) as peer,
        ):
            # given what is kept there, written and read by the document's own operations
            wrote = await called(peer, "bao__kv-write-data-path", {"path": "team/app", "body": {"data": {"user": "x"}}})
            assert wrote["structuredContent"]["data"]["version"] == 1
            read = await called(peer, "bao__kv-read-data-path", {"path": "team/app"})
            assert read["structuredContent"]["data"]["data"] == {"user": "x"}
            # when a path leads elsewhere, or where the token may not go
            away = await called(peer, "bao__kv-read-data-path", {"path": "../../sys/mounts"})
            assert away["_meta"][DECISION_META]["reason"] == "invalid-arguments"
            refused = await called(peer, "bao__kv-read-data-path", {"path": "other"})
            assert refused["isError"] is True
            assert "403 (Forbidden)" in refused["content"][0]["text"]
            # when a one-time password is leased for one call, and sent where no caller sees it
            tools = {tool["name"]: tool for tool in (await peer.request("tools/list"))["result"]["tools"]}
            assert tools["ssh-verify-otp"]["inputSchema"]["properties"] == {}
            proved = await called(peer, "ssh-verify-otp", {})
            assert proved["structuredContent"]["data"] == {"ip": "10.1.2.3", "role_name": "otp", "username": "alice"}
        # then it ended with its call, and the record has it all, and no value
        assert bao.listed("sys/leases/lookup/ssh/creds/otp") == []
        code, out, err = await run(config, "log", "export", more=environment)
        assert code == 0, err
        rows = [json.loads(line) for line in out.splitlines()]
        assert [row["decision"] for row in rows] == ["allow", "allow", "deny", "allow", "allow"]
        leases = [lease for row in rows if row["tool"] == "otp/ssh-verify-otp" for lease in row["secrets"]]
        assert [one["revoked"] is not None for one in leases if one["name"] == "once"] == [True]
        assert key not in out
