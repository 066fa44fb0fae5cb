"""Making snapshots beside the engine, in a thread of its own.

Every so many blocks one is made of the state as it is then, from a pinned view; the oldest beyond those to
keep go. It rests after each chunk, so that it takes at most a quarter of the interpreter from the blocks. One
that takes longer than the blocks until the next is due is finished first; the next is then of the newest
block. Stopping at any moment loses no more than the one being made.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

import structlog

from node.chain.errors import ShelianError
from node.ledger import FinalizedBlock, Ledger
from node.ledger.shelf import Shelf

_log = structlog.get_logger("network.snapshots")
_REST: Final = 3.0
"""Seconds of rest for each second of processor time."""


class _Stopped(Exception):
    """The node stops while a snapshot is being made."""


class SnapshotMaking:
    """Makes a snapshot after every block whose height is divisible by `every`, or as soon after as it can;
    keeps the newest `keep`, and the one that the ledger began with.
    """

    def __init__(self, ledger: Ledger, directory: Path, *, every: int, keep: int = 2) -> None:
        self._ledger = ledger
        self._shelf = Shelf(directory)
        self._every = every
        self._keep = keep
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._forget = ledger.add_listener(self._committed)
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Before the ledger is closed."""
        self._forget()
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _committed(self, finalized: FinalizedBlock) -> None:
        if finalized.block.height % self._every == 0:
            self._wake.set()

    def _run(self) -> None:
        clean = False
        while self._wake.wait() and not self._stop.is_set():
            self._wake.clear()
            try:
                if not clean:
                    self._shelf.clean()
                    clean = True
                self._make()
            except _Stopped:
                return
            except ShelianError as error:
                # The next one may find a disk with room.
                _log.error("no snapshot was made", code=error.code, error=error.message)

    def _make(self) -> None:
        spent = time.thread_time()

        def rest(index: int) -> None:
            nonlocal spent
            before, spent = spent, time.thread_time()
            if self._stop.wait((spent - before) * _REST):
                raise _Stopped

        with self._ledger.snapshot() as snapshot:
            saved = self._shelf.create(snapshot, self._ledger.genesis, rest)
            removed = self._shelf.keep(self._keep, {snapshot.base})
        _log.info(
            "snapshot made",
            height=saved.manifest.height,
            chunks=len(saved.manifest.chunks),
            hash=saved.hash.hex(),
            removed=list(removed),
        )
