"""A Vault that cannot, will not or lies: a clear refusal, no call, the record whole, and its token nowhere."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.odd import odd_http, read_ledger
from tests.parts.openbao import Bao, openbao
from tests.promises.databases import Asked, exported
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import http
from tests.secrets.test_vault_misbehaving import CANARY, answer, misbehaving

TOKEN = CANARY.removeprefix("s.")
"""What the shim proves itself with, and what is in all that the false ones say."""
HOSTILE = {
    "garbage": (answer(200, b"<html>" + CANARY.encode()), "gave an answer that is no JSON object"),
    "talker": (answer(500, {"errors": [f"permission denied for {CANARY}"]}), "answered 500"),
    "quota": (answer(429, {"errors": [CANARY]}), "its quota is reached"),
    "elsewhere": (answer(307, b"", f"location: http://127.0.0.1:1/?token={CANARY}"), "redirects are not followed"),
}
REAL = {"denied": "answered 403", "quota": "its quota is reached", "sealed": "sealed"}
"""What a real OpenBao does, and what the record says of it."""


@dataclass
class Faulty:
    folder: Path
    config: Path
    shim: Running

    async def note(self, who: str) -> Asked:
        async with http(self.shim.url, "modern", token=token(who)) as caller:
            return Asked(await caller.request("tools/call", {"name": "odd__note", "arguments": {"id": who}}))


@asynccontextmanager
async def faulty(folder: Path, sources: dict[str, str], paths: dict[str, str]) -> AsyncIterator[Faulty]:
    """One identity for each source (its address), whose grant binds the secret of it."""
    async with odd_http("modern", ledger=folder / "ledger") as url:
        grants = [{"name": n, "to": [n], "allow": ["odd/note"], "bind": {"key": n}} for n in sources]
        ways = {n: {"type": "vault", "address": at, "auth": {"token": TOKEN}} for n, at in sources.items()}
        secrets = {n: {"source": n, "path": paths.get(n, "secret/data/x"), "field": "token"} for n in sources}
        config = write_config(
            folder,
            f"""version: 1
store: sqlite:shim.db
upstreams:
  odd: {{url: "{url}", headers: {{x-key: "${{secret:key}}"}}}}
identities:
{"".join(identity(name) for name in sources)}
grants: {json.dumps(grants)}
secret_sources: {json.dumps(ways)}
secrets: {json.dumps(secrets)}
""",
        )
        config.chmod(0o600)
        async with serving(config) as shim:
            yield Faulty(folder, config, shim)


async def look(at: Faulty, whys: dict[str, str]) -> None:
    """Each was refused, was not made, and is on the record with its reason; the token is nowhere."""
    rows = {row["identity"]: row for row in await exported(at.config)}
    assert rows.keys() == whys.keys()
    for who, why in whys.items():
        assert (rows[who]["status"], rows[who]["secrets"]) == ("failed", [])
        assert rows[who]["error"].startswith("secret-unavailable: ")
        assert why in rows[who]["error"], who
    assert read_ledger(at.folder / "ledger") == []
    code, verified, _ = await run(at.config, "log", "verify", "--json")
    assert code == 0, verified
    _, events, _ = await run(at.config, "log", "export", "--format", "jsonl", "--events")
    kept = b"".join(path.read_bytes() for path in at.folder.glob("shim.db*"))
    assert TOKEN not in events + "".join(at.shim.errors)
    assert TOKEN.encode() not in kept


async def refused(at: Faulty, who: str) -> None:
    said = await at.note(who)
    assert said.refused == "secret-unavailable"
    assert said.text == (
        "The secret key is not available, so the call was not made: whoever runs this server has to provide it."
    )
    assert TOKEN not in json.dumps(said.answer)


async def test_what_a_false_vault_says_goes_nowhere(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sources = {
            name: (await stack.enter_async_context(misbehaving(given)))[0] for name, (given, _) in HOSTILE.items()
        }
        sources["down"] = "http://127.0.0.1:1"
        at = await stack.enter_async_context(faulty(tmp_path, sources, {}))
        for who in sources:
            await refused(at, who)
        await look(at, {name: why for name, (_, why) in HOSTILE.items()} | {"down": "cannot be reached"})


@pytest.fixture
def bao() -> Iterator[Bao]:
    """One whose tokens with the policy of this test may read one secret."""
    with openbao() as found:
        found.write("secret/data/x", data={"token": "12345678"})
        found.token("own", 'path "secret/data/x" { capabilities = ["read"] }', id=TOKEN)
        yield found


async def test_what_a_real_one_refuses_is_a_reason(tmp_path: Path, bao: Bao) -> None:
    async with faulty(tmp_path, dict.fromkeys(REAL, bao.address), {"denied": "secret/data/other"}) as at:
        await refused(at, "denied")
        quota = {"path": "secret", "rate": 0.000001, "interval": "24h"}
        assert bao.send("PUT", "sys/quotas/rate-limit/none", quota).status_code == 204
        # It counts by address, so what is left of it can be used up here.
        assert any(bao.send("GET", "secret/data/x").status_code == 429 for _ in range(10))
        await refused(at, "quota")
        bao.send("DELETE", "sys/quotas/rate-limit/none")
        bao.seal()
        await refused(at, "sealed")
        await look(at, REAL)
        bao.unseal()
        assert (await at.note("sealed")).refused is None


@pytest.mark.soak
async def test_one_that_does_not_answer_is_given_up(tmp_path: Path, bao: Bao) -> None:
    async with faulty(tmp_path, {"slow": bao.address}, {}) as at:
        bao.process.send_signal(signal.SIGSTOP)
        try:
            await refused(at, "slow")
        finally:
            bao.process.send_signal(signal.SIGCONT)
        await look(at, {"slow": "did not answer within"})
        assert (await at.note("slow")).refused is None
