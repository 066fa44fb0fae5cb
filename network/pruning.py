"""Giving up old states beside the engine, in a thread of its own.

Each commit wakes it. It takes one small step after the other until nothing is left to do, and rests after
each, so that it takes at most a quarter of the interpreter from the blocks: enough to keep up under load, and
to work off an old archive in the background when the way to keep history has changed. Where it stands is in
the ledger; stopping at any moment loses nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog

from node.chain.errors import LedgerError
from node.ledger import FinalizedBlock, Ledger
from node.ledger.retention import ARCHIVE

_log = structlog.get_logger("network.pruning")
_REST: Final = 3.0
"""Seconds of rest for each second of processor time."""
_REPORT_SECONDS: Final = 10.0
"""How often progress is told while there is much to do."""


class Pruning:
    """Deletes what the ledger's retention lets go. See the module."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._forget = ledger.add_listener(self._committed)
        self._thread = threading.Thread(target=self._run, name="pruning", daemon=True)

    def start(self) -> None:
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Before the ledger is closed."""
        self._forget()
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _committed(self, finalized: FinalizedBlock) -> None:
        self._wake.set()

    def _run(self) -> None:
        try:
            while self._wake.wait() and not self._stop.is_set():
                self._wake.clear()
                self._work()
                if self._ledger.retention == ARCHIVE:
                    return  # what an earlier retention had begun is finished; nothing more will come
        except LedgerError as error:
            _log.error("old states are not given up any more", code=error.code, error=error.message)

    def _work(self) -> None:
        began = told = time.monotonic()
        spent = time.thread_time()
        while not self._stop.is_set() and self._ledger.prune():
            now, before, spent = time.monotonic(), spent, time.thread_time()
            if now - told > _REPORT_SECONDS:
                told = now
                self._tell("giving up old states")
            self._stop.wait((spent - before) * _REST)
        if told != began:
            self._tell("old states are given up")

    def _tell(self, event: str) -> None:
        history, tip = self._ledger.history, self._ledger.tip.height
        retention = str(self._ledger.retention)
        snapshots = list(history.snapshots)
        _log.info(event, retention=retention, oldest=history.oldest, snapshots=snapshots, tip=tip)
