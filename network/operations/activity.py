"""What a node has done lately, counted while it does it: the only part that runs when nobody looks.

At each commit it takes a few microseconds: blocks and transactions go into the counter of the present minute,
the moment is kept for the clock's comparison, and transactions that were submitted here get the time they
took. Hashes are computed only while some of those are waited for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from network.operations.facts import Minute
from node.chain.encoding import keccak256
from node.ledger import FinalizedBlock

MINUTES: Final = 15
MOMENTS: Final = 100
_SUBMITTED: Final = 20_000
"""Transactions whose time is being taken; more are not timed, rather than remembered for ever."""
_MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Committed:
    """When a block was on this node's disk, by its own clock."""

    height: int
    moment_ns: int


@dataclass(frozen=True, slots=True)
class ActivityReading:
    """Whole minutes, oldest first; totals since the start; the last live blocks, oldest first."""

    minutes: tuple[Minute, ...]
    blocks: int
    transactions: int
    moments: tuple[Committed, ...]


class Activity:
    """See the module. Any thread."""

    def __init__(
        self,
        clock_ns: Callable[[], int],
        is_live: Callable[[], bool],
        on_submission_s: Callable[[float], None],
    ) -> None:
        """`is_live`: the block being committed has just been decided, and is not fetched or replayed;
        `on_submission_s` is told how long a transaction submitted here took to be committed.
        """
        self._clock_ns = clock_ns
        self._is_live = is_live
        self._on_submission_s = on_submission_s
        self._lock = threading.Lock()
        self._began = clock_ns() // _MINUTE_NS
        self._minutes: deque[tuple[int, int, int]] = deque(maxlen=MINUTES + 1)
        self._moments: deque[Committed] = deque(maxlen=MOMENTS)
        self._submitted: dict[bytes, float] = {}
        self._blocks = 0
        self._transactions = 0

    def submitted(self, hashes: Iterable[bytes], began_s: float) -> None:
        """Transactions that came in at `began_s` of `time.perf_counter` and were admitted."""
        with self._lock:
            for transaction_hash in hashes:
                if len(self._submitted) < _SUBMITTED:
                    self._submitted.setdefault(transaction_hash, began_s)

    def committed(self, finalized: FinalizedBlock) -> None:
        """A block is on the disk."""
        now_ns, now_s, is_live = self._clock_ns(), time.perf_counter(), self._is_live()
        count = len(finalized.block.transactions)
        hashes = map(keccak256, finalized.block.transactions) if self._submitted else ()
        minute = now_ns // _MINUTE_NS
        with self._lock:
            begun = [self._submitted.pop(transaction_hash, None) for transaction_hash in hashes]
            self._blocks += 1
            self._transactions += count
            if is_live:
                self._moments.append(Committed(finalized.block.height, now_ns))
            if self._minutes and self._minutes[-1][0] == minute:
                _, blocks, transactions = self._minutes.pop()
                self._minutes.append((minute, blocks + 1, transactions + count))
            else:
                self._minutes.append((minute, 1, count))
        for began_s in begun:
            if began_s is not None:
                self._on_submission_s(now_s - began_s)

    def forget(self, before_s: float) -> None:
        """Transactions submitted before that moment of `time.perf_counter` are not waited for any more."""
        with self._lock:
            self._submitted = {one: began for one, began in self._submitted.items() if began >= before_s}

    def read(self) -> ActivityReading:
        with self._lock:
            now = self._clock_ns() // _MINUTE_NS
            counted = {minute: Minute(blocks, txs) for minute, blocks, txs in self._minutes}
            first = max(self._began + 1, now - MINUTES)
            minutes = tuple(counted.get(minute, Minute(0, 0)) for minute in range(first, now))
            return ActivityReading(minutes, self._blocks, self._transactions, tuple(self._moments))
