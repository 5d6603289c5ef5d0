"""Vault as it stands in production: behind TLS of a private authority, and in a cluster whose accounts it believes.

There is no cluster here: its review of a token, the one thing that Vault asks of it, is answered as its API says
(Kubernetes API, TokenReview v1). All else is a real OpenBao.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from shim.secrets.source import Purpose, Unavailable
from shim.secrets.vault import Keys, Vault, Where
from tests.parts.openbao import Bao, openbao
from tests.secrets.asking import put
from tests.secrets.vaults import around
from tests.upstream.test_tls import certify

OWN = Keys(path="secret/data/x", field="token")
READ = 'path "secret/data/x" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    with openbao() as found:
        found.write("secret/data/x", data={"token": "12345678"})
        yield found


async def read(**where: object) -> str | None:
    vault = Vault("bao", Where.model_validate(where), around())
    try:
        await vault.prepare(OWN, Purpose("l1"))
        return (await vault.issue(OWN, frozenset({None}), Purpose("l1"))).values[None]
    finally:
        await vault.close()


@asynccontextmanager
async def behind_tls(bao: Bao, certificate: Path, key: Path) -> AsyncIterator[str]:
    """What terminates TLS in front of a server, and its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    host, port = bao.address.removeprefix("http://").split(":")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_one_with_a_certificate_of_a_private_authority(tmp_path: Path, bao: Bao) -> None:
    certificate, key = certify(tmp_path, "bao")
    other, _ = certify(tmp_path, "other")
    auth = {"token": bao.token("tls", READ)}
    async with behind_tls(bao, certificate, key) as address:
        assert await read(address=address, tls={"ca": str(certificate)}, auth=auth) == "12345678"
        for tls in (None, {"ca": str(other)}):
            with pytest.raises(Unavailable, match=r"see that it runs, and `tls\.ca`"):
                await read(address=address, tls=tls, auth=auth)


@asynccontextmanager
async def cluster(account: str) -> AsyncIterator[str]:
    """What answers reviews of tokens: all of them are of one account."""
    user = {"username": account, "uid": "1", "groups": ["system:serviceaccounts"]}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        review = json.loads(await reader.readexactly(length))
        review["status"] = {"authenticated": True, "user": user, "audiences": review["spec"].get("audiences", [])}
        body = json.dumps(review).encode()
        lines = f"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(lines.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_service_account_of_a_cluster(tmp_path: Path, bao: Bao) -> None:
    account = "system:serviceaccount:default:shim"
    claims: dict[str, Any] = {"iss": "kubernetes/serviceaccount", "sub": account, "aud": ["vault"]}
    now = int(datetime.now(UTC).timestamp())
    claims |= {"iat": now, "nbf": now, "exp": now + 600}
    claims |= {"kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "shim", "uid": "1"}}}
    shown = put(tmp_path / "account", jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256")), 0o644)
    async with cluster(account) as api:
        ca, _ = certify(tmp_path, "cluster")
        await asyncio.to_thread(set_up, bao, api, ca.read_text())
        auth = {"kubernetes": {"role": "shim", "token_file": str(shown)}}
        assert await read(address=bao.address, auth=auth) == "12345678"
        with pytest.raises(
            Unavailable,
            match="login; what is shown there is not believed; see `auth`",
        ):
            await read(address=bao.address, auth={"kubernetes": {"role": "other", "token_file": str(shown)}})


def set_up(bao: Bao, api: str, ca: str) -> None:
    bao.write("sys/policies/acl/account", policy=READ)
    bao.write("sys/auth/kubernetes", type="kubernetes")
    bao.write(
        "auth/kubernetes/config",
        kubernetes_host=api,
        kubernetes_ca_cert=ca,
        token_reviewer_jwt="reviewer",
        disable_local_ca_jwt=True,
        disable_iss_validation=True,
    )
    for role, name in (("shim", "shim"), ("other", "other")):
        bao.write(
            f"auth/kubernetes/role/{role}",
            bound_service_account_names=[name],
            bound_service_account_namespaces=["default"],
            token_policies=["account"],
        )
