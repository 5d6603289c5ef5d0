"""docs/tools/openapi.md: the service that it shows, and the configuration in front of it, run as they stand."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

from tests.promises.running import environment, run, write_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tools" / "openapi.md"


def block(syntax: str) -> str:
    """The first block of a syntax."""
    found = re.search(rf"^```{syntax}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


async def test_ten_lines_in_front_of_a_service(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text(block("python"))
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "notes:app", "--port", "0"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert service.stderr is not None
        address = None
        while address is None:
            line = await asyncio.wait_for(service.stderr.readline(), 30)
            assert line
            address = re.search(rb"http://127\.0\.0\.1:\d+", line)
        config = write_config(tmp_path, block("yaml").replace("http://127.0.0.1:8000", address[0].decode()))
        code, out, err = await run(config, "check", "--json")
        assert code == 0, err
        found = json.loads(out)
        assert found["problems"] == []
        (upstream,) = found["upstreams"]
        assert upstream["tools"] == 2
        assert 100 < upstream["bytes"] < 4000
        assert upstream["tokens"] == upstream["bytes"] // 4
        told = []
        for command in block("console").splitlines():
            words = shlex.split(command.removeprefix("$ mcp-shim "))
            code, out, err = await run(config, *words)
            assert code == 0, err
            told.append(out)
        assert "hello" in told[-1]
    finally:
        service.kill()
        await service.wait()
