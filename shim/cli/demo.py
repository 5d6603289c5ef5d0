"""`demo`: a two-minute tour in a folder of its own, against real servers; every command in it really runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shim.cli import sample
from shim.cli.errors import PROBLEM, problem
from shim.cli.options import CONFIG_VARIABLE

_SERVERS = ("mcp-server-git", "mcp-server-time")
_LIMIT = 60.0
_PAUSE = 6.0

_CONFIG = """\
version: 1
store: sqlite:var/shim.db
upstreams:
  git: {command: [mcp-server-git, --repository, sample]}
  time: {command: [mcp-server-time, --local-timezone, Etc/UTC]}
identities:                     # local: the command line needs no token
  reviewer: {local: true}
  committer: {local: true}
grants:
  - name: look
    to: [reviewer, committer]
    allow: [git/git_status, git/git_log, "git/git_diff*", "time/*"]
  - name: small-commits
    to: [committer]
    allow: [git/git_commit]
    when: size(args.message) <= 50
"""

_LONG = "Rewrite everything, and explain at length why that had to be done on a Friday evening"


@dataclass(frozen=True, slots=True)
class Step:
    """One stop: what to know, the command (arguments of `mcp-shim`), and how it must end for the tour to be true."""

    title: str
    text: str
    command: tuple[str, ...] = ()
    code: int = 0
    before: Callable[[Path], None] | None = None


def _stage(folder: Path) -> None:
    subprocess.run(["git", "add", "."], cwd=folder / "sample", check=True, timeout=_LIMIT)


def _tamper(folder: Path) -> None:
    events = folder / "events.jsonl"
    events.write_text(re.sub(r"committer", "reviewer", events.read_text(), count=1))


def _key(folder: Path) -> None:
    run = subprocess.run(_shim("log", "key"), cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, check=True)
    (folder / "key.pem").write_bytes(run.stdout)


_TOUR = (
    Step("Who sees what", "Both may look; only the committer sees that there is a way to commit.", ("tools",)),
    Step(
        "An allowed call",
        "It goes through the whole path: decided, recorded, sent, its outcome recorded, answered.",
        ("call", "--identity", "reviewer", "git/git_log", '{"repo_path": "sample", "max_count": 1}'),
    ),
    Step(
        "A hidden tool",
        "The reviewer may not commit. The tool is not refused to it, it does not exist: the answer is the same, byte "
        "for byte, as for a name that nobody has, and the server hears nothing of it.",
        ("call", "--identity", "reviewer", "git/git_commit", '{"repo_path": "sample", "message": "mine"}'),
        1,
    ),
    Step(
        "A call refused for its arguments",
        "The committer may commit, on a condition. The model gets a sentence that it can act on.",
        ("call", "--identity", "committer", "git/git_commit", f'{{"repo_path": "sample", "message": "{_LONG}"}}'),
        1,
    ),
    Step(
        "Why?",
        "Ask for any decision before it matters. Nothing is called, nothing is counted.",
        ("explain", "--identity", "committer", "--tool", "git/git_commit", "--args", f'{{"message": "{_LONG}"}}'),
    ),
    Step(
        "Within the condition",
        "The same tool with a message that is short enough.",
        ("call", "--identity", "committer", "git/git_commit", '{"repo_path": "sample", "message": "Umbrella"}'),
        before=_stage,
    ),
    Step("The log", "Every call is there, the refused ones too.", ("log", "list")),
    Step(
        "The export",
        "For a spreadsheet or for your log store; only you can read the file.",
        ("log", "export", "--format", "csv", "--output", "calls.csv"),
    ),
    Step("The verification", "Each event is chained to the one before, and signed at intervals.", ("log", "verify")),
    Step(
        "An auditor, elsewhere",
        "The events can be checked away from here, with the public key alone.",
        ("log", "export", "--format", "jsonl", "--events", "--output", "events.jsonl"),
    ),
    Step("", "", ("log", "verify", "--file", "events.jsonl", "--key", "key.pem"), before=_key),
    Step(
        "Tampering",
        "Now somebody with an editor makes one of the committer's calls the reviewer's …",
        ("log", "verify", "--file", "events.jsonl", "--key", "key.pem"),
        1,
        before=_tamper,
    ),
)


def _shim(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "shim", *arguments]


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, CONFIG_VARIABLE: str(folder / "shim.yaml")}


def _missing() -> list[str]:
    return [name for name in (*_SERVERS, "git") if shutil.which(name) is None]


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Do not pause between the steps.")] = False,
) -> None:
    """A two-minute tour with real servers, in a temporary folder."""
    missing = _missing()
    if missing:
        how = "install git" if missing == ["git"] else "pip install 'mcp-shim[demo]'"
        raise problem(f"the demo needs {', '.join(missing)}: {how}")
    with tempfile.TemporaryDirectory(prefix="mcp-shim-demo-") as name:
        folder = Path(name)
        (folder / "shim.yaml").write_text(_CONFIG)
        sample.make(folder / "sample")
        _tour(folder, pause=0.0 if fast or not sys.stdout.isatty() else _PAUSE)


def _tour(folder: Path, pause: float) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.syntax import Syntax

    console = Console(highlight=False)
    console.print("\n[bold]mcp-shim, a tour.[/] Two servers, two agents, one configuration:\n")
    console.print(Padding(Syntax(_CONFIG, "yaml", background_color="default"), (0, 2)))
    for step in _TOUR:
        time.sleep(pause)
        if step.title:
            console.rule(f"[bold]{step.title}[/]", align="left")
            console.print(step.text)
        if step.before is not None:
            step.before(folder)
        console.print(f"\n[bold cyan]$ mcp-shim {_shown(step.command)}[/]\n", markup=True, soft_wrap=True)
        # One stream, so that what is said about an answer stands beside it wherever the tour is shown.
        run = subprocess.run(
            _shim(*step.command), cwd=folder, env=_environment(folder), timeout=_LIMIT, stderr=subprocess.STDOUT
        )
        code = run.returncode
        console.print()
        if code != step.code:
            console.print(f"[bold red]That should have ended with {step.code}, and ended with {code}.[/]")
            raise typer.Exit(PROBLEM)
    console.rule(align="left")
    console.print("… and it is found. That was the tour. Next: README.md, or `mcp-shim --help`.\n")


def _shown(command: tuple[str, ...]) -> str:
    from rich.markup import escape

    return escape(" ".join(f"'{word}'" if re.search(r"[\s{]", word) else word for word in command))


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)
