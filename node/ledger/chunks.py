"""Chunks: the records of a state in their fixed order, cut into pieces of about 1 MiB, and back.

Order: accounts by address, after each account its storage by slot; then the codes by hash. Integers of two or
more bytes are big-endian. A record is a kind and its fields:

    1  account   address(20)  length(1)  RLP [nonce, balance, storage_root, code_hash]
    2  slot      slot(32)     length(1)  value, minimal
    3  code      length(4)    code
    4  owner     address(20)             the slots that follow are this account's, begun in a chunk before

A chunk is full when the next record would make it larger than `CHUNK_BYTES`. One that begins within an
account's storage begins with an owner record, so each can be read by itself.

A chunk is stored and sent compressed: sha256(body)(32) || body, where body is a zlib stream. The manifest has
the sha256 of what is in it, so that the snapshot is the same whatever zlib made it; the hash in front is
there so that no changed byte passes, not even one that makes no difference to what is in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from node.chain.encoding import sha256
from node.ledger.manifest import SnapshotRefused

CHUNK_BYTES: Final = 1 << 20
"""What a chunk is filled up to, not compressed."""
MAX_CHUNK_BYTES: Final = 4 << 20
"""No chunk is larger, neither compressed nor otherwise. A chunk of one large code comes near it."""

ACCOUNT: Final = 1
SLOT: Final = 2
CODE: Final = 3
OWNER: Final = 4

Record = tuple[int, bytes, bytes]
"""(kind, address or slot or nothing, row or value or code or nothing)"""

_MAX_RECORD_BYTES: Final = MAX_CHUNK_BYTES - (1 << 16)
"""What cannot be compressed becomes a little larger."""
_LEVEL: Final = 1
_HASH_BYTES: Final = 32
_ACCOUNT_BYTE: Final = bytes((ACCOUNT,))
_SLOT_BYTE: Final = bytes((SLOT,))
_CODE_BYTE: Final = bytes((CODE,))
_OWNER_BYTE: Final = bytes((OWNER,))


def cut_chunks(records: Iterable[Record]) -> Iterator[bytes]:
    """The chunks of these records, not compressed. Slots belong to the account record before them.

    Raises SnapshotRefused snapshot.record_too_large.
    """
    chunk = bytearray()
    owner = b""
    for kind, key, value in records:
        if kind == SLOT:
            record = _SLOT_BYTE + key + bytes((len(value),)) + value
        elif kind == ACCOUNT:
            owner = key
            record = _ACCOUNT_BYTE + key + bytes((len(value),)) + value
        else:
            record = _CODE_BYTE + len(value).to_bytes(4, "big") + value
            if len(record) > _MAX_RECORD_BYTES:
                raise SnapshotRefused(
                    "snapshot.record_too_large",
                    "a contract's code fits into no chunk",
                    len(value),
                    _MAX_RECORD_BYTES,
                )
        if chunk and len(chunk) + len(record) > CHUNK_BYTES:
            yield bytes(chunk)
            chunk = bytearray(_OWNER_BYTE + owner if kind == SLOT else b"")
        chunk += record
    if chunk:
        yield bytes(chunk)


def split_chunk(index: int, raw: bytes) -> Iterator[Record]:
    """The records of a chunk; an owner record has an empty value, a code an empty key.

    Raises SnapshotRefused snapshot.chunk_malformed (got: the chunk's index and the place in it).
    """
    at, end = 0, len(raw)
    while at < end:
        kind = raw[at]
        if kind == SLOT:
            key, value_at = raw[at + 1 : at + 33], at + 34
            stop = value_at + raw[at + 33] if value_at <= end else end + 1
        elif kind == ACCOUNT:
            key, value_at = raw[at + 1 : at + 21], at + 22
            stop = value_at + raw[at + 21] if value_at <= end else end + 1
        elif kind == CODE:
            key, value_at = b"", at + 5
            stop = value_at + int.from_bytes(raw[at + 1 : value_at], "big")
        elif kind == OWNER:
            key = raw[at + 1 : at + 21]
            value_at = stop = at + 21
        else:
            raise SnapshotRefused("snapshot.chunk_malformed", "no such kind of record", [index, at], kind)
        if stop > end or value_at > end:
            raise SnapshotRefused("snapshot.chunk_malformed", "a record is cut short", [index, at])
        yield kind, key, raw[value_at:stop]
        at = stop


def seal_chunk(raw: bytes) -> bytes:
    """As it is stored and sent."""
    body = zlib.compress(raw, _LEVEL)
    return sha256(body) + body


def open_chunk(index: int, stored: bytes, expected: bytes) -> bytes:
    """What is in a stored chunk; `expected` is its hash in the manifest.

    Raises SnapshotRefused, with the index in `got`: snapshot.chunk_too_large, snapshot.chunk_damaged (it is
    not what its sender sealed), snapshot.chunk_malformed (no zlib stream), snapshot.chunk_differs (it is not
    the snapshot's).
    """
    if len(stored) > MAX_CHUNK_BYTES:
        raise SnapshotRefused(
            "snapshot.chunk_too_large", "the chunk is too large", [index, len(stored)], MAX_CHUNK_BYTES
        )
    body = stored[_HASH_BYTES:]
    if sha256(body) != stored[:_HASH_BYTES]:
        raise SnapshotRefused("snapshot.chunk_damaged", "the chunk is damaged or cut short", index)
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(body, MAX_CHUNK_BYTES + 1)
    except zlib.error as error:
        raise SnapshotRefused("snapshot.chunk_malformed", f"cannot unpack: {error}", [index, 0]) from error
    if len(raw) > MAX_CHUNK_BYTES:
        raise SnapshotRefused(
            "snapshot.chunk_too_large", "the chunk unpacks to too much", [index, len(raw)], MAX_CHUNK_BYTES
        )
    if not unpacking.eof or unpacking.unused_data:
        raise SnapshotRefused("snapshot.chunk_malformed", "not one whole zlib stream", [index, 0])
    if sha256(raw) != expected:
        raise SnapshotRefused(
            "snapshot.chunk_differs",
            "the chunk is not the one of the manifest",
            [index, sha256(raw)],
            expected,
        )
    return raw
