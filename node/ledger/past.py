"""Blocks as one node hands them to another that began later: what hashes cover, and nothing else.

A `PastBlock` holds the header, the commit for it, its transactions, the encoded receipt of each, and the
validators that signed it where they are not those of the block after it. Everything else that a ledger keeps
of a block follows from these (`node.ledger.backfill`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node.chain.errors import LedgerError
from node.ledger.snapshot import LedgerSnapshot
from node.state import blocks as stored
from node.state.blocks import StoredValidator
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import COMMITS


@dataclass(frozen=True, slots=True)
class PastBlock:
    """A block and what became of it, encoded as stored; `receipts` are as many as `transactions`, empty for
    bytes that are no transaction. `signers`: the validators of its height, None where they are those of the
    next.
    """

    header: bytes
    commit: bytes
    transactions: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    signers: tuple[StoredValidator, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        signers = 40 * len(self.signers or ())
        return (
            len(self.header) + len(self.commit) + sum(map(len, self.transactions + self.receipts)) + signers
        )


def load_past(reads: DatabaseSnapshot, height: int) -> PastBlock | None:
    """The block of this height; None where its header, or the commit that the next block carries for it, is
    not there (yet).
    """
    header, commit = stored.load_header(reads, height), reads.get(COMMITS, height)
    if header is None or commit is None:
        return None
    signers = stored.load_validators(reads, height)
    return PastBlock(
        header,
        commit,
        stored.load_transactions(reads, height),
        tuple(receipt.encoded for receipt in stored.load_receipts(reads, height)),
        None if signers == stored.load_validators(reads, height + 1) else signers,
    )


def past_blocks(
    snapshot: LedgerSnapshot, start: int, count: int, most_bytes: int, between: Callable[[], None]
) -> Iterator[PastBlock]:
    """Blocks from `start` downwards, at most `count`, and no more once they have `most_bytes` together; so at
    least one. `between` is called after each.

    Raises LedgerError ledger.unknown_height (above the tip, or below the first block of the chain),
    ledger.history_unavailable, ledger.header_missing.
    """
    lowest = 1
    if not lowest <= start <= snapshot.tip.height:
        raise LedgerError(
            "ledger.unknown_height", "there is no such block", start, [lowest, snapshot.tip.height]
        )
    snapshot.require_block(start)
    size = 0
    for height in range(start, max(lowest, snapshot.first_block, start - count + 1) - 1, -1):
        block = load_past(snapshot.reads, height)
        if block is None:
            raise LedgerError(
                "ledger.header_missing",
                "the block is final; its signed header has not come from the engine yet",
                height,
                "ask again in a second",
            )
        yield block
        between()
        size += block.size
        if size >= most_bytes:
            return
