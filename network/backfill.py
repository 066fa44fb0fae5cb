"""Filling in the blocks below a snapshot beside the engine, in a thread of its own.

A node that joined by a snapshot asks other nodes for what is below, from above downwards, verifies every
block by the chain of hashes, and writes piece by piece (`Ledger.fill_in`)::

    wait for the first header -> ask a source -> a piece verified, written, synced -> rest -> … -> first block

* **Blocks go first.** After each piece it rests seven times as long as it has computed, and a block waits at
  most for the write of a piece. One answer is in memory at a time.
* **A source that lies is put aside**: what it said is not written, the reason is logged, the next one is
  asked. One that does not answer, or does not hold the blocks itself, is asked again later.
* **Where it stands is in the ledger.** It may be stopped or killed at any moment, and goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import structlog

from node.chain.errors import LedgerError, ShelianError
from node.ledger import FinalizedBlock, Ledger
from node.ledger.backfill import HistoryRefused
from node.ledger.past import PastBlock
from node.rpc.backend import Filling

_log = structlog.get_logger("network.backfill")

REST: Final = 7.0
"""Seconds of rest for each second of processor time."""
PIECE_BYTES: Final = 32 << 10
PIECE_BLOCKS: Final = 100
"""What is verified and written together: some ten milliseconds of processor time."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""When nobody answers."""
_REPORT_SECONDS: Final = 10.0


class Source(Protocol):
    """A node that is asked: `network.history_source.HistorySource`."""

    url: str

    def fetch(self, start: int) -> list[PastBlock]: ...
    def close(self) -> None: ...


class Backfill:
    """See the module."""

    def __init__(self, ledger: Ledger, sources: Sequence[Source]) -> None:
        self._ledger = ledger
        self._all = tuple(sources)
        self._sources = list(sources)
        self._asked: str | None = None
        self._rate = 0.0
        self._failure: str | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._forget = ledger.add_listener(self._committed)
        self._thread = threading.Thread(target=self._run, name="backfill", daemon=True)

    def start(self) -> None:
        if self._all:
            self._thread.start()

    def stop(self) -> None:
        """Before the ledger is closed."""
        self._forget()
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for source in self._all:
            source.close()

    def status(self) -> Filling | None:
        """None where nothing is missing, or nobody is to be asked."""
        first = self._first()
        if first <= self._wanted or not self._all:
            return None
        if not self._thread.is_alive():
            return Filling(first, self._wanted, None, 0.0, self._failure)
        return Filling(first, self._wanted, self._asked, self._rate)

    @property
    def _wanted(self) -> int:
        return self._ledger.genesis.initial_height

    def _first(self) -> int:
        with self._ledger.snapshot() as snapshot:
            return snapshot.first_block

    def _committed(self, finalized: FinalizedBlock) -> None:
        self._wake.set()

    def _run(self) -> None:
        try:
            if self._begin():
                self._fill()
        except LedgerError as error:
            self._failure = str(error)
            _log.error("old blocks are not fetched any more", code=error.code, error=str(error))

    def _begin(self) -> bool:
        """Wait until the ledger begins at a snapshot and the header after it has come; False if there is
        nothing to do.
        """
        while not self._stop.is_set():
            with self._ledger.snapshot() as snapshot:
                height, first = snapshot.tip.height, snapshot.first_block
                known = height >= first > 0 and snapshot.header(first) is not None
            if known or 0 < first <= self._wanted:
                return first > self._wanted
            if height >= self._wanted and first == 0:
                return False  # it began at the genesis, or has everything
            self._wake.wait(FIRST_PAUSE_S)
            self._wake.clear()
        return False

    def _fill(self) -> None:
        began, told = time.monotonic(), time.monotonic()
        first = start = self._first()
        pause_s = FIRST_PAUSE_S
        while first > self._wanted and not self._stop.is_set():
            if self._fetch(first - 1):
                pause_s = FIRST_PAUSE_S
            elif not self._sources:
                self._failure = "no source is left: each has told something else than the chain of hashes"
                _log.error(
                    "old blocks are not fetched any more", code="backfill.no_source", reason=self._failure
                )
                return
            else:
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            first, now = self._first(), time.monotonic()
            self._rate = (start - first) / max(now - began, 1e-3)
            if now - told > _REPORT_SECONDS:
                told = now
                rate = round(self._rate, 1)
                _log.info("old blocks are fetched", first=first, source=self._asked, rate=rate)
        if first <= self._wanted:
            _log.info("all old blocks are here", blocks=start - self._wanted, rate=round(self._rate, 1))

    def _fetch(self, height: int) -> bool:
        """One answer of the first source that gives one, written piece by piece; False if none was of use."""
        for source in tuple(self._sources):
            self._asked = source.url
            try:
                blocks = source.fetch(height)
                for piece in pieces(blocks):
                    spent = time.thread_time()
                    self._ledger.fill_in(piece)
                    if self._stop.wait((time.thread_time() - spent) * REST):
                        return True
                return True
            except HistoryRefused as error:
                self._sources.remove(source)
                _log.error(
                    "a node gave other blocks than the chain's: it is not asked any more",
                    source=source.url,
                    code=error.code,
                    error=str(error),
                )
            except LedgerError:
                raise
            except ShelianError as error:
                _log.warning(
                    "a node has no old blocks for us", source=source.url, code=error.code, error=str(error)
                )
        self._asked = None
        return False


def pieces(blocks: Sequence[PastBlock]) -> Iterator[list[PastBlock]]:
    """Neighbours together, as many as are verified and written at once."""
    piece: list[PastBlock] = []
    size = 0
    for block in blocks:
        piece.append(block)
        size += block.size
        if size >= PIECE_BYTES or len(piece) == PIECE_BLOCKS:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
