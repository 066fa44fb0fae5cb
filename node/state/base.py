"""Where a ledger begins: at the genesis, or at a snapshot of a later height.

A ledger that begins at a snapshot holds the record of that block (who made it, its state root), the state
after it, and everything from the next block on; of the blocks up to it, it holds nothing else. A database
that begins at the genesis has no row of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.state.database import Batch
from node.state.rows import decode_row, encode_row, integer
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import META

_BASE: Final = b"base"


@dataclass(frozen=True, slots=True)
class Base:
    """`height` whose state was taken over, 0 for the genesis; `snapshot_hash` of the manifest it came from,
    empty for the genesis.
    """

    height: int = 0
    snapshot_hash: bytes = b""

    def holds(self, height: int) -> bool:
        """Whether the block of this height, if there is one, is held whole."""
        return height > self.height or self.height == 0


def add_base(batch: Batch, base: Base) -> None:
    batch.put(META, _BASE, encode_row((base.height, base.snapshot_hash)))


def load_base(snapshot: DatabaseSnapshot) -> Base:
    """LedgerError `state.row_malformed`."""
    raw = snapshot.get(META, _BASE)
    if raw is None:
        return Base()
    height, snapshot_hash = decode_row(raw, 2)
    return Base(integer(height), snapshot_hash)
