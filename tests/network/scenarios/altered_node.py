"""`shelian node` with a fault put into it: for scenarios only.

Arguments: an `Alteration` in JSON, then those of `shelian`.

What is altered is what somebody who changes the program could alter, or what a broken machine does:

* ``proposes``: what stands in the blocks that it proposes. ``garbage``: bytes that are no transaction;
  ``doubled``: everything twice, so nonces do not follow each other; ``stale``: what is in the chain already;
  ``oversize``: more bytes than a block may have. Its own judgement of such blocks is that they are good.
* ``executes_wrongly_from``: from this height on it computes another state root.
* ``clock_s``: its clock is so many seconds ahead. (CometBFT's: `clocks`.)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from node.chain.encoding import sha256
from node.ledger import Admitted, DecidedBlock, FinalizedBlock, Ledger


def propose(kind: str) -> None:
    prepare = Ledger.prepare
    numbers = count()

    def altered(
        ledger: Ledger, candidates: Iterable[Admitted], height: int, time_ns: int, max_bytes: int
    ) -> tuple[bytes, ...]:
        honest = prepare(ledger, candidates, height, time_ns, max_bytes)
        if kind == "garbage":
            return (*honest, b"\x49 no transaction %d" % next(numbers))
        if kind == "doubled":
            return honest + honest
        if kind == "stale":
            return (*_older(ledger), *honest)
        return (*honest, bytes(max_bytes))

    def judge(ledger: Ledger, transactions: Sequence[bytes], height: int, time_ns: int) -> None:
        """Whatever is proposed is good."""

    Ledger.prepare, Ledger.process = altered, judge  # type: ignore[method-assign, assignment]


def _older(ledger: Ledger) -> tuple[bytes, ...]:
    with ledger.snapshot() as snapshot:
        for height in range(ledger.tip.height, 0, -1):
            found = tuple(snapshot.transactions(height))
            if found:
                return found
    return ()


def execute_wrongly(first: int) -> None:
    finalize = Ledger.finalize

    def altered(ledger: Ledger, block: DecidedBlock) -> FinalizedBlock:
        finalized = finalize(ledger, block)
        if block.height < first:
            return finalized
        return replace(finalized, app_hash=sha256(finalized.app_hash))

    Ledger.finalize = altered  # type: ignore[method-assign, assignment]


def shift_clock(seconds: int) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 1_000_000_000


if __name__ == "__main__":
    alteration = json.loads(sys.argv[1])
    sys.argv = ["shelian", *sys.argv[2:]]
    if alteration["clock_s"]:
        shift_clock(alteration["clock_s"])  # before anybody keeps the function
    if alteration["proposes"]:
        propose(alteration["proposes"])
    if alteration["executes_wrongly_from"]:
        execute_wrongly(alteration["executes_wrongly_from"])
    from cli.main import main

    main()
