"""Reads pinned to one moment of the database, and the caches that all of them share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import plyvel

from node.chain.errors import LedgerError
from node.state.account import EMPTY_CODE_HASH
from node.state.tables import CODES, NODES, Table

K = TypeVar("K")
V = TypeVar("V")

_CODE_CACHE_SIZE: Final = 1024


class Caches:
    """Content-addressed rows in memory: what a hash names never changes, so all snapshots share them.

    Trie nodes live in two generations: the old one is dropped when the young one is full, so the cache is
    bounded and what is in use stays. Races between threads can only lose an entry.
    """

    __slots__ = ("_capacity", "_old", "_young", "codes")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self.codes: dict[bytes, bytes] = {}

    def node(self, key: bytes) -> bytes | None:
        node = self._young.get(key)
        if node is None:
            node = self._old.get(key)
            if node is not None:
                self.add_node(key, node)
        return node

    def add_node(self, key: bytes, node: bytes) -> None:
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[key] = node

    def add_code(self, code_hash: bytes, code: bytes) -> None:
        if len(self.codes) >= _CODE_CACHE_SIZE:
            self.codes = {}
        self.codes[code_hash] = code


class KeyCursor:
    """A forward walk over the keys that start with `prefix`, able to jump. Gives what follows the prefix."""

    __slots__ = ("_prefix", "_raw")

    def __init__(self, raw: Any, prefix: bytes) -> None:
        self._raw = raw
        self._prefix = prefix

    def seek(self, suffix: bytes) -> bytes | None:
        """The first key suffix at or after `suffix`; None when there is none."""
        try:
            self._raw.seek(self._prefix + suffix)
            return self._suffix()
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error

    def next(self) -> bytes | None:
        """The key suffix after the present one. Only after a `seek` or `next` that gave one."""
        try:
            self._raw.next()
            return self._suffix()
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error

    def close(self) -> None:
        self._raw.close()

    def _suffix(self) -> bytes | None:
        if not self._raw.valid():
            return None
        key: bytes = self._raw.key()
        return key[len(self._prefix) :] if key.startswith(self._prefix) else None


class DatabaseSnapshot:
    """The database as it was at one moment. A context manager; close it, or LevelDB keeps old rows for it.

    Every method raises LedgerError `state.corrupt` when LevelDB finds a damaged block, `state.closed` after
    `close` of the snapshot or its database, `state.row_malformed` when a row cannot be decoded.
    """

    __slots__ = ("_caches", "_raw")

    def __init__(self, raw: Any, caches: Caches) -> None:
        self._raw = raw
        self._caches = caches

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._raw.close()

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value of `key`, or None."""
        raw = self.get_raw(table.prefix + table.encode_key(key))
        return None if raw is None else table.decode_value(raw)

    def get_raw(self, key: bytes) -> bytes | None:
        """The bytes under a whole database key (prefix included), or None. For hot paths."""
        try:
            value: bytes | None = self._raw.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error
        return value

    def scan(
        self,
        table: Table[K, V],
        prefix: bytes = b"",
        start: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[K, V]]:
        """Rows of `table` whose encoded key starts with `prefix`, in key order, or backwards with `reverse`.

        `start` is the encoded key to begin at (included): the lowest one of a forward scan, the highest one
        of a reverse scan. At most `limit` rows.
        """
        whole = table.prefix + prefix
        bounds: dict[str, object] = {"start": whole, "stop": _after(whole)}
        if start is not None and reverse:
            bounds |= {"stop": min(table.prefix + start + b"\x00", _after(whole))}
        elif start is not None:
            bounds |= {"start": max(table.prefix + start, whole)}
        try:
            with contextlib.closing(
                self._raw.iterator(reverse=reverse, verify_checksums=True, **bounds)
            ) as rows:
                left = limit
                while left is None or left > 0:
                    row = next(rows, None)
                    if row is None:
                        return
                    yield table.decode_key(row[0][1:]), table.decode_value(row[1])
                    left = left if left is None else left - 1
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row of every table: whole database key and value, in order of keys."""
        try:
            with contextlib.closing(self._raw.iterator(verify_checksums=True, fill_cache=False)) as rows:
                while (row := next(rows, None)) is not None:
                    yield row
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error

    def key_cursor(self, prefix: bytes) -> KeyCursor:
        """A jumping walk over the whole database keys that start with `prefix`; close it."""
        try:
            return KeyCursor(self._raw.raw_iterator(verify_checksums=True), prefix)
        except (plyvel.Error, RuntimeError) as error:
            raise read_error(error) from error

    def load_node(self, owner: bytes, node_hash: bytes) -> bytes:
        """RLP of a trie node; `owner` is the account's address, empty for the account trie.

        LedgerError `state.trie_node_missing` when this height's state is not held (any more).
        """
        key = owner + node_hash
        node = self._caches.node(key)
        if node is None:
            row = self.get_raw(NODES.prefix + key)
            if row is None:
                raise LedgerError("state.trie_node_missing", "a node of this state is not held", node_hash)
            node = row[8:]
            self._caches.add_node(key, node)
        return node

    def load_code(self, code_hash: bytes) -> bytes:
        """The code with this hash; always the same bytes object while it is cached (py-evm caches by
        identity).

        LedgerError `state.code_missing`.
        """
        if code_hash == EMPTY_CODE_HASH:
            return b""
        code = self._caches.codes.get(code_hash)
        if code is None:
            code = self.get_raw(CODES.prefix + code_hash)
            if code is None:
                raise LedgerError("state.code_missing", "contract code is not held", code_hash)
            self._caches.add_code(code_hash, code)
        return code


def read_error(error: Exception) -> LedgerError:
    if isinstance(error, RuntimeError):
        return LedgerError("state.closed", str(error))
    # A table that is shorter than its index says is read past its end.
    if isinstance(error, plyvel.CorruptionError) or "Invalid argument" in str(error):
        return LedgerError("state.corrupt", f"the ledger is damaged: {error}")
    return LedgerError("state.unreadable", f"cannot read the ledger: {error}")


def _after(prefix: bytes) -> bytes:
    """The first key that is greater than every key with this prefix. Table prefixes are below 0xff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))
