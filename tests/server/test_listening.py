"""Listening: addresses, TLS, and a port that is taken."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shim.server.config import ServerBlock, ServerTlsBlock
from shim.server.http import HttpFace
from shim.server.listen import serve_http, split_listen
from tests.server.doubles import Tokens, world
from tests.server.running import PATIENCE, face_of, generation_of, request, routed


def face() -> HttpFace:
    made = face_of(generation_of(world(), Tokens("alice")))
    return HttpFace(made, ServerBlock(), auth_refused=lambda address, why: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:8765", ("127.0.0.1", 8765)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("localhost", 1))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert split_listen(text) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":80", "::1:80", "[1.2.3.4]:x", "host:65536", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="write HOST:PORT"):
        split_listen(text)


async def test_a_port_that_is_taken_is_said_so() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(OSError):
            await serve_http(face(), listen=f"127.0.0.1:{port}", stop=asyncio.Event())


def certificate(folder: Path) -> ServerTlsBlock:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ServerTlsBlock(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


async def test_tls(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    stop = asyncio.Event()
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    message = request("tools/list")
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve_http(face(), listen="127.0.0.1:0", stop=stop, tls=tls, on_listening=listening.set_result)
        )
        url = await listening
        context = ssl.create_default_context(cafile=tls.cert)
        async with httpx2.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False) as http:
            response = await http.post(url, json=message, headers=routed(message))
        stop.set()
    assert url.startswith("https://127.0.0.1:")
    assert response.status_code == 200
