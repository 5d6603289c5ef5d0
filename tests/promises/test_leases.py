"""`secrets list | leases | revoke` beside a shim that runs: what is lent is seen, and ends when a person says.

The credentials are tokens of an authorization server; roles that OpenBao makes are shown beside its source.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
from pathlib import Path

from tests.parts.odd import read_ledger
from tests.promises.leasing import asked, configured, note
from tests.promises.running import run, serving
from tests.secrets import issuer
from tests.secrets.issuer import CLIENT, PASSWORD, Server

_MEMBERS = ["lease", "secret", "source", "identity", "invocation", "issued", "expires", "revoked"]


def of_tokens(folder: Path, server: Server) -> Path:
    source = {
        "type": "oauth",
        "token_url": f"{server.url}/token",
        "revocation_url": f"{server.url}/revoke",
        "client_id": CLIENT,
        "client_secret": PASSWORD,
    }
    secret = {"source": "idp", "grant": "client_credentials", "scope": "identity", "ttl": "4m"}
    return configured(folder, {"idp": source}, {"key": secret}, KEY="${secret:key}")


async def ended(pid: int) -> None:
    """Return once a process is gone: it is no child of ours, so nobody tells."""
    async with asyncio.timeout(15):
        while _lives(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_lease_is_revoked_by_hand_while_the_shim_runs_and_no_call_uses_it_after(tmp_path: Path) -> None:
    async with issuer.serving() as server:
        elsewhere = of_tokens(tmp_path, server).rename(tmp_path / "elsewhere.yaml")
        elsewhere.write_text(elsewhere.read_text().replace(f"{server.url}/revoke", "http://127.0.0.1:9/"))
        config = of_tokens(tmp_path, server)
        async with serving(config) as shim:
            # given one lease for each of two identities, and a process that holds each
            for who in ("alice", "alice", "bob"):
                await note(shim, who)
            leases = await asked(config, "leases")
            assert [list(lease) for lease in leases] == [_MEMBERS, _MEMBERS]
            hers, his = leases
            assert (hers["identity"], his["identity"], hers["revoked"]) == ("alice", "bob", None)
            assert (hers["secret"], hers["source"]) == ("key", "idp")
            assert hers["issued"] < hers["expires"]
            first, again, bobs = [entry["pid"] for entry in read_ledger(tmp_path / "ledger")]
            assert first == again
            before = set(server.alive)
            # when one is revoked by who cannot reach its source, nothing changes
            code, _, err = await run(elsewhere, "secrets", "revoke", hers["lease"])
            assert code == 1
            assert "is not revoked, and goes on to be used" in err
            assert len(err.splitlines()) == 1
            assert await asked(config, "leases") == leases
            # when it is revoked
            code, out, err = await run(config, "secrets", "revoke", hers["lease"])
            assert (code, out) == (0, ""), err
            # then its token is no good, what holds it ends though nobody calls, and the next call has another
            assert len(before & set(server.alive)) == 1
            await ended(first)
            for who in ("alice", "bob"):
                await note(shim, who)
            later, same = [entry["pid"] for entry in read_ledger(tmp_path / "ledger")][3:]
            assert later != first
            assert same == bobs
            now = await asked(config, "leases", "--all")
            assert [lease["revoked"] is None for lease in now] == [False, True, True]
            assert now[0]["lease"] == hers["lease"]
            code, _, err = await run(config, "secrets", "revoke", hers["lease"])
            assert code == 0
            assert "ended already" in err
        assert server.alive == {}
    code, out, _ = await run(config, "log", "show", hers["invocation"], "--json")
    shown = json.loads(out)
    assert [secret["revoked"] for secret in shown["secrets"]] == [now[0]["revoked"]]
    (event,) = [event for event in shown["events"] if event["kind"] == "lease.revoked"]
    assert event["body"]["user"] == getpass.getuser()
    assert await asked(config, "leases") == []
    assert (await run(config, "log", "verify"))[0] == 0


async def test_secrets_are_listed_with_who_is_handed_them_and_no_source_is_asked(tmp_path: Path) -> None:
    server = Server("http://127.0.0.1:9")
    config = of_tokens(tmp_path, server)
    more = json.dumps({"source": "bao", "path": "secret/data/{identity}", "field": "token"})
    text = config.read_text().replace('"plain":', f'"own": {more}, "plain":')
    bao = {"type": "vault", "address": "http://127.0.0.1:9", "auth": {"token": "${env:NOT_SET}"}}
    config.write_text(text.replace('{"idp":', f'{{"bao": {json.dumps(bao)}, "idp":'))
    key, own, plain = await asked(config, "list")
    assert key == {
        "name": "key",
        "source": "idp",
        "kind": "oauth",
        "scope": "identity",
        "ttl": 240.0,
        "of_a_caller": False,
        "long_lived": False,
        "upstreams": ["odd"],
    }
    assert (own["kind"], own["of_a_caller"], own["long_lived"], own["upstreams"]) == ("vault", True, True, [])
    # It stands behind a name, in a grant that reaches one of the two upstreams.
    assert (plain["kind"], plain["long_lived"], plain["upstreams"]) == ("env", True, ["idle"])
    code, out, err = await run(config, "secrets", "list")
    assert (code, err) == (0, "")
    assert "another for each caller" in out
    assert PASSWORD not in out
    assert await asked(config, "leases") == []
    code, _, err = await run(config, "secrets", "revoke", "nothing", more={"NOT_SET": "x"})
    assert (code, "there is no lease 'nothing'" in err) == (1, True)
