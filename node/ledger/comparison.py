"""Two databases row by row: one as it is, one as it ought to be.

What pruning has worked off is the one thing that may differ: a directory may be a few steps behind what its
`history` allows, and may hold nodes for a snapshot longer than needed (docs/STORAGE.md). Rows in excess for
these reasons are garbage; a row too few never is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.state.history import History, load_history
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import COMMITS, HEADERS, HELD, META, NODES, STALE, decode_height

_NOT_COMPARED: Final = (META.key(b"seen_commit"), META.key(b"history"))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one or both databases and what there is to say about it."""

    kind: Literal["same", "stray", "missing", "differs", "garbage"]
    key: bytes
    got: bytes | None = None
    expected: bytes | None = None


def compare_rows(reads: DatabaseSnapshot, expected: DatabaseSnapshot) -> Iterator[Row]:
    """Every row of either, in key order, but for headers, commits and `history`, which come from outside.

    `expected` was pruned to the history of `reads` (`node.state.pruning.Recorded`).
    """
    history = load_history(reads)
    pending = _pending(reads, history)
    ours, theirs = _rows(reads), _rows(expected)
    row, other = next(ours, None), next(theirs, None)
    while row is not None or other is not None:
        if row is not None and (other is None or row[0] < other[0]):
            yield Row("garbage" if _is_garbage(*row, history) else "stray", row[0], row[1])
            row = next(ours, None)
        elif other is not None and (row is None or other[0] < row[0]):
            if other[0][:1] != HELD.prefix or other[0][1:] not in pending:
                yield Row("missing", other[0], None, other[1])
            other = next(theirs, None)
        elif row is not None and other is not None:
            same = row[1] == other[1] or (row[0][:1] == HELD.prefix and _holds(row[1], other[1]))
            yield Row("same" if same else "differs", row[0], row[1], other[1])
            row, other = next(ours, None), next(theirs, None)


def _pending(reads: DatabaseSnapshot, history: History) -> frozenset[bytes]:
    """Node keys in journal rows of states given up, which pruning has not come to: not yet in `held`."""
    found: set[bytes] = set()
    for (height, _), keys in reads.scan(STALE):
        if height > history.oldest:
            break
        found.update(keys)
    return frozenset(found)


def _is_garbage(key: bytes, value: bytes, history: History) -> bool:
    if history == History():
        return False
    match key[:1]:
        case NODES.prefix:
            return keccak256(value[8:]) == key[-32:]
        case STALE.prefix:
            return decode_height(key[1:9]) <= history.oldest
        case other:
            return other == HELD.prefix


def _holds(got: bytes, expected: bytes) -> bool:
    """Whether a row of `held` holds a node for every snapshot that it is to be held for."""
    try:
        return set(HELD.decode_value(expected)[1:]) <= set(HELD.decode_value(got)[1:])
    except LedgerError:
        return False


def _rows(reads: DatabaseSnapshot) -> Iterator[tuple[bytes, bytes]]:
    cursor = reads.key_cursor(b"")
    try:
        key = cursor.seek(b"")
        while key is not None:
            if key[:1] not in (HEADERS.prefix, COMMITS.prefix) and key not in _NOT_COMPARED:
                yield key, reads.get_raw(key) or b""
            key = cursor.next()
    finally:
        cursor.close()
