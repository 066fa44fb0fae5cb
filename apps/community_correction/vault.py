"""The agency's vault: ciphertexts under the name of their SHA-256, on the filesystem, within a quota.

A ciphertext is written beside its place, flushed to the disk, checked, and only then given its name; so
whatever has a name is whole. Writing what is there already changes nothing. Nothing in the vault can be
read without the agency's encryption key.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from identity.sealing.stream import Digest, Source
from node.chain.errors import ShelianError

_CHUNK = 1 << 16


class VaultError(ShelianError):
    """A ciphertext that cannot be stored or is not there."""


class Vault:
    """Content-addressed files below `folder`, together at most `quota` bytes. Safe to use from several
    threads of one process."""

    def __init__(self, folder: Path, quota: int) -> None:
        self._folder = folder
        self._quota = quota
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in folder.glob("*.part"):
            leftover.unlink()
        self._used = sum(path.stat().st_size for path in folder.glob("??/*"))

    @property
    def used(self) -> int:
        """Bytes stored."""
        return self._used

    def has(self, sha256: bytes) -> bool:
        return self._path(sha256).is_file()

    def open(self, sha256: bytes) -> BinaryIO:
        """The ciphertext, for reading. VaultError vault.not_found."""
        try:
            return self._path(sha256).open("rb")
        except FileNotFoundError:
            raise VaultError(
                "vault.not_found", "the vault does not hold this ciphertext", got=sha256
            ) from None

    def put(self, source: Source, expected: Digest | None = None) -> Digest:
        """Store everything `source` gives; with `expected`, only if it is exactly that.

        VaultError vault.quota_exceeded, vault.disk_full, vault.not_as_expected; nothing is stored then.
        """
        with self.writer() as writer:
            while data := source.read(_CHUNK):
                writer.write(data)
            return writer.finish(expected)

    @contextmanager
    def writer(self) -> Iterator[VaultWriter]:
        """A place to write one ciphertext to; what is not finished leaves no trace."""
        part = self._folder / f"{secrets.token_hex(16)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                yield VaultWriter(self, handle, part)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise VaultError("vault.disk_full", "the disk of the vault is full") from error
            raise
        finally:
            part.unlink(missing_ok=True)

    def remove(self, sha256: bytes) -> None:
        """Take out a ciphertext (a draft that was discarded)."""
        with self._lock:
            path = self._path(sha256)
            if path.is_file():
                self._used -= path.stat().st_size
                path.unlink()

    def _path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self._folder / name[:2] / name

    def check_room(self, size: int) -> None:
        """VaultError vault.quota_exceeded unless `size` more bytes fit."""
        if self._used + size > self._quota:
            raise VaultError(
                "vault.quota_exceeded", "the vault is full", got=self._used + size, expected=self._quota
            )

    def adopt(self, part: Path, digest: Digest) -> None:
        """Give a finished part its name, durably."""
        with self._lock:
            path = self._path(digest.sha256)
            if path.is_file():
                return
            self.check_room(digest.size)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            part.rename(path)
            for folder in (path.parent, self._folder):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            self._used += digest.size


class VaultWriter:
    """Takes one ciphertext; see `Vault.writer`."""

    def __init__(self, vault: Vault, handle: BinaryIO, part: Path) -> None:
        self._vault = vault
        self._handle = handle
        self._part = part
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes, /) -> object:
        self._size += len(data)
        self._vault.check_room(self._size)
        self._hash.update(data)
        return self._handle.write(data)

    def finish(self, expected: Digest | None = None) -> Digest:
        """Flush to the disk, compare with `expected`, give it its name."""
        digest = Digest(self._size, self._hash.digest())
        if expected is not None and digest != expected:
            raise VaultError(
                "vault.not_as_expected",
                "not the ciphertext that was announced",
                got=[digest.size, digest.sha256],
                expected=[expected.size, expected.sha256],
            )
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._vault.adopt(self._part, digest)
        return digest
