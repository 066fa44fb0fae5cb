"""The end of a one-machine chain: its last, empty block, and the snapshot of it.

The files that keep it the last one are in `network.consortium.ended`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from network.consortium.errors import CeremonyError
from network.consortium.graduate import require_graduating, require_idle
from network.embedded import EmbeddedEngine, ValidatorKey
from node.chain.errors import ProofError
from node.ledger import Admitted, FinalizedBlock, Ledger
from node.ledger.continuation import load_light_block, require_settled
from node.ledger.shelf import SavedSnapshot, Shelf

_MOST_BLOCKS: Final = 4
"""A proof block, and one after a change of validators has come into force, and some to spare."""


class _Nobody:
    """No candidates for a block."""

    def ready(self, max_gas: int, max_bytes: int) -> Iterable[Admitted]:
        return ()

    def committed(self, finalized: FinalizedBlock) -> None:
        """Nothing waits."""

    def has_ready(self) -> bool:
        return False


def is_idle(ledger: Ledger) -> bool:
    """The last block is one that a chain can end with. Raises LedgerError continuation.under_way where a
    vote has changed the validators: one key makes no such end.
    """
    with ledger.snapshot() as snapshot:
        if not snapshot.tip.height:
            return False
        require_settled(snapshot)
        try:
            block = load_light_block(snapshot.reads, snapshot.tip.height)
            require_idle(block, snapshot.tip.app_hash)
        except (CeremonyError, ProofError):
            return False
    return True


def end_chain(ledger: Ledger, key: ValidatorKey, clock_ns: Callable[[], int]) -> int:
    """Make empty blocks until the last one is idle; how many were made. With the mark there none are needed.

    Raises CeremonyError graduate.demo, graduate.not_first, graduate.not_idle; LedgerError
    continuation.under_way, engine.*, state.*.
    """
    require_graduating(ledger.genesis)
    engine = EmbeddedEngine(ledger, _Nobody(), key, clock_ns)
    for made in range(_MOST_BLOCKS + 1):
        if is_idle(ledger):
            return made
        if made < _MOST_BLOCKS:
            engine.make_block()
    raise CeremonyError("graduate.not_idle", "the chain does not come to rest", ledger.tip.height)


def save_closing(ledger: Ledger, shelf: Path) -> SavedSnapshot:
    """The snapshot of the last block, with header and commit beside it. Raises LedgerError state.*."""
    with ledger.snapshot() as snapshot:
        return Shelf(shelf).create(snapshot, ledger.genesis)
