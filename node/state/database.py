"""The LevelDB under a ledger: open and create, pinned reads, one atomic batch at a time.

A `Database` is opened by one process; threads may share it. All reads go through a `DatabaseSnapshot`, which
sees the database as it was when the snapshot was taken, whatever is written meanwhile. All writes are
`Batch`es: a batch is in the database as a whole or not at all, whatever happens to the machine; with `sync`
it is on the disk when `write` returns.

A failed write leaves the end of LevelDB's log unknown, so the database refuses every write after it until it
has been opened again: LevelDB then drops the unfinished batch. After a failed sync what is read back may
never have reached the disk; opening again also writes everything that is in the log anew, into a table.

Two things LevelDB leaves to the file system are done here. It syncs the bytes of a new log but not the log's
name, so after a power cut the log with its blocks could be gone: see `_Names`. And a creation that is cut off
leaves files that cannot be opened: a marker file stands in the directory until they can.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import plyvel

from node.chain.errors import LedgerError
from node.state.snapshot import Caches, DatabaseSnapshot, read_error
from node.state.tables import BLOCKS, FORMAT_VERSION, META, NODES, Table

__all__ = ["STEPS", "Batch", "Database", "DatabaseSnapshot"]

K = TypeVar("K")
V = TypeVar("V")

STEPS: Final = ("write.begin", "write.done")
"""Names given to `on_step`, in order: before the batch is handed to LevelDB, after LevelDB has accepted
it.
"""

_FORMAT: Final = b"format"
_FORMAT_VALUE: Final = FORMAT_VERSION.to_bytes(4, "big")
_TIP: Final = b"tip"
_WRITE_BUFFER: Final = 16 << 20
_BLOCK_CACHE: Final = 48 << 20
_OPEN_TABLES: Final = 256
"""Of 2 MB each, mapped: what has been read of an open table is resident. The cache of nodes makes up for most
of what opening them again costs; docs/STORAGE.md has the figures."""
_LOG_BLOCKS: Final = 20_000
"""Far more blocks than fit in LevelDB's log (one write buffer, so a batch of 800 bytes each)."""
_FULL: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_NODE_CACHE_SIZE: Final = 131_072
_CREATING: Final = "CREATING"
_FILES: Final = re.compile(r"CURRENT|LOCK|LOG(\.old)?|MANIFEST-\d+|\d+\.(log|ldb|sst|dbtmp)")
_SECOND_NS: Final = 1_000_000_000
_TICK_NS: Final = _SECOND_NS // 20
"""Longer than a file system's clock takes from one time to the next (the kernel's tick, up to 10 ms)."""
_COARSE_TICK_NS: Final = 3 * _SECOND_NS
"""The same where it tells whole seconds only."""


