"""Where a ledger begins: at the genesis, or at a snapshot of a later height.

A ledger that begins at a snapshot holds the record of that block (who made it, its state root), the state
after it, and everything from the next block on; of the blocks up to it, it holds nothing else until they are
filled in from above (`node.ledger.backfill`). Their states never come back. A database that begins at the
genesis has no row of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.chain.errors import LedgerError
from node.state.database import Batch
from node.state.rows import decode_row, encode_row, integer
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import META

_BASE: Final = b"base"


@dataclass(frozen=True, slots=True)
class Base:
    """`height` whose state was taken over, 0 for the genesis; `snapshot_hash` of the manifest it came from,
    empty for the genesis; `filled` the lowest height that was filled in since, None while there is none.
    """

    height: int = 0
    snapshot_hash: bytes = b""
    filled: int | None = None

    @property
    def first(self) -> int:
        """The lowest height whose block, if there is one, is held whole; 0: all are."""
        if self.filled is not None:
            return self.filled
        return self.height + 1 if self.height else 0

    @property
    def first_record(self) -> int:
        """The lowest height of which at least the record is held."""
        return min(self.first, self.height)

    def holds(self, height: int) -> bool:
        """Whether the block of this height, if there is one, is held whole."""
        return height >= self.first


def add_base(batch: Batch, base: Base) -> None:
    filled = () if base.filled is None else (base.filled,)
    batch.put(META, _BASE, encode_row((base.height, base.snapshot_hash, *filled)))


def load_base(snapshot: DatabaseSnapshot) -> Base:
    """LedgerError `state.row_malformed`."""
    raw = snapshot.get(META, _BASE)
    return Base() if raw is None else decode_base(raw)


def decode_base(raw: bytes) -> Base:
    """LedgerError `state.row_malformed`."""
    fields = decode_row(raw)
    if len(fields) not in (2, 3):
        raise LedgerError("state.row_malformed", "a base of a wrong number of fields", len(fields), [2, 3])
    height, snapshot_hash, *filled = fields
    return Base(integer(height), snapshot_hash, integer(filled[0]) if filled else None)
