"""What is wrong with a damaged ledger, told by the whole one that was made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from node.chain.errors import LedgerError
from node.state.blocks import decode_receipt
from node.state.database import Database
from node.state.salvage import Salvage
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import (
    BLOCK_HASHES,
    BLOCKS,
    COMMITS,
    HEADERS,
    HELD,
    LOGS,
    LOGS_BY_ADDRESS,
    LOGS_BY_ADDRESS_TOPIC,
    LOGS_BY_TOPIC,
    META,
    NODES,
    RECEIPTS,
    SENDERS,
    STALE,
    TABLES,
    TRANSACTION_HASHES,
    TRANSACTIONS,
)

Row = tuple[bytes, bytes]

_UNCOMPARED: Final = frozenset({META.key(b"history"), META.key(b"format"), META.key(b"base")})
_OF_OLD_STATES: Final = frozenset(table.name for table in (NODES, STALE, HELD))
"""Where a rebuilt ledger may hold less."""
_OF_BLOCKS: Final = frozenset(
    table.name
    for table in (
        BLOCKS, HEADERS, COMMITS, TRANSACTIONS, RECEIPTS, BLOCK_HASHES, TRANSACTION_HASHES, SENDERS, LOGS,
        LOGS_BY_ADDRESS, LOGS_BY_TOPIC, LOGS_BY_ADDRESS_TOPIC,
    )
)  # fmt: skip
"""Rows that later blocks do not change: what can be compared when blocks were dropped."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that was not as it should be: so many `rows` of `table`, or the block of `height`."""

    code: str
    message: str
    table: str | None = None
    rows: int | None = None
    height: int | None = None


def find_damage(source: Salvage, whole: Path, blocks_only: bool) -> tuple[list[Damage], int]:
    """What the whole ledger has otherwise than the damaged one, and the number of its transactions.

    With `blocks_only` only rows of blocks are compared: of others it is not known what they should be at the
    height of the whole one.
    """
    damage: list[Damage] = []
    transactions = 0
    filled = source.get(META, b"base") is not None
    missing, differs, stray = Counter[str](), Counter[str](), Counter[str]()
    with Database.open(whole) as database, database.snapshot() as reads:
        for table in TABLES:
            of_blocks = table.name in _OF_BLOCKS
            for key, old, new in _merge(source.rows(table.prefix), _walk(reads, table.prefix)):
                if table is TRANSACTIONS and new is not None:
                    transactions += 1
                if old == new or key in _UNCOMPARED or table is HELD or (blocks_only and not of_blocks):
                    continue
                if filled and old is not None and new is not None and _differs_by_filling(key, old, new):
                    continue
                if old is None:
                    missing[table.name] += 1
                elif not blocks_only and new is not None:
                    differs[table.name] += 1
                elif not blocks_only and table.name not in _OF_OLD_STATES:
                    stray[table.name] += 1
    for name in sorted(source.unreadable):
        damage.append(Damage("repair.unreadable", "a part of it cannot be read", name))
    for code, message, counts in (
        ("repair.row_missing", "rows are missing", missing),
        ("repair.row_differs", "rows are not what they should be", differs),
        ("repair.stray_row", "rows should not be there", stray),
    ):
        for name, count in counts.items():
            damage.append(Damage(code, message, name, count))
    return damage, transactions


def _differs_by_filling(key: bytes, old: bytes, new: bytes) -> bool:
    """Whether a row of a ledger that began at a snapshot and was filled in is as sound as the one that
    execution gives: a trie node is of another birth there, a receipt lacks its output.
    """
    try:
        match key[:1]:
            case NODES.prefix:
                return old[8:] == new[8:]
            case RECEIPTS.prefix:
                receipt = decode_receipt(old)
                return receipt.output is None and replace(decode_receipt(new), output=None) == receipt
    except LedgerError:
        pass
    return False


def _walk(reads: DatabaseSnapshot, prefix: bytes) -> Iterator[Row]:
    """Every (whole key, value) whose key starts with `prefix`, in key order."""
    cursor = reads.key_cursor(prefix)
    try:
        suffix = cursor.seek(b"")
        while suffix is not None:
            yield prefix + suffix, reads.get_raw(prefix + suffix) or b""
            suffix = cursor.next()
    finally:
        cursor.close()


def _merge(ours: Iterator[Row], theirs: Iterator[Row]) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """(key, our value, their value) in key order; None where one side has no such row."""
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if left is not None and (right is None or left[0] < right[0]):
            yield left[0], left[1], None
            left = next(ours, None)
        elif right is not None and (left is None or right[0] < left[0]):
            yield right[0], None, right[1]
            right = next(theirs, None)
        elif left is not None and right is not None:
            yield left[0], left[1], right[1]
            left, right = next(ours, None), next(theirs, None)