class Batch:
    """Rows to put and delete in one atomic write. The last change of a key counts."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}

    def put(self, table: Table[K, V], key: K, value: V) -> None:
        self.rows[table.prefix + table.encode_key(key)] = table.encode_value(value)

    def delete(self, table: Table[K, V], key: K) -> None:
        self.rows[table.prefix + table.encode_key(key)] = None

    def __len__(self) -> int:
        return len(self.rows)


class Database:
    """An open data directory. `create` or `open` it; `close` it."""

    __slots__ = ("_caches", "_failed", "_names", "_on_step", "_raw", "path")

    def __init__(self, raw: Any, names: _Names, path: Path, on_step: Callable[[str], None] | None) -> None:
        """Only for `create` and `open`."""
        self._raw = raw
        self._names = names
        self.path = path
        self._caches = Caches(_NODE_CACHE_SIZE)
        self._failed = False
        self._on_step = on_step

    @classmethod
    def create(cls, path: Path | str, on_step: Callable[[str], None] | None = None) -> Database:
        """Make an empty database at `path`, which may not hold a ledger already.

        A creation that was interrupted before the first block was written is taken up again.
        Raises LedgerError `state.exists`, `state.locked`, `state.unreadable`, `state.disk_full`,
        `state.corrupt` (files of a damaged ledger are there).
        """
        directory = Path(path)
        try:
            _begin(directory)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = "state.disk_full" if full else "state.unreadable"
            raise LedgerError(code, f"cannot make {directory}: {error.strerror}", str(directory)) from error
        raw = _open(directory, create=True)
        try:
            if raw.get(META.key(_TIP)) is not None:
                raise LedgerError("state.exists", "there is a ledger already", str(directory))
            _require_format(raw.get(META.key(_FORMAT)) or _FORMAT_VALUE, directory)
            raw.put(META.key(_FORMAT), _FORMAT_VALUE, sync=True)
            names = _Names(directory)
            (directory / _CREATING).unlink(missing_ok=True)
            names.sync()
        except (plyvel.Error, OSError) as error:
            raw.close()
            raise _write_error(error) from error
        except LedgerError:
            raw.close()
            raise
        return cls(raw, names, directory, on_step)

    @classmethod
    def open(cls, path: Path | str, on_step: Callable[[str], None] | None = None) -> Database:
        """Open the database at `path`.

        Raises LedgerError `state.missing` (no database there, or its creation was never finished),
        `state.locked` (another process has it), `state.corrupt` (LevelDB finds damage, or blocks are missing
        below the tip), `state.format` (another layout version, or not a ledger), `state.unreadable`
        (permissions and other I/O).
        """
        directory = Path(path)
        if (directory / _CREATING).exists() or not (files := _files(directory)):
            raise LedgerError("state.missing", "there is no ledger", str(directory))
        if "CURRENT" not in files:
            raise LedgerError("state.corrupt", "the ledger is damaged: CURRENT is missing", str(directory))
        raw = _open(directory, create=False)
        try:
            _require_format(raw.get(META.key(_FORMAT)), directory)
            _require_whole_log(raw, directory)
            names = _Names(directory)
        except plyvel.Error as error:
            raw.close()
            raise read_error(error) from error
        except OSError as error:
            raw.close()
            raise _write_error(error) from error
        except LedgerError:
            raw.close()
            raise
        return cls(raw, names, directory, on_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it, and every snapshot of it. May be called again."""
        self._raw.close()
        self._names.close()

    def snapshot(self) -> DatabaseSnapshot:
        """Pin what is in the database now. LedgerError `state.closed`."""
        try:
            return DatabaseSnapshot(self._raw.snapshot(), self._caches)
        except RuntimeError as error:
            raise read_error(error) from error

    def write(self, batch: Batch, sync: bool = True, remember: bool = True) -> None:
        """Write all rows of `batch`, or none. With `sync` they are on the disk on return. With `remember` the
        trie nodes among them are kept in memory: the next block needs them.

        Raises LedgerError `state.disk_full`, `state.write_failed`, `state.corrupt` (LevelDB has come upon
        damage while it merged tables); after any of them the database takes no more writes until it is
        opened again, and the rows are then all there or all absent.
        """
        if self._failed:
            raise LedgerError("state.write_failed", "an earlier write failed; open the database again")
        self._step(STEPS[0])
        try:
            with self._raw.write_batch(transaction=True, sync=sync) as rows:
                put, delete = rows.put, rows.delete
                for key, value in batch.rows.items():
                    if value is None:
                        delete(key)
                    else:
                        put(key, value)
            if sync:
                self._names.settle()
        except (plyvel.Error, RuntimeError, OSError) as error:
            self._failed = True
            raise _write_error(error) from error
        if remember:
            nodes = NODES.prefix
            for key, value in batch.rows.items():
                if key.startswith(nodes) and value is not None:
                    self._caches.add_node(key[1:], value[8:])
        self._step(STEPS[1])

    def _step(self, name: str) -> None:
        if self._on_step is not None:
            self._on_step(name)


