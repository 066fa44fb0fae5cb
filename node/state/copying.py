"""Copying a whole database row by row, from a pinned view: a consistent copy of one that is being written.

LevelDB deletes and renames files whenever it merges tables, in a thread that nobody outside can stop, so
files copied from under it may not belong together. Rows read from a pinned view do, whatever is written
meanwhile, and each is verified by its checksum on the way. The copy is one database with the same rows, not
the same files; what both have in common is the digest of their rows.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.errors import LedgerError
from node.state.database import Batch, Database
from node.state.snapshot import DatabaseSnapshot

_BATCH_BYTES: Final = 1 << 20
"""What is read, and written, between two calls of `between`."""


@dataclass(frozen=True, slots=True)
class RowsDigest:
    """How many rows, how many bytes of keys and values, and the sha256 over all rows in order of keys: key
    and value, each with its length (4 bytes, big-endian) in front.
    """

    rows: int
    size: int
    sha256: bytes


Between = Callable[[int], None]
"""Called now and then with the bytes done; what it raises ends the work."""


def copy_rows(reads: DatabaseSnapshot, path: Path, between: Between) -> RowsDigest:
    """Write every row into a new database at `path`. What is written is not synced: that is the caller's.

    Raises LedgerError state.exists, state.disk_full, state.corrupt, state.*.
    """
    with Database.create(path) as database:
        batch = Batch()

        def add(key: bytes, value: bytes) -> None:
            batch.rows[key] = value

        def flush(done: int) -> None:
            database.write(batch, sync=False, remember=False)
            batch.rows.clear()
            between(done)

        return _digest(reads, add, flush)


def digest_rows(reads: DatabaseSnapshot, between: Between = lambda done: None) -> RowsDigest:
    """Of every row; each is read, and verified by LevelDB's checksums. Raises LedgerError state.*."""
    return _digest(reads, lambda key, value: None, between)


@contextlib.contextmanager
def opened_aside(path: Path, scratch: Path) -> Iterator[Database]:
    """The database at `path` without a change in its directory, which may be read-only: LevelDB works in
    `scratch`, an empty directory, on links to the tables and copies of the rest.

    Raises LedgerError state.missing, state.corrupt, state.*.
    """
    try:
        for file in sorted(path.iterdir()):
            if file.suffix in (".ldb", ".sst"):
                (scratch / file.name).symlink_to(file.absolute())
            elif file.name not in ("LOCK", "LOG", "LOG.old"):
                (scratch / file.name).write_bytes(file.read_bytes())
    except FileNotFoundError as error:
        raise LedgerError("state.missing", "there is no ledger", str(path)) from error
    except OSError as error:
        raise LedgerError("state.unreadable", f"cannot read {path}: {error.strerror}", str(path)) from error
    with Database.open(scratch) as database:
        yield database


def _digest(reads: DatabaseSnapshot, take: Callable[[bytes, bytes], None], between: Between) -> RowsDigest:
    found, rows, size, told = hashlib.sha256(), 0, 0, 0
    for key, value in reads.rows():
        found.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
        take(key, value)
        rows += 1
        size += len(key) + len(value)
        if size - told >= _BATCH_BYTES:
            told = size
            between(size)
    between(size)
    return RowsDigest(rows, size, found.digest())
