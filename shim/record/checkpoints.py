"""Signed checkpoints (RECORD contract, "Checkpoints"): the text, the key, and the file beside the store."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shim.errors import RecordUnavailable
from shim.model import JsonObject
from shim.store.files import CHECKPOINTS, KEY, beside, open_private, private_folder, sync, sync_folder
from shim.store.tx import Head


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """That the chain reached this head at this time (a stamp). `signature` is Ed25519 over `text`."""

    seq: int
    hash: str
    time: str
    signature: bytes

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is this key's."""
        try:
            key.verify(self.signature, text(self.seq, self.hash, self.time))
        except InvalidSignature:
            return False
        return True


def text(seq: int, digest: str, time: str) -> bytes:
    """What is signed; the hash in lower-case hex."""
    return f"mcp-shim checkpoint\n{seq}\n{digest}\n{time}\n".encode()


def sign(key: Ed25519PrivateKey, head: Head, time: str) -> Checkpoint:
    """A checkpoint of this head."""
    digest = head.hash.hex()
    return Checkpoint(head.seq, digest, time, key.sign(text(head.seq, digest, time)))


def key_path(store: Path) -> Path:
    """Where the key lies when the configuration does not say."""
    return beside(store, KEY)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The signing key: PKCS#8 PEM, made when missing, 0600.

    Raises RecordUnavailable for a link, a file that others can read, or one that is not such a key.
    """
    private_folder(path.parent)
    _make_key(path)
    descriptor = open_private(path, os.O_RDONLY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RecordUnavailable(f"the key {path} can be read by others: chmod 600 {path}")
        content = os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise RecordUnavailable(f"{path} is not a PEM private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise RecordUnavailable(f"{path} is not an Ed25519 key")
    return key


def _make_key(path: Path) -> None:
    if os.path.lexists(path):
        return
    content = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Whole or not at all, and never in place of one that another process made meanwhile.
    making = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = open_private(making, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, content)
        sync(descriptor)
        os.link(making, path)
    except FileExistsError:
        return
    except OSError as error:
        raise RecordUnavailable(f"the key {path} cannot be made: {error.strerror}") from None
    finally:
        os.close(descriptor)
        making.unlink()
    sync_folder(path.parent)


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public key that checks checkpoints, SubjectPublicKeyInfo PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public(content: bytes) -> Ed25519PublicKey:
    """A public key from its PEM. Raises ValueError."""
    key = serialization.load_pem_public_key(content)
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError("the key is not an Ed25519 public key")


def file_path(store: Path) -> Path:
    """The file of checkpoints beside the store."""
    return beside(store, CHECKPOINTS)


def append_line(store: Path, checkpoint: Checkpoint) -> None:
    """Add a synced line to the file of checkpoints. Raises OSError and RecordUnavailable."""
    path = file_path(store)
    new = not os.path.lexists(path)
    descriptor = open_private(path, os.O_RDWR | os.O_APPEND)
    try:
        line = _line(checkpoint)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # A power cut tore the line before: it must not take this one with it.
            line = b"\n" + line
        os.write(descriptor, line)
        sync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)


def _line(checkpoint: Checkpoint) -> bytes:
    return orjson.dumps(body(checkpoint), option=orjson.OPT_APPEND_NEWLINE)


def body(checkpoint: Checkpoint) -> JsonObject:
    """A checkpoint as the body of its event, and as a line of the file."""
    return {
        "seq": checkpoint.seq,
        "hash": checkpoint.hash,
        "time": checkpoint.time,
        "signature": checkpoint.signature.hex(),
    }


def from_body(value: object) -> Checkpoint | None:
    """The reverse of `body`; None for what is not one."""
    if not isinstance(value, dict):
        return None
    seq, digest, time, signature = (value.get(key) for key in ("seq", "hash", "time", "signature"))
    if not (isinstance(seq, int) and isinstance(digest, str) and isinstance(time, str) and isinstance(signature, str)):
        return None
    try:
        return Checkpoint(seq, digest, time, bytes.fromhex(signature))
    except ValueError:
        return None


def lines(path: Path) -> Iterator[Checkpoint]:
    """The checkpoints of a file, in its order. Lines that a power cut tore are passed over."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.splitlines():
        try:
            checkpoint = from_body(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
        if checkpoint is not None:
            yield checkpoint
