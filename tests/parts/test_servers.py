"""That the servers of other parts start, answer, and are gone after."""

from __future__ import annotations

import subprocess

import httpx2
import pytest

from tests.parts.openbao import openbao
from tests.parts.postgres import postgres


def test_openbao_keeps_secrets_until_it_is_sealed() -> None:
    with openbao() as bao:
        bao.write("secret/data/x", data={"token": "value"})
        assert bao.read("secret/data/x")["data"]["data"] == {"token": "value"}
        bao.seal()
        assert bao.send("GET", "secret/data/x").status_code == 503
        bao.unseal()
        assert bao.listed("secret/metadata") == ["x"]
    with pytest.raises(httpx2.ConnectError):
        bao.send("GET", "sys/health")


def test_postgres_answers_on_a_socket() -> None:
    with postgres() as database:
        database.ask("CREATE ROLE someone LOGIN PASSWORD 'known'")
        assert database.roles() == ["someone"]
        assert database.ask("SELECT current_user", database.of("someone", "known")) == ["someone"]
        with pytest.raises(subprocess.CalledProcessError):
            database.ask("SELECT 1", database.of("someone", "other"))
