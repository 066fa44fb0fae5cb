"""Indexed log queries (`eth_getLogs`) whose work is bounded by what they find, not by the length of the chain."""

from __future__ import annotations

from dataclasses import dataclass

from node.state.database import DatabaseSnapshot
from node.state.tables import Position


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which logs: from any of `addresses` (none given: from any), matching `topics` place by place.

    A place of `topics` is None (anything, also nothing) or the alternatives accepted there. Both heights included.
    """

    from_height: int
    to_height: int
    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredLog:
    height: int
    transaction_index: int
    log_index: int  # in the block
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    transaction_hash: bytes


@dataclass(frozen=True, slots=True)
class LogPage:
    logs: tuple[StoredLog, ...]  # in order of (height, transaction index, log index)
    next: Position | None  # pass as `after` to go on; None: there is no more


def query_logs(
    snapshot: DatabaseSnapshot,
    query: LogQuery,
    *,
    after: Position | None = None,
    limit: int = 10_000,
    max_rows: int = 200_000,
) -> LogPage:
    """At most `limit` logs, those after the position `after`.

    Raises LedgerError `logs.range_too_large` when more than `max_rows` index rows would have to be read
    (got: rows read; expected: max_rows), `logs.query_malformed` for wrong sizes, more than four topic places or too
    many alternatives.
    """
    raise NotImplementedError