class _Names:
    """The names in the directory, and whether they are on the disk.

    LevelDB begins a new log whenever its memory is full, and syncs what it writes there; the directory it
    syncs only with the next manifest. In between a file system that keeps to the letter of POSIX may forget
    the log after a power cut. So the directory is synced after each write that finds it changed. Its time
    of change tells that, once the file system's clock has gone on since.
    """

    __slots__ = ("_descriptor", "_settled")

    def __init__(self, directory: Path) -> None:
        """Syncs what is there. OSError."""
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._settled = -1
        self.sync()

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def settle(self) -> None:
        """Sync if names have changed since the last time. OSError."""
        changed = os.fstat(self._descriptor).st_mtime_ns
        if changed != self._settled:
            self.sync()
            tick = _TICK_NS if changed % _SECOND_NS else _COARSE_TICK_NS
            if time.time_ns() - changed > tick:
                self._settled = changed

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _files(directory: Path) -> set[str]:
    """The names of LevelDB's files in the directory."""
    try:
        return {name for name in os.listdir(directory) if _FILES.fullmatch(name)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise LedgerError(
            "state.unreadable", f"cannot read {directory}: {error.strerror}", str(directory)
        ) from error


def _begin(directory: Path) -> None:
    """Make the directory, or empty it of what an unfinished creation has left. OSError.

    LevelDB takes a directory without CURRENT for an empty one and deletes the tables in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    marker = directory / _CREATING
    files = _files(directory)
    if marker.exists():
        for name in files:
            (directory / name).unlink()
    elif files and "CURRENT" not in files:
        raise LedgerError("state.corrupt", "there is a ledger without CURRENT", str(directory))
    elif not files:
        marker.touch()
    for above in (directory, *directory.absolute().parents):
        # A name above may be someone else's to sync.
        with contextlib.suppress(PermissionError):
            descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _open(directory: Path, create: bool) -> Any:
    """Open it so that LevelDB checks what it reads when it merges tables; otherwise it would copy a damaged
    row and give it a new, right checksum.

    In this mode LevelDB also refuses a log with anything unreadable in it, though that may be no more than
    the end of a write that a power cut left unfinished. Then the log is first taken as far as it can be read;
    `_require_whole_log` sees to it that nothing is missing in the middle.
    """
    options = {
        "create_if_missing": create,
        "lru_cache_size": _BLOCK_CACHE,
        "max_open_files": _OPEN_TABLES,
        "bloom_filter_bits": 10,
        "write_buffer_size": _WRITE_BUFFER,
    }
    try:
        try:
            return plyvel.DB(str(directory), paranoid_checks=True, **options)
        except plyvel.CorruptionError:
            plyvel.DB(str(directory), **options).close()
            return plyvel.DB(str(directory), paranoid_checks=True, **options)
    except plyvel.IOError as error:
        text = str(error)
        if "lock" in text and ("already held" in text or "temporarily unavailable" in text):
            raise LedgerError(
                "state.locked", "another process has this ledger open", str(directory)
            ) from error
        if "No such file" in text or "Invalid argument" in text:
            raise LedgerError("state.corrupt", f"the ledger is damaged: {error}", str(directory)) from error
        if any(reason in text for reason in _FULL):
            raise LedgerError("state.disk_full", "the disk is full", str(directory)) from error
        raise LedgerError("state.unreadable", f"cannot open the ledger: {error}", str(directory)) from error
    except plyvel.Error as error:
        raise LedgerError("state.corrupt", f"the ledger is damaged: {error}", str(directory)) from error


def _require_format(found: bytes | None, directory: Path) -> None:
    if found != _FORMAT_VALUE:
        got = None if found is None else int.from_bytes(found, "big")
        raise LedgerError("state.format", f"{directory} is of another format", got, FORMAT_VERSION)


def _require_whole_log(raw: Any, directory: Path) -> None:
    """Refuse a ledger whose write-ahead log lost a batch in the middle.

    LevelDB drops what it cannot read of its log. At the end that is a write that never finished; further up
    it is a finished block with later blocks after it. Every block's batch holds its row in `blocks`, so a
    lost batch is a missing height. The log is at most one write buffer long: looking back over as many blocks
    as fit in it suffices.
    """
    blocks = raw.iterator(prefix=BLOCKS.prefix, reverse=True, include_value=False, verify_checksums=True)
    with contextlib.closing(blocks) as keys:
        above: int | None = None
        for key in itertools.islice(keys, _LOG_BLOCKS):
            height = int.from_bytes(key[1:], "big")
            if above is not None and height != above - 1:
                raise LedgerError("state.corrupt", f"blocks are missing in {directory}", height, above - 1)
            above = height


def _write_error(error: Exception) -> LedgerError:
    if isinstance(error, RuntimeError):
        return LedgerError("state.closed", str(error))
    if isinstance(error, plyvel.CorruptionError):
        return LedgerError("state.corrupt", f"the ledger is damaged: {error}")
    if any(reason in str(error) for reason in _FULL):
        return LedgerError("state.disk_full", f"the disk is full: {error}")
    return LedgerError("state.write_failed", f"the ledger cannot be written: {error}")
