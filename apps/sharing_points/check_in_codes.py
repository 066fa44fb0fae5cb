"""The six digits that one side shows and the other enters, so that both are in one place when they check in.

A code is an HMAC of order and identity under a secret of this process, so nothing needs to be stored and a
code is worthless for another order. It is a check of this process, before a signature is asked for; the chain
records that both sides signed, and when.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_SECRET_BYTES = 32


class CheckInCodes:
    """Codes under one secret (32 bytes)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def code(self, order_id: str, identity: str) -> str:
        """The six digits this side shows to the other."""
        digest = hmac.digest(self._secret, f"{order_id}/{identity}".encode(), hashlib.sha256)
        return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"

    def matches(self, order_id: str, identity: str, entered: str) -> bool:
        """Whether `entered` is what this side shows; spaces are forgiven."""
        shown = self.code(order_id, identity).encode()
        return hmac.compare_digest(shown, "".join(entered.split()).encode())


def load_secret(path: Path) -> bytes:
    """The secret in a file that only this user reads; made at the first start."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return path.read_bytes()
