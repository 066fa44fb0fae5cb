"""What people write stays off the chain; the chain holds a salted commitment to it.

A document is canonical JSON (sorted keys, no spaces). Its commitment is that of `identity.sealing`: a tagged
SHA-256 over a random salt of 32 bytes and the document's SHA-256, so that short texts cannot be guessed, and
destroying salt and text leaves nothing but a random number on the chain.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from identity.sealing import commitment_of

SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class PrivateText:
    """A document, its salt, and what it commits to. `reference` is the order (64 hex digits) or entry it
    belongs to."""

    reference: str
    author: str
    document: str
    salt: bytes

    @property
    def commitment(self) -> bytes:
        return commitment_of(self.salt, hashlib.sha256(self.document.encode()).digest())

    @property
    def values(self) -> Mapping[str, str]:
        values: dict[str, str] = json.loads(self.document)
        return values


def write(reference: str, author: str, values: Mapping[str, str]) -> PrivateText:
    """A new document with a fresh salt."""
    document = json.dumps(dict(values), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return PrivateText(reference, author, document, secrets.token_bytes(SALT_BYTES))
