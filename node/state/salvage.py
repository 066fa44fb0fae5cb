"""Reading what can still be read of a damaged database, without touching it.

A salvage works on a copy beside the damaged directory (tables, which LevelDB never changes, are linked, not
copied). Where LevelDB cannot open the copy, its own repair makes what is left openable. Rows that cannot be
read are passed over and noted. What is read may be old: where the newest version of a row is lost, an older
one comes to light. So nothing read here may be believed that is not confirmed by a hash.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import plyvel

from node.chain.errors import LedgerError
from node.state.log_file import encode_log, sound_records
from node.state.tables import TABLES, Table

K = TypeVar("K")
V = TypeVar("V")


class Lock:
    """LevelDB's own lock on a directory, held so that no node opens it meanwhile. A context manager."""

    def __init__(self, directory: Path) -> None:
        """Raises LedgerError `state.locked`, `state.missing`, `state.unreadable`."""
        try:
            self._descriptor = os.open(directory / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise LedgerError("state.missing", "there is no ledger", str(directory)) from error
        except OSError as error:
            raise LedgerError("state.unreadable", f"cannot lock: {error}", str(directory)) from error
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise LedgerError(
                "state.locked", "another process has this ledger open", str(directory)
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class Salvage:
    """What can be read of the database at `damaged`. A context manager; `scratch` is made and removed.

    `opened` is what LevelDB said when it could not open the copy as it was, or None; `unreadable` the names
    of tables of which rows were passed over.
    """

    def __init__(self, damaged: Path, scratch: Path) -> None:
        """Raises LedgerError `state.corrupt` when not even repair makes it openable, `state.unreadable` and
        `state.disk_full` when it cannot be copied.
        """
        self.opened: str | None = None
        self.unreadable: set[str] = set()
        self._scratch = scratch
        try:
            _copy(damaged, scratch)
            self._raw = self._open()
        except OSError as error:
            self._remove()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = "state.disk_full" if full else "state.unreadable"
            raise LedgerError(code, f"cannot copy {damaged}: {error.strerror}", str(damaged)) from error
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()
        self._remove()

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value, or None if there is none that can be read."""
        raw = self.get_raw(table.key(key))
        try:
            return None if raw is None else table.decode_value(raw)
        except LedgerError:
            self.unreadable.add(table.name)
            return None

    def get_raw(self, key: bytes) -> bytes | None:
        """The value under a whole key, or None.

        LevelDB looks into the newest table that may have the key, and gives up if that is damaged, though the
        row be in an older one. A scan passes over what is damaged.
        """
        try:
            value: bytes | None = self._raw.get(key, verify_checksums=True)
        except plyvel.Error:
            self.unreadable.add(_NAMES.get(key[:1], "no table"))
            first = next(self.rows(key), None)
            return first[1] if first is not None and first[0] == key else None
        return value

    def rows(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every (whole key, value) under `prefix` that can be read, in key order."""
        cursor = self._raw.raw_iterator(verify_checksums=True)
        try:
            self._move(lambda: cursor.seek(prefix), prefix)
            while cursor.valid():
                key: bytes = cursor.key()
                if not key.startswith(prefix):
                    return
                yield key, cursor.value()
                # LevelDB goes on after a damaged block, and says at every step that there was one.
                self._move(cursor.next, key)
        finally:
            cursor.close()

    def scan(self, table: Table[K, V]) -> Iterator[tuple[K, V]]:
        """Every row of `table` that can be read and decoded."""
        for key, value in self.rows(table.prefix):
            try:
                yield table.decode_key(key[1:]), table.decode_value(value)
            except LedgerError:
                self.unreadable.add(table.name)

    def _move(self, step: Any, where: bytes) -> None:
        try:
            step()
        except plyvel.Error:
            self.unreadable.add(_NAMES.get(where[:1], "no table"))

    def _open(self) -> Any:
        # Large enough that LevelDB has no reason to merge tables here.
        options = {"create_if_missing": False, "lru_cache_size": 64 << 20, "write_buffer_size": 64 << 20}
        for careful in (True, False):
            try:
                return plyvel.DB(str(self._scratch), paranoid_checks=careful, **options)
            except plyvel.Error as error:
                self.opened = str(error)
        _join_logs(self._scratch)
        try:
            plyvel.repair_db(str(self._scratch), paranoid_checks=False)
            return plyvel.DB(str(self._scratch), **options)
        except plyvel.Error as error:
            raise LedgerError(
                "state.corrupt", f"nothing can be read of it: {error}", str(self._scratch)
            ) from error

    def _remove(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


_NAMES = {table.prefix: table.name for table in TABLES}


def _copy(damaged: Path, scratch: Path) -> None:
    """OSError."""
    scratch.mkdir()
    for file in sorted(damaged.iterdir()):
        if not file.is_file() or file.name in ("LOCK", "LOG", "LOG.old"):
            continue
        if file.suffix not in (".ldb", ".sst") or not _linked(file, scratch / file.name):
            shutil.copyfile(file, scratch / file.name)


def _join_logs(directory: Path) -> None:
    """Make one log of all, in their order, with the records that hold.

    LevelDB's repair makes a table of each log in whatever order the directory names them, and of two tables
    believes the one made last: with two logs a row of the older one could hide that of the newer one.
    """
    logs = sorted(directory.glob("*.log"), key=lambda log: (len(log.name), log.name))
    if not logs:
        return
    *older, newest = logs
    newest.write_bytes(encode_log(record for log in logs for record in sound_records(log.read_bytes())))
    for log in older:
        log.unlink()


def _linked(file: Path, name: Path) -> bool:
    """False where the file system knows no links."""
    try:
        os.link(file, name)
    except OSError:
        return False
    return True
