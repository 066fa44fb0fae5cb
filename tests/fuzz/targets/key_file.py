"""A key file: refused with a documented KeyFileError, or loaded; never a key that is not the file's.

The file's checksum is put right before the file is read, else nothing behind it would be reached. The
passphrase is tried where the file asks for little memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from identity.errors import KeyFileError
from identity.keys import ED25519, WEBAUTHN_P256, X25519, key_pair
from identity.keystore import DEMO, load_key, load_key_file, save_key
from node.chain.encoding import encode_canonical_json
from tests.fuzz.mutators import mutate_json as mutate
from tests.fuzz.refusals import check_refusal

__all__ = ["mutate", "one_input", "seeds"]

PASSPHRASE = "fuzz"


@cache
def _file() -> int:
    """A file in memory that nobody else may read: the disk would be slower than everything else here."""
    descriptor = os.memfd_create("fuzz.key.json")
    os.fchmod(descriptor, 0o600)
    return descriptor


def one_input(data: bytes) -> None:
    path = Path(f"/proc/self/fd/{_file()}")
    os.ftruncate(_file(), 0)
    os.pwrite(_file(), _with_checksum(data), 0)
    try:
        file = load_key_file(path)
        assert file.algorithm.name in ("secp256k1", "webauthn-p256", "ed25519", "es256", "x25519")
        if json.loads(data)["kdf"]["memory"] > 1 << 16:
            return
        key = load_key(path, PASSPHRASE, chain_purpose="demo")
    except KeyFileError as error:
        check_refusal(error)
        return
    assert key.public_key == file.public_key == file.algorithm.public_key_of(key.secret)


def _with_checksum(data: bytes) -> bytes:
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or "checksum" not in fields:
            return data
        del fields["checksum"]
        digest = hashlib.sha256(encode_canonical_json(fields)).hexdigest()
    except (ValueError, RecursionError):
        return data
    return json.dumps({**fields, "checksum": "0x" + digest}).encode()


def seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        for algorithm in (ED25519, WEBAUTHN_P256, X25519):
            key = key_pair(algorithm, hashlib.sha256(algorithm.name.encode()).digest(), b"credential")
            path = Path(directory) / f"{algorithm.name}.key.json"
            save_key(path, key, PASSPHRASE, purpose="demo", label="fuzz", cost=DEMO, random_bytes=bytes)
            yield path.read_bytes()
