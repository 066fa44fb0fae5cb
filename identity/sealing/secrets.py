"""What follows from a document secret: file keys, salts, and the commitments that go into a manifest.

All derivations are HKDF-Expand with SHA-256 (RFC 5869 section 2.3): the document secret is 32 uniform bytes,
so the extract step is not needed. Each `info` starts with a name of its own, so no two derivations share an
output.
"""

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SECRET_BYTES = 32

_FILE_KEY = b"shelian/sealing/1/file-key"
_FILE_SALT = b"shelian/sealing/1/file-salt"
_SECRET_CHECK = b"shelian/sealing/1/secret-check"
_COMMITMENT = b"shelian/sealing/1/commitment\x00"


def _expand(secret: bytes, info: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(secret)


def file_key(secret: bytes, index: int) -> bytes:
    """The secretstream key (32 bytes) of the file at `index` in the manifest."""
    return _expand(secret, _FILE_KEY + index.to_bytes(4, "big"))


def file_salt(secret: bytes, index: int) -> bytes:
    """The salt (32 bytes) of the commitment to file `index`. Showing it shows nothing about the key."""
    return _expand(secret, _FILE_SALT + index.to_bytes(4, "big"))


def secret_check(secret: bytes) -> bytes:
    """The 32 bytes by which a manifest names its document secret without showing it."""
    return _expand(secret, _SECRET_CHECK)


def commitment_of(salt: bytes, plaintext_sha256: bytes) -> bytes:
    """The salted commitment to a plaintext: SHA-256 over a domain tag, the salt (32) and the plaintext's
    SHA-256 (32).
    """
    return hashlib.sha256(_COMMITMENT + salt + plaintext_sha256).digest()
