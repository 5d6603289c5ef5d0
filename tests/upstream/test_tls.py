"""HTTPS upstreams: believed only with a certificate of the configured authority, on connections that are kept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shim.upstream.config import UpstreamBlock
from tests.upstream.support import running, text
from tests.upstream.web import Web


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signed itself, and its key, in two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


@asynccontextmanager
async def secured(certificate: Path, key: Path, clients: Path | None = None) -> AsyncIterator[Web]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    web = Web("modern")
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=context)
    web.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield web
    finally:
        server.close()


async def test_a_known_authority_is_believed_and_another_is_not(tmp_path: Path) -> None:
    ours, stranger = certify(tmp_path, "ours"), certify(tmp_path, "stranger")
    async with secured(*ours) as web:
        blocks = {
            name: UpstreamBlock.model_validate({"url": web.url, "tls": tls})
            for name, tls in {
                "fine": {"ca": str(ours[0])},
                "wrong": {"ca": str(stranger[0])},
                "none": None,
                "missing": {"ca": "nowhere.pem"},
            }.items()
        }
        async with running(blocks) as run:
            for _ in range(5):
                assert text(await run.call("fine", "echo", {})) == "{}"
            status = run.upstreams.status()
            connections = web.connections

    assert status["fine"].state == "up"
    assert "its TLS certificate is not valid" in (status["wrong"].error or "")
    assert "its TLS certificate is not valid" in (status["none"].error or "")
    assert "its TLS files cannot be used" in (status["missing"].error or "")
    assert connections <= 3


async def test_the_shim_proves_itself_where_it_is_asked_to(tmp_path: Path) -> None:
    server, client = certify(tmp_path, "server"), certify(tmp_path, "client")
    tls = {"ca": str(server[0]), "cert": str(client[0]), "key": str(client[1])}
    async with secured(*server, clients=client[0]) as web:
        blocks = {
            "known": UpstreamBlock.model_validate({"url": web.url, "tls": tls}),
            "unknown": UpstreamBlock.model_validate({"url": web.url, "tls": {"ca": str(server[0])}}),
        }
        async with running(blocks) as run:
            assert text(await run.call("known", "echo", {})) == "{}"
            assert run.upstreams.status()["unknown"].state == "down"
