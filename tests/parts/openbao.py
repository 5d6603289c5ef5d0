"""OpenBao, which speaks Vault's API: one that keeps all in memory, and one that can be stopped and started."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import httpx2

from tests.parts.install import LOCKS, environment, venv

ROOT_TOKEN = "root-token-of-a-test"
_OPTIONS = ("-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}", "-log-level=error")
_TRIES = 5
"""Two ports side by side are needed, and nothing holds them until the server does."""


@dataclass(frozen=True)
class Bao:
    """A server that is up and unsealed, and its operator's requests."""

    address: str
    unseal_key: str = field(repr=False)
    process: subprocess.Popen[str] = field(repr=False)
    root: str = field(default=ROOT_TOKEN, repr=False)

    def send(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> httpx2.Response:
        """One request with the root token, whatever comes of it."""
        headers = {"x-vault-token": self.root}
        return httpx2.request(
            method, f"{self.address}/v1/{path}", headers=headers, json=content, trust_env=False, timeout=20.0
        )

    def write(self, path: str, **content: Any) -> dict[str, Any]:
        """The answer to a write that has to succeed; empty where there is none."""
        return self._said(self.send("PUT", path, content))

    def read(self, path: str) -> dict[str, Any]:
        return self._said(self.send("GET", path))

    def listed(self, path: str) -> list[str]:
        """What is below a path; nothing where there is nothing."""
        response = self.send("LIST", path)
        if response.status_code == 404:
            return []
        keys: list[str] = self._said(response)["data"]["keys"]
        return keys

    def seal(self) -> None:
        self.write("sys/seal")

    def unseal(self) -> None:
        self.write("sys/unseal", key=self.unseal_key)

    def token(self, policy: str, rules: str, **more: Any) -> str:
        """A new token that may do what the policy says."""
        self.write(f"sys/policies/acl/{policy}", policy=rules)
        made = self.write("auth/token/create", policies=[policy], **more)
        token: str = made["auth"]["client_token"]
        return token

    @staticmethod
    def _said(response: httpx2.Response) -> dict[str, Any]:
        assert response.status_code in (200, 204), f"{response.status_code} {response.text}"
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer


@contextmanager
def openbao() -> Iterator[Bao]:
    """A server until the block ends. Raises MissingPart."""
    program = str(venv("openbao", LOCKS / "openbao.txt") / "bin" / "bao")
    for _ in range(_TRIES):
        port = _port()
        process = subprocess.Popen(
            [program, "server", "-dev", *_OPTIONS, f"-dev-listen-address=127.0.0.1:{port}"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            key = _started(process.stdout)
            if key is not None:
                # What it says from here on is read so that it never waits for a reader.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield Bao(f"http://127.0.0.1:{port}", key, process)
                return
        finally:
            process.kill()
            process.wait()
    raise AssertionError("OpenBao did not start")


@dataclass
class Restartable:
    """A server that keeps what it knows in a folder, so that it is the same after `stop` and `start`."""

    bao: Bao
    _argv: tuple[str, ...]

    def stop(self) -> None:
        """As a service manager does it: it may end what it is at."""
        self.bao.process.terminate()
        self.bao.process.wait()

    def kill(self) -> None:
        """At once, and without a word to its clients."""
        self.bao.process.kill()
        self.bao.process.wait()

    def start(self) -> None:
        """Returns when it answers and is unsealed."""
        process = _kept(self._argv, self.bao.address)
        self.bao = replace(self.bao, process=process)
        self.bao.unseal()
        _active(self.bao.address)


@contextmanager
def restartable_openbao(folder: Path) -> Iterator[Restartable]:
    """A server with its data in a folder, until the block ends. Raises MissingPart."""
    program = str(venv("openbao", LOCKS / "openbao.txt") / "bin" / "bao")
    port = _port()
    address = f"http://127.0.0.1:{port}"
    (folder / "data").mkdir(parents=True)
    configuration = folder / "bao.hcl"
    configuration.write_text(
        f"""storage "raft" {{
  path = "{folder / "data"}"
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
api_addr = "{address}"
cluster_addr = "http://127.0.0.1:{port + 1}"
"""
    )
    argv = (program, "server", f"-config={configuration}", "-log-level=error")
    process = _kept(argv, address)
    server = Restartable(Bao(address, "", process), argv)
    try:
        made = server.bao.write("sys/init", secret_shares=1, secret_threshold=1)
        server.bao = replace(server.bao, unseal_key=made["keys"][0], root=made["root_token"])
        server.bao.unseal()
        _active(address)
        server.bao.write("sys/mounts/secret", type="kv", options={"version": "2"})
        yield server
    finally:
        server.kill()


def _kept(argv: tuple[str, ...], address: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        _until(address, lambda code: code != 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _active(address: str) -> None:
    _until(address, lambda code: code == 200)


def _until(address: str, fits: Callable[[int], bool]) -> None:
    """Return once its health is answered as wanted: a server tells nobody that it is ready. 0: not answered."""
    for _ in range(300):
        code = 0
        with suppress(httpx2.TransportError):
            code = httpx2.get(f"{address}/v1/sys/health", trust_env=False, timeout=5.0).status_code
        if fits(code):
            return
        time.sleep(0.05)
    raise AssertionError("OpenBao did not become ready")


def _started(output: IO[str]) -> str | None:
    """The key that unseals it, which it says once it is up; None where it ended before."""
    found = (re.match(r"Unseal Key: (\S+)", line) for line in output)
    return next((match[1] for match in found if match), None)


def _port() -> int:
    """One that is free, as is the next."""
    while True:
        with socket.socket() as one, socket.socket() as other, suppress(OSError, OverflowError):
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            other.bind(("127.0.0.1", port + 1))
            return port
