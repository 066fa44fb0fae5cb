"""Where one chain of a ledger ended and the next began: kept in a ledger that went on under a new genesis.

Such a ledger holds two segments. Blocks up to `height` are of the old chain, later ones of the chain whose
genesis the database names. A database with one segment has no row of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.state.database import Batch
from node.state.rows import decode_row, encode_row, integer
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import META

_SEAM: Final = b"seam"
_OLD_GENESIS: Final = b"old_genesis"
_CERTIFICATE: Final = b"certificate"


@dataclass(frozen=True, slots=True)
class Seam:
    """`height`: the old chain's last; `evm_chain_id`: what its transactions were signed for."""

    height: int
    evm_chain_id: int


def add_seam(batch: Batch, seam: Seam, old_genesis: bytes, certificate: bytes) -> None:
    """`old_genesis`: canonical JSON; `certificate`: of the handover, encoded."""
    batch.put(META, _SEAM, encode_row((seam.height, seam.evm_chain_id)))
    batch.put(META, _OLD_GENESIS, old_genesis)
    batch.put(META, _CERTIFICATE, certificate)


def load_seam(snapshot: DatabaseSnapshot) -> Seam | None:
    """None where the ledger is of one chain. LedgerError `state.row_malformed`."""
    raw = snapshot.get(META, _SEAM)
    if raw is None:
        return None
    height, evm_chain_id = decode_row(raw, 2)
    return Seam(integer(height), integer(evm_chain_id))


def load_old_genesis(snapshot: DatabaseSnapshot) -> bytes | None:
    """Canonical JSON of the old chain's genesis."""
    return snapshot.get(META, _OLD_GENESIS)


def load_certificate(snapshot: DatabaseSnapshot) -> bytes | None:
    """The handover certificate, encoded."""
    return snapshot.get(META, _CERTIFICATE)
