"""What `make run` does: a sample repository, a token, what to paste into an assistant, and the server.

Everything it makes lies in config/var/ and config/tokens.yaml, which git ignores. Run it again: the repository and the
token stay.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from shim.cli import sample
from shim.cli.output import private_file
from shim.config.configuration import Configuration
from shim.config.loader import load
from shim.errors import ConfigurationError, Unauthenticated
from shim.identity.authenticator import Authenticator

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config" / "shim.yaml"
VAR = ROOT / "config" / "var"
IDENTITY = "code-assistant"
TOKEN_FILE = VAR / f"{IDENTITY}.token"
SHIM = Path(sys.executable).parent / "mcp-shim"


def main() -> None:
    """Prepare, say what to paste, and become the server."""
    # The servers of the sample are installed beside this interpreter.
    os.environ["PATH"] = f"{SHIM.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        configuration = load(CONFIG, os.environ)
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None
    _port_must_be_free(configuration.server.listen)
    VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        sample.make(VAR / "sample")
    except FileNotFoundError:
        raise SystemExit("make run needs git, for its sample repository: install git and run it again") from None
    _say(configuration, _token(configuration))
    # Becoming the server, not its parent: Ctrl-C and signals reach it directly.
    os.execv(SHIM, [str(SHIM), "serve", "--config", str(CONFIG)])  # noqa: S606 - there is no shell to want


def _port_must_be_free(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise SystemExit(
                f"{listen}: {error.strerror}. If `make run` is already running, use that; "
                f"else change `listen` in {CONFIG.relative_to(ROOT)}"
            ) from None


def _token(configuration: Configuration) -> str:
    """The token of last time if it still holds; else a fresh one, kept where only its owner can read it."""
    authenticator = Authenticator(configuration.identities, configuration.tokens)
    try:
        kept = TOKEN_FILE.read_text().strip()
        if authenticator.bearer(kept).identity.name == IDENTITY:
            return kept
    except (FileNotFoundError, Unauthenticated):
        pass
    made = subprocess.run([SHIM, "token", "new", IDENTITY, "--config", CONFIG], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise SystemExit(made.returncode)
    token = made.stdout.strip()
    with private_file(TOKEN_FILE) as file:
        file.write(f"{token}\n".encode())
    return token


def _say(configuration: Configuration, token: str) -> None:
    url = configuration.server.url or f"http://{configuration.server.listen}/mcp"
    remote = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}
    sys.stdout.write(
        f"""\
A token for {IDENTITY} (kept in {TOKEN_FILE.relative_to(ROOT)}):

  {token}

Claude Code:

  claude mcp add --transport http mcp-shim {url} --header "Authorization: Bearer {token}"

Other assistants, in their MCP configuration:

  {json.dumps({"mcpServers": {"mcp-shim": remote}})}

Or without this server, over stdio, as yourself:

  claude mcp add mcp-shim -- {SHIM} stdio --identity me --config {CONFIG}

The sample repository is {VAR / "sample"}. Ctrl-C stops the server.

"""
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
