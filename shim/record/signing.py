"""Which key signs the checkpoints of a record, and seals what revokes its leases."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim.errors import RecordUnavailable
from shim.record.checkpoints import key_path, load_key
from shim.record.config import RecordBlock
from shim.store.reader import Reader


def signing_key(block: RecordBlock, store: Path) -> Ed25519PrivateKey:
    """The key of the record at `store`, made for a new one. Raises RecordUnavailable.

    Not made again for a record that has checkpoints: whoever checked them with the old key could not any more.
    """
    file = Path(block.key) if block.key is not None else key_path(store)
    if not os.path.lexists(file):
        with Reader(store) as reader:
            if reader.count("checkpoints"):
                raise RecordUnavailable(
                    f"{file} is missing, the key that signed the checkpoints of {store}: put it back, or begin a new"
                    " record under another name"
                )
    return load_key(file)
