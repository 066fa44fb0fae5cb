"""Logs and their indexes: queries (`eth_getLogs`) cost what they find, not the length of the chain.

Each log is a row in order of (height, transaction, log), and a posting in each index it belongs to: its
address, each of its topics by place, and its address with its first topic. A query is a conjunction of
criteria (the addresses, the alternatives of each topic place). Each criterion is the merged postings of its
alternatives; all criteria are walked together, each jumping to where the furthest one is, so the rarest
criterion sets the pace and blocks without a match are never touched.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.errors import LedgerError
from node.chain.receipt import Log
from node.state.database import Batch
from node.state.rows import decode_row, encode_row
from node.state.snapshot import DatabaseSnapshot, KeyCursor
from node.state.tables import (
    LOGS,
    LOGS_BY_ADDRESS,
    LOGS_BY_ADDRESS_TOPIC,
    LOGS_BY_TOPIC,
    Position,
    decode_log_position,
    encode_log_position,
)

MAX_ALTERNATIVES: Final = 256
"""Addresses or alternatives of one topic place that a query may name."""

ROWS_BETWEEN_CALLS: Final = 256

_MAX_PAIRS: Final = 64
"""Up to here (addresses x first topics) are looked up as pairs; beyond, as two criteria."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which logs: from any of `addresses` (none given: from any), matching `topics` place by place.

    A place of `topics` is None (any topic) or the alternatives accepted there; a log has at least as many
    topics as the query has places, as in other Ethereum nodes. Both heights are included.
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
    next: Position | None  # pass it as `after` to go on; None: there is no more


def add_logs(batch: Batch, first: Position, transaction_hash: bytes, logs: Sequence[Log]) -> None:
    """Add the logs of one transaction and their postings; `first` is the position of its first log."""
    height, index, log_index = first
    for log in logs:
        position = (height, index, log_index)
        fields = (log.address, b"".join(log.topics), log.data, transaction_hash)
        batch.put(LOGS, position, encode_row(fields))
        batch.put(LOGS_BY_ADDRESS, (log.address, position), b"")
        if log.topics:
            batch.put(LOGS_BY_ADDRESS_TOPIC, (log.address + log.topics[0], position), b"")
        for place, topic in enumerate(log.topics):
            batch.put(LOGS_BY_TOPIC, (bytes((place,)) + topic, position), b"")
        log_index += 1


def query_logs(
    snapshot: DatabaseSnapshot,
    query: LogQuery,
    *,
    after: Position | None = None,
    limit: int = 10_000,
    max_rows: int = 200_000,
    on_rows: Callable[[], None] | None = None,
) -> LogPage:
    """At most `limit` logs that match, those after the position `after`.

    `on_rows` is called after every `ROWS_BETWEEN_CALLS` index rows; what it raises ends the query.
    Raises LedgerError `logs.range_too_large` when more than `max_rows` index rows would have to be read (got:
    the rows and the height reached; expected: max_rows), `logs.query_malformed` for addresses that are not 20
    bytes, topics that are not 32, more than four places, more than MAX_ALTERNATIVES alternatives, or a limit
    below 1.
    """
    if limit < 1:
        raise LedgerError("logs.query_malformed", "the limit is too small", limit, 1)
    found: list[StoredLog] = []
    for log in each_log(snapshot, query, after=after, max_rows=max_rows, on_rows=on_rows):
        if len(found) == limit:
            last = found[-1]
            return LogPage(tuple(found), (last.height, last.transaction_index, last.log_index))
        found.append(log)
    return LogPage(tuple(found), None)


def each_log(
    snapshot: DatabaseSnapshot,
    query: LogQuery,
    *,
    after: Position | None = None,
    max_rows: int = 200_000,
    on_rows: Callable[[], None] | None = None,
) -> Iterator[StoredLog]:
    """All logs that match, in order, each read when it is asked for. Raises as `query_logs`."""
    _check(query)
    low = max((query.from_height, 0, 0), (0, 0, 0))
    if after is not None:
        low = max(low, (after[0], after[1], after[2] + 1))
    start, end = encode_log_position(low), encode_log_position((max(query.to_height + 1, 0), 0, 0))
    with contextlib.ExitStack() as stack:
        meter = _Meter(max_rows, on_rows)
        criteria = [_Criterion(snapshot, stack, meter, prefixes) for prefixes in _plan(query)]
        for suffix in _intersect(criteria, start, end):
            log = _load(snapshot, suffix)
            if len(log.topics) >= len(query.topics):
                yield log


