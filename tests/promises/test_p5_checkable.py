"""P5: the record can be checked: whatever is edited, deleted, inserted, reordered or cut off is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from shim.model import JsonObject
from tests.promises.running import run, serving, token
from tests.promises.wire import http


async def recorded(config: Path, repository: Path) -> None:
    async with serving(config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        for name in ("git__git_status", "git__git_log", "git__git_commit"):
            await reader.request("tools/call", {"name": name, "arguments": {"repo_path": str(repository)}})


async def verify(config: Path, *more: str) -> tuple[int, JsonObject]:
    code, out, err = await run(config, "log", "verify", "--json", *more)
    assert out, err
    found: JsonObject = json.loads(out)
    return code, found


def edit(text: str) -> Callable[[sqlite3.Connection], object]:
    return lambda store: store.execute(text)


ATTACKS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "an edit": edit("UPDATE events SET event = replace(event, 'git_status', 'git_stadus') WHERE kind = 'intent'"),
    "a deletion": edit("DELETE FROM events WHERE seq = 6"),
    "an insertion": edit("INSERT INTO events(seq, event, hash) SELECT max(seq) + 1, event, hash FROM events"),
    "a swap": edit(
        "UPDATE events SET event = CASE seq WHEN 6 THEN (SELECT event FROM events WHERE seq = 7)"
        " ELSE (SELECT event FROM events WHERE seq = 6) END WHERE seq IN (6, 7)"
    ),
    "an argument": edit("UPDATE payloads SET content = replace(content, 'repo', 'oper') WHERE part = 'arguments'"),
    "a missing payload": edit("DELETE FROM payloads WHERE part = 'arguments'"),
    "a cut": edit("DELETE FROM events WHERE seq > 6"),
}


async def test_an_attack_on_the_store_is_found(git_config: Path, repository: Path, tmp_path: Path) -> None:
    await recorded(git_config, repository)
    code, found = await verify(git_config)
    assert (code, found["ok"], found["broken_at"]) == (0, True, None)
    for number, (attack, act) in enumerate(ATTACKS.items()):
        attacked = tmp_path / f"attacked-{number}"
        attacked.mkdir()
        config = Path(shutil.copy(git_config, attacked))
        shutil.copytree(git_config.parent / "var", attacked / "var")
        with sqlite3.connect(attacked / "var" / "shim.db") as store:
            act(store)
        store.close()
        code, found = await verify(config)
        assert (code, found["ok"]) == (1, False), attack
        assert found["what"], attack


async def test_a_key_that_was_lost_is_not_made_anew(git_config: Path, repository: Path) -> None:
    await recorded(git_config, repository)
    (git_config.parent / "var" / "shim.key").unlink()
    code, _, err = await run(git_config, "serve")
    assert code == 1
    assert "put it back" in err
    assert "Traceback" not in err


async def test_an_export_is_checked_with_only_the_public_key(
    git_config: Path, repository: Path, tmp_path: Path
) -> None:
    await recorded(git_config, repository)
    code, events, err = await run(git_config, "log", "export", "--format", "jsonl", "--events")
    assert code == 0, err
    _, key, _ = await run(git_config, "log", "key")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "events.jsonl").write_text(events)
    (elsewhere / "key.pem").write_text(key)
    shutil.rmtree(git_config.parent / "var")
    offline = ("--file", str(elsewhere / "events.jsonl"), "--key", str(elsewhere / "key.pem"))
    code, found = await verify(git_config, *offline)
    assert (code, found["ok"], found["events"]) == (0, True, len(events.splitlines()))

    lines = events.splitlines()
    (elsewhere / "events.jsonl").write_text("\n".join([*lines[:5], *lines[6:]]) + "\n")
    code, found = await verify(git_config, *offline)
    assert (code, found["ok"]) == (1, False)


async def test_a_cut_past_the_last_checkpoint_is_found_by_whoever_kept_it(git_config: Path, repository: Path) -> None:
    await recorded(git_config, repository)
    _, found = await verify(git_config)
    kept = f"{found['events']}:{found['head']}"
    with sqlite3.connect(git_config.parent / "var" / "shim.db") as store:
        store.execute("DELETE FROM events WHERE seq > 4")
        store.execute("DELETE FROM checkpoints WHERE seq > 4")
        store.execute("DELETE FROM payloads")
    store.close()
    (git_config.parent / "var" / "shim.checkpoints").unlink(missing_ok=True)
    code, found = await verify(git_config, "--checkpoint", kept)
    assert (code, found["ok"]) == (1, False)
