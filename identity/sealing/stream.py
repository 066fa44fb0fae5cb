"""One file as a libsodium secretstream: 64 KiB chunks, any size, bounded memory.

Ciphertext = header (24 bytes), then chunks of up to 65,536 plaintext bytes, each 17 bytes longer than its
plaintext. Every chunk but the last is full and carries TAG_MESSAGE; the last carries TAG_FINAL. An empty
file is one empty final chunk; a file whose size is a multiple of 65,536 ends with a full final chunk. So the
size of a ciphertext follows from the size of its plaintext, and one plaintext, key and header have exactly
one ciphertext.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)

from identity.errors import SealError

CHUNK_BYTES = 65_536
OVERHEAD_BYTES = crypto_secretstream_xchacha20poly1305_ABYTES
HEADER_BYTES = crypto_secretstream_xchacha20poly1305_HEADERBYTES
MAX_PLAINTEXT_BYTES = 1 << 46
"""64 TiB: far above any document, far below the stream's own limit, and exact in JSON everywhere."""

RandomBytes = Callable[[int], bytes]


class Source(Protocol):
    """Anything to read bytes from: a file, a socket's file, BytesIO. Short reads are allowed; b"" is the
    end.
    """

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """Anything to write bytes to."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Digest:
    """What passed through: the number of bytes and their SHA-256."""

    size: int
    sha256: bytes


def ciphertext_size(plaintext_size: int) -> int:
    """The size in bytes of the ciphertext of a plaintext of `plaintext_size` bytes."""
    chunks = max(1, -(-plaintext_size // CHUNK_BYTES))
    return HEADER_BYTES + plaintext_size + OVERHEAD_BYTES * chunks


def _read_exactly(source: Source, size: int) -> bytes:
    """Up to `size` bytes; fewer only at the end of the source."""
    data = source.read(size)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (data := source.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def encrypt_stream(
    key: bytes, source: Source, sink: Sink, random_bytes: RandomBytes
) -> tuple[Digest, Digest]:
    """Encrypt `source` into `sink`; returns the digests of plaintext and ciphertext.

    The header comes from `random_bytes`. libsodium's push state can only draw its own header; its pull
    state, set up from a given header and key, is the same state, so the stream is started from there.
    """
    header = random_bytes(HEADER_BYTES)
    state = crypto_secretstream_xchacha20poly1305_state()
    crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
    plain, sealed = hashlib.sha256(), hashlib.sha256(header)
    plain_size, sealed_size = 0, len(header)
    sink.write(header)
    chunk = _read_exactly(source, CHUNK_BYTES)
    while True:
        following = _read_exactly(source, CHUNK_BYTES) if len(chunk) == CHUNK_BYTES else b""
        tag = (
            crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
            if following
            else crypto_secretstream_xchacha20poly1305_TAG_FINAL
        )
        block = crypto_secretstream_xchacha20poly1305_push(state, chunk, None, tag)
        plain.update(chunk)
        sealed.update(block)
        plain_size += len(chunk)
        sealed_size += len(block)
        sink.write(block)
        if not following:
            return Digest(plain_size, plain.digest()), Digest(sealed_size, sealed.digest())
        chunk = following


def decrypt_stream(key: bytes, source: Source, sink: Sink, plaintext_size: int) -> tuple[Digest, Digest]:
    """Decrypt exactly the ciphertext of a plaintext of `plaintext_size` bytes; returns the two digests.

    What reaches `sink` is authentic chunk by chunk, but only the return says that it is whole and nothing
    else: a caller throws away what was written when this raises. Raises SealError `seal.truncated`,
    `seal.trailing_data`, `seal.chunk_refused` (changed, out of order, or of another key; `got` is the
    chunk's number).
    """
    expected = ciphertext_size(plaintext_size)
    header = _read_exactly(source, HEADER_BYTES)
    received = len(header)
    if received < HEADER_BYTES:
        raise _truncated(received, expected)
    state = crypto_secretstream_xchacha20poly1305_state()
    crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
    plain, sealed = hashlib.sha256(), hashlib.sha256(header)
    left, number = plaintext_size, 0
    while True:
        size = min(left, CHUNK_BYTES)
        block = _read_exactly(source, size + OVERHEAD_BYTES)
        received += len(block)
        if len(block) < size + OVERHEAD_BYTES:
            raise _truncated(received, expected)
        try:
            chunk, tag = crypto_secretstream_xchacha20poly1305_pull(state, block, None)
        except RuntimeError:
            raise _chunk_refused(number) from None
        left -= size
        final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL
        if final != (left == 0) or (not final and tag != crypto_secretstream_xchacha20poly1305_TAG_MESSAGE):
            raise _chunk_refused(number)
        plain.update(chunk)
        sealed.update(block)
        sink.write(chunk)
        if final:
            break
        number += 1
    if source.read(1):
        raise SealError(
            "seal.trailing_data", "the ciphertext goes on after its last chunk", got="more", expected=expected
        )
    return Digest(plaintext_size, plain.digest()), Digest(received, sealed.digest())


def verify_ciphertext(source: Source, expected: Digest) -> None:
    """Check that `source` is exactly the ciphertext of this size and SHA-256: what a vault does before it
    stores.

    Needs no key. Raises SealError `seal.truncated`, `seal.trailing_data` or `seal.ciphertext_hash`.
    """
    sealed, size = hashlib.sha256(), 0
    while data := source.read(CHUNK_BYTES):
        size += len(data)
        if size > expected.size:
            raise SealError(
                "seal.trailing_data", "more bytes than the manifest names", got=size, expected=expected.size
            )
        sealed.update(data)
    if size < expected.size:
        raise _truncated(size, expected.size)
    if sealed.digest() != expected.sha256:
        raise SealError(
            "seal.ciphertext_hash",
            "not the ciphertext that the manifest names",
            got=sealed.digest(),
            expected=expected.sha256,
        )


def _truncated(got: int, expected: int) -> SealError:
    return SealError("seal.truncated", "the ciphertext ends too early", got=got, expected=expected)


def _chunk_refused(number: int) -> SealError:
    return SealError(
        "seal.chunk_refused",
        "a chunk was changed, moved, or encrypted under another key",
        got=number,
        expected="an authentic chunk in its place",
    )
