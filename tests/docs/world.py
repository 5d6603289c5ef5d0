"""Where the commands of a page are run: a folder, an environment, and nothing of the developer's own.

`cd` and `export` hold for the commands after them, as in the reader's shell; what serves until it is stopped runs on
while the rest of the page is followed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.console import Command, agrees, commands
from tests.parts.install import MissingPart

BIN = Path(sys.executable).parent
LIMIT = 300.0

_SERVES = re.compile(r"(make run|mcp-shim serve)\b.*")
_EXPORT = re.compile(r"export (\w+)=(.*)")
_CD = re.compile(r"cd (\S+)")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def environment(home: Path, *more: Path) -> dict[str, str]:
    """The variables of a newcomer's shell in which `more` and then the commands of this environment are found."""
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([*map(str, more), str(BIN), os.defpath, "/usr/local/bin"])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "SHELL": "/bin/bash"}


@dataclass
class World:
    """A reader's shell: the folder where it stands, and its variables."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, text: str) -> tuple[int, str]:
        """One command, to its end: its exit code, and all that it printed."""
        if found := _CD.fullmatch(text):
            self.folder /= found[1].replace("~", self.variables["HOME"])
            return 0, ""
        if found := _EXPORT.fullmatch(text):
            # Assigned before it is printed, so that a command that fails within it is not lost.
            code, value = self._bash(f'value={found[2]} && printf %s "$value"', stderr=subprocess.DEVNULL)
            self.variables[found[1]] = value
            return code, value
        return self._bash(text)

    def _bash(self, text: str, stderr: int = subprocess.STDOUT) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=LIMIT,
        )
        return done.returncode, done.stdout

    @contextmanager
    def serving(self, text: str) -> Iterator[str]:
        """One that serves, until the block ends; what it printed until it listened."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {text}"],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        printed: list[str] = []
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                printed.append(line)
                if line.startswith("listening on "):
                    break
            yield "".join(printed)
        finally:
            timer.cancel()
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()


def follow(
    name: str,
    page: str,
    world: World,
    *,
    instead: Callable[[str], str] = lambda text: text,
    printed: Callable[[str], str] = lambda text: text,
    between: Callable[[Command, str], None] = lambda command, told: None,
) -> None:
    """Run every command of a page, in order, and hold what it prints against the page.

    `instead` says what is run for a command that cannot run here as it stands; `printed` what is expected where the
    page cannot know a place or a port; `between` is told each command and what it printed. Raises MissingPart.
    """
    with ExitStack() as running:
        found = commands(page)
        assert found, f"{name} shows no command"
        for command in found:
            if "jq" in command.text.split() and shutil.which("jq") is None:
                raise MissingPart(f"{name} uses jq: install it, as `apt install jq` or `brew install jq` do")
            text = instead(command.text)
            code, told = (0, running.enter_context(world.serving(text))) if _SERVES.fullmatch(text) else world.run(text)
            where = f"{name}:{command.line}: $ {command.text}"
            expected = printed(command.output)
            assert code == command.code, f"{where} ended with {code}:\n{told}"
            assert not expected or agrees(expected, told), f"{where} printed:\n{told}"
            between(command, told)
