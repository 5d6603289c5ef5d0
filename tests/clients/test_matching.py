"""Which servers of a client the shim's configuration stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.clients.matching import fronting
from shim.clients.server import Origin, Server
from shim.config import loader

CONFIG = """version: 1
upstreams:
  git: {command: [mcp-server-git, --repository, .], cwd: ../project}
  time: {command: [mcp-server-time, --local-timezone, Etc/UTC], env: {TZ: UTC, KEY: "${secret:clock}"}}
  local: {command: [../project/serve.sh]}
  wrapped:
    command:
      - /bin/sh
      - -c
      - exec npx -y "@scope/server" --api-key "$KEY" --name='a b'
    env: {KEY: "${secret:clock}"}
  tickets: {url: https://tickets.example.com/mcp, headers: {Authorization: "Bearer ${secret:clock}"}}
  from-variable: {url: "https://${env:HOST}/mcp"}
secrets:
  clock: {source: file, path: secrets/clock}
identities:
  me: {local: true}
grants: []
"""


class Desk:
    """A project, and the configuration beside it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "serve.sh").touch()
        config = folder / "config"
        config.mkdir()
        (config / "shim.yaml").write_text(CONFIG)
        self.environ = {"HOST": "h.example.com"}
        self.upstreams = loader.load(config / "shim.yaml", self.environ, expand=False).upstreams

    def fronting(self, folder: Path | None = None, **server: object) -> str | None:
        transport = "stdio" if "command" in server else "http"
        origin = Origin("cursor", Path("/x"), "project" if folder else "user", folder)
        made = Server("any name", origin, **{"transport": transport, **server})  # type: ignore[arg-type]
        return fronting(made, self.upstreams, environ=self.environ, folder=self.project)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_program_with_its_arguments(desk: Desk) -> None:
    time = ("mcp-server-time", "--local-timezone", "Etc/UTC")
    assert desk.fronting(command=time) == "time"
    assert desk.fronting(command=time, env={"TZ": "UTC", "KEY": "literal"}) == "time"
    assert desk.fronting(command=time, env={"TZ": "CET"}) is None
    assert desk.fronting(command=time, env={"OTHER": "x"}) is None
    assert desk.fronting(command=time[:2]) is None


def test_a_relative_argument_means_its_folder(desk: Desk, tmp_path: Path) -> None:
    git = ("mcp-server-git", "--repository", ".")
    assert desk.fronting(command=git, folder=desk.project) == "git"
    assert desk.fronting(command=git) == "git"
    assert desk.fronting(command=git, folder=tmp_path) is None
    assert desk.fronting(command=git, folder=tmp_path, cwd="project") == "git"


def test_a_program_that_is_a_path(desk: Desk) -> None:
    assert desk.fronting(command=("./serve.sh",), folder=desk.project) == "local"
    assert desk.fronting(command=(f"{desk.project}/serve.sh",)) == "local"
    assert desk.fronting(command=("serve.sh",)) is None


def test_a_key_that_was_moved_out_of_the_arguments(desk: Desk) -> None:
    words = ("npx", "-y", "@scope/server", "--api-key", "sk-1234", "--name=a b")
    assert desk.fronting(command=words) == "wrapped"
    assert desk.fronting(command=(*words[:5], "--name=c")) is None
    assert desk.fronting(command=(*words[:4], "", words[5])) is None


def test_a_url_with_its_headers(desk: Desk) -> None:
    url = "HTTPS://Tickets.example.com:443/mcp"
    assert desk.fronting(url=url) == "tickets"
    assert desk.fronting(url=url, headers={"authorization": "Bearer x", "Accept": "y"}) == "tickets"
    assert desk.fronting(url=url, headers={"Authorization": "Basic x"}) is None
    assert desk.fronting(url=url, headers={"X-Account": "x"}) is None
    assert desk.fronting(url="https://me:secret@tickets.example.com/mcp") == "tickets"
    assert desk.fronting(url="https://me:secret@h.example.com/mcp") is None
    assert desk.fronting(url=url + "/") is None
    assert desk.fronting(url=url, transport="sse") is None
    assert desk.fronting(url="http://[") is None


def test_variables_count_as_their_values(desk: Desk) -> None:
    assert desk.fronting(url="https://h.example.com/mcp") == "from-variable"
    assert desk.fronting(url="https://${env:HOST}/mcp") == "from-variable"
    assert desk.fronting(url="https://${env:NONE:-h.example.com}/mcp") == "from-variable"
