"""A shim whose upstream is handed leased secrets, and what its command line says of them."""

from __future__ import annotations

import json
from pathlib import Path

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv
from tests.promises.running import Running, identity, run, token, write_config
from tests.promises.wire import http


def configured(folder: Path, sources: JsonObject, secrets: JsonObject, **env: str) -> Path:
    """The odd server, which is handed secrets in its environment, for two identities."""
    upstream = {"command": odd_argv("modern", ledger=folder / "ledger"), "cwd": str(ROOT), "env": env}
    config = write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
upstreams:
  odd: {json.dumps(upstream)}
  idle: {{command: [cat], env: {{KEY: "${{secret:logical}}"}}}}
identities:
{identity("alice")}{identity("bob")}
grants:
  - {{name: all, to: ["*"], allow: ["odd/*"]}}
  - {{name: idle, to: [bob], allow: ["idl*/x"], bind: {{logical: plain}}}}
secret_sources: {json.dumps(sources)}
secrets: {json.dumps({**secrets, "plain": {"source": "env", "name": "PLAIN"}})}
""",
    )
    config.chmod(0o600)
    return config


async def note(shim: Running, who: str = "alice") -> None:
    async with http(shim.url, "modern", token=token(who)) as caller:
        answer = await caller.request("tools/call", {"name": "odd__note", "arguments": {"id": who}})
    assert "isError" not in answer["result"], answer


async def asked(config: Path, *words: str) -> list[JsonObject]:
    code, out, err = await run(config, "secrets", *words, "--json")
    assert code == 0, err
    assert "access-token" not in out
    found: list[JsonObject] = json.loads(out)
    return found
