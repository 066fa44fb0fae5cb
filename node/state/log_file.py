"""LevelDB's write-ahead log, read with its checksums: for salvage only.

LevelDB's own repair takes a log for what it says, without looking at the checksums. A record that was half
written, or that a disk has damaged, would then overwrite what stood there before. So the records that hold
are taken out of the log first (`sound_records`), and a log of them alone is written (`encode_log`).

The format (LevelDB, doc/log_format.md): blocks of 32 KiB; in each fragments, checksum(4, CRC-32C of type and
data, masked) || length(2) || type(1) || data, little-endian; fewer than 7 bytes at the end of a block are
zero. A record is one FULL fragment, or FIRST, any number of MIDDLE, LAST.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

import google_crc32c

_BLOCK: Final = 32_768
_HEADER: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK_DELTA: Final = 0xA282EAD8


def sound_records(log: bytes) -> Iterator[bytes]:
    """The records of which every fragment holds. What is left of a block behind one that does not is passed
    over, as its length cannot be trusted; so LevelDB does when it opens a database.
    """
    record: bytearray | None = None
    for start in range(0, len(log), _BLOCK):
        block, at = log[start : start + _BLOCK], 0
        while len(block) - at >= _HEADER.size:
            checksum, length, kind = _HEADER.unpack_from(block, at)
            data = block[at + _HEADER.size : at + _HEADER.size + length]
            if len(data) < length or checksum != _checksum(kind, data):
                record = None
                break
            at += _HEADER.size + length
            if kind in (_FULL, _FIRST):
                record = bytearray(data)
            elif record is not None:
                record += data
            if kind in (_FULL, _LAST) and record is not None:
                yield bytes(record)
            if kind in (_FULL, _LAST):
                record = None


def encode_log(records: Iterable[bytes]) -> bytes:
    """A log of these records."""
    log = bytearray()
    for record in records:
        at, is_first = 0, True
        while is_first or at < len(record):
            room = _BLOCK - len(log) % _BLOCK
            if room < _HEADER.size:
                log += bytes(room)
                room = _BLOCK
            data = record[at : at + room - _HEADER.size]
            at += len(data)
            is_last = at == len(record)
            kind = (_FULL if is_last else _FIRST) if is_first else (_LAST if is_last else _MIDDLE)
            log += _HEADER.pack(_checksum(kind, data), len(data), kind) + data
            is_first = False
    return bytes(log)


def _checksum(kind: int, data: bytes) -> int:
    crc: int = google_crc32c.value(bytes((kind,)) + data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF
