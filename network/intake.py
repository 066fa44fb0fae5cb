"""Where submitted transactions come in: checked in a thread of its own, so that readers never wait for it.

Flow::

    submit (any event loop) -> waiting -> [intake thread: verify in parallel -> check -> pool] -> answers

What JSON-RPC takes and what comes from other nodes goes the same way. Whatever arrives while the thread is
busy is taken together, in order of arrival: one hop between threads then serves many, and their signatures
are verified in parallel. A batch enters the pool in its order, and lets others in between its parts.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from node.chain.errors import Refusal, ShelianError
from node.ledger import Ledger
from node.txpool import TransactionPool

_AT_ONCE: Final = 64
"""Transactions checked before anybody gets an answer."""

Outcome = bytes | ShelianError
"""A transaction's hash, or why it was refused."""


@dataclass(frozen=True, slots=True)
class _Part:
    """At most `_AT_ONCE` transactions of one caller."""

    raws: Sequence[bytes]
    outcomes: asyncio.Future[list[Outcome]]


class Intake:
    """See the module. `stop` it before the ledger is closed."""

    def __init__(
        self,
        ledger: Ledger,
        pool: TransactionPool,
        clock_ns: Callable[[], int],
        on_added: Callable[[Sequence[bytes]], None],
    ) -> None:
        """`on_added` is told, in the intake's thread, the hashes of what the pool took."""
        self._ledger = ledger
        self._pool = pool
        self._clock_ns = clock_ns
        self._on_added = on_added
        self._lock = threading.Lock()
        self._waiting: deque[_Part] = deque()
        self._is_busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake")

    async def submit(self, raws: Sequence[bytes]) -> list[Outcome]:
        """Check transactions and put them into the pool, in their order. A known one gives its hash again."""
        outcomes: list[Outcome] = []
        for start in range(0, len(raws), _AT_ONCE):
            part = _Part(raws[start : start + _AT_ONCE], asyncio.get_running_loop().create_future())
            with self._lock:
                self._waiting.append(part)
                is_busy, self._is_busy = self._is_busy, True
            if not is_busy:
                self._thread.submit(self._drain)
            outcomes += await part.outcomes
        return outcomes

    def stop(self) -> None:
        """Finish what is waiting."""
        self._thread.shutdown(wait=True)

    # All below: in the intake's thread

    def _drain(self) -> None:
        while parts := self._next():
            try:
                self._take(parts)
            except Exception as error:
                # The database cannot be read, say. Whoever waits is told.
                for part in parts:
                    _answer(part, error)

    def _next(self) -> list[_Part]:
        """What has come, up to `_AT_ONCE` transactions; empty, and no longer busy, if nothing has."""
        parts: list[_Part] = []
        room = _AT_ONCE
        with self._lock:
            while self._waiting and len(self._waiting[0].raws) <= room:
                parts.append(self._waiting.popleft())
                room -= len(parts[-1].raws)
            self._is_busy = bool(parts)
        return parts

    def _take(self, parts: Sequence[_Part]) -> None:
        now_ns = self._clock_ns()
        # Held until all are in the pool: what was found would be forgotten otherwise.
        _found = self._ledger.verify_ahead([raw for part in parts for raw in part.raws])
        added: list[bytes] = []
        done = [[self._add(raw, now_ns, added) for raw in part.raws] for part in parts]
        if added:
            self._on_added(added)
        for part, outcomes in zip(parts, done, strict=True):
            _answer(part, outcomes)

    def _add(self, raw: bytes, now_ns: int, added: list[bytes]) -> Outcome:
        try:
            admitted = self._ledger.check(raw, now_ns)
            self._pool.add(admitted, now_ns)
        except Refusal as refusal:
            return admitted.transaction.hash if refusal.code == "pool.known" else refusal
        except ShelianError as error:
            return error
        added.append(admitted.transaction.hash)
        return admitted.transaction.hash


def _answer(part: _Part, outcome: list[Outcome] | Exception) -> None:
    def answer() -> None:
        if part.outcomes.done():
            return  # the caller has gone
        if isinstance(outcome, Exception):
            part.outcomes.set_exception(outcome)
        else:
            part.outcomes.set_result(outcome)

    loop = part.outcomes.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(answer)