class _Meter:
    """Counts index rows read by one query."""

    __slots__ = ("_limit", "_on_rows", "_read")

    def __init__(self, limit: int, on_rows: Callable[[], None] | None) -> None:
        self._limit = limit
        self._on_rows = on_rows
        self._read = 0

    def count(self, suffix: bytes) -> None:
        self._read += 1
        if self._on_rows is not None and not self._read % ROWS_BETWEEN_CALLS:
            self._on_rows()
        if self._read > self._limit:
            reached = int.from_bytes(suffix[:8], "big")
            raise LedgerError(
                "logs.range_too_large",
                f"the query reads too much; it came to height {reached}",
                {"rows": self._read, "height": reached},
                self._limit,
            )


class _Criterion:
    """The merged postings of alternatives, in order, each position once."""

    __slots__ = ("_cursors", "_heads", "_meter")

    def __init__(
        self,
        snapshot: DatabaseSnapshot,
        stack: contextlib.ExitStack,
        meter: _Meter,
        prefixes: Sequence[bytes],
    ) -> None:
        self._meter = meter
        self._cursors: list[KeyCursor] = []
        for prefix in prefixes:
            cursor = stack.enter_context(contextlib.closing(snapshot.key_cursor(prefix)))
            self._cursors.append(cursor)
        self._heads: list[tuple[bytes, int]] | None = None

    def seek(self, target: bytes) -> bytes | None:
        """The first position at or after `target`. Targets may not go back."""
        heads = self._heads
        if heads is None:
            heads = self._heads = []
            for number, cursor in enumerate(self._cursors):
                self._push(heads, number, cursor.seek(target))
        while heads and heads[0][0] < target:
            number = heapq.heappop(heads)[1]
            cursor = self._cursors[number]
            position = cursor.next()
            if position is not None and position < target:
                position = cursor.seek(target)
            self._push(heads, number, position)
        return heads[0][0] if heads else None

    def _push(self, heads: list[tuple[bytes, int]], number: int, position: bytes | None) -> None:
        if position is not None:
            self._meter.count(position)
            heapq.heappush(heads, (position, number))


def _plan(query: LogQuery) -> list[list[bytes]]:
    """The key prefixes of each criterion; all logs if there is none."""
    criteria: list[list[bytes]] = []
    addresses = sorted(query.addresses)
    topics = [sorted(place or ()) for place in query.topics]
    first = topics[0] if topics else []
    if addresses and first and len(addresses) * len(first) <= _MAX_PAIRS:
        prefix = LOGS_BY_ADDRESS_TOPIC.prefix
        criteria.append([prefix + address + topic for address in addresses for topic in first])
        topics[0] = []
    elif addresses:
        criteria.append([LOGS_BY_ADDRESS.prefix + address for address in addresses])
    for place, alternatives in enumerate(topics):
        if alternatives:
            prefix = LOGS_BY_TOPIC.prefix + bytes((place,))
            criteria.append([prefix + topic for topic in alternatives])
    return criteria or [[LOGS.prefix]]


def _intersect(criteria: Sequence[_Criterion], start: bytes, end: bytes) -> Iterator[bytes]:
    """Positions below `end` that all criteria have, from `start` on."""
    target = start
    while True:
        agreed = 0
        for criterion in criteria:
            position = criterion.seek(target)
            if position is None or position >= end:
                return
            if position == target:
                agreed += 1
            target = position
        if agreed == len(criteria):
            yield target
            # Positions have 16 bytes; nothing lies between this key and the key with a zero byte added.
            target = target + b"\x00"


def _load(snapshot: DatabaseSnapshot, suffix: bytes) -> StoredLog:
    height, index, log_index = position = decode_log_position(suffix)
    raw = snapshot.get(LOGS, position)
    if raw is None:
        raise LedgerError("state.corrupt", "an index names a log that is not there", str(position))
    address, topics, data, transaction_hash = decode_row(raw, 4)
    split = tuple(topics[start : start + 32] for start in range(0, len(topics), 32))
    return StoredLog(height, index, log_index, address, split, data, transaction_hash)


def _check(query: LogQuery) -> None:
    if len(query.topics) > 4:
        raise LedgerError("logs.query_malformed", "a log has at most four topics", len(query.topics), 4)
    named: list[tuple[str, frozenset[bytes], int]] = [("address", query.addresses, 20)]
    named += [("topic", place, 32) for place in query.topics if place is not None]
    for what, alternatives, size in named:
        if len(alternatives) > MAX_ALTERNATIVES:
            raise LedgerError(
                "logs.query_malformed",
                f"too many alternatives of {what}",
                len(alternatives),
                MAX_ALTERNATIVES,
            )
        for alternative in alternatives:
            if len(alternative) != size:
                raise LedgerError("logs.query_malformed", f"{what} of a wrong length", alternative, size)
