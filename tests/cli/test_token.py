"""`token new | list | revoke`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.promises.running import run


async def test_a_token_is_alone_on_stdout_and_only_its_digest_is_kept(config: Path) -> None:
    code, out, err = await run(config, "token", "new", "remote", "--expires", "never", "--run", "nightly")
    assert code == 0, err
    assert re.fullmatch(r"mcpshim_[A-Za-z0-9_-]{43}\n", out)
    tokens = config.parent / "tokens.yaml"
    assert out.strip() not in tokens.read_text()
    assert tokens.stat().st_mode & 0o777 == 0o600

    _, listed, _ = await run(config, "token", "list", "--json")
    token = json.loads(listed)[-1]
    assert list(token) == ["id", "identity", "run", "created", "expires"]
    assert (token["identity"], token["run"], token["expires"]) == ("remote", "nightly", None)
    assert token["id"] in err

    code, _, _ = await run(config, "token", "revoke", token["id"])
    assert code == 0
    _, listed, _ = await run(config, "token", "list", "--json")
    assert token["id"] not in listed


async def test_an_unknown_id_is_code_1(config: Path) -> None:
    code, _, err = await run(config, "token", "revoke", "nothing")
    assert code == 1
    assert "nothing" in err


async def test_one_of_the_configuration_is_a_persons_to_edit(config: Path) -> None:
    code, _, err = await run(config, "token", "revoke", "reader-token")
    assert code == 1
    assert "identities.reader.tokens" in err
