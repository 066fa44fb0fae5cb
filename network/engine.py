"""The boundary between consensus and the ledger.

A *node* owns one ledger, one pool and one engine. The flow is the same for every engine::

    submit -> ledger.check -> pool -> [engine: prepare -> header, commit] -> ledger.finalize -> ledger.commit
    -> listeners

What an engine gives: blocks in height order, each with a header whose hash the validators signed. What it
takes: the functions of :class:`node.ledger.Ledger`. An engine never touches the database and a ledger never
learns which engine drives it.

Invariants every engine keeps:

1. A transaction is acknowledged (its receipt can be seen) only after the block that holds it was synced to
   disk.
2. When ``app_hash`` or ``last_results_hash`` changed at height h, height h+1 follows without waiting for a
   transaction, so that a proof of h is never more than a moment away (the *proof block*).
3. While nothing happens a block still comes at least every heartbeat, so block time does not go stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What an operator wants to know of an engine.

    Attributes:
        name: ``embedded`` or ``cometbft``.
        running: it can make blocks now.
        height: of the last committed block.
        last_block_ns: header time of that block, nanoseconds since the epoch.
        failure: why it stopped, or ``None``.
    """

    name: str
    running: bool
    height: int
    last_block_ns: int
    failure: str | None


class Engine(Protocol):
    """Drives a ledger from block to block."""

    def start(self) -> None:
        """Begin to make blocks; returns at once."""

    def wake(self) -> None:
        """A transaction was added to the pool."""

    def stop(self) -> None:
        """Finish the block in hand and stop; returns when no block can follow."""

    def status(self) -> EngineStatus: ...
