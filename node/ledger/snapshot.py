"""Reading a ledger at one height, whatever is committed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from node.chain.errors import LedgerError
from node.chain.rules import Rules
from node.chain.transaction import Address
from node.execution import BlockContext
from node.ledger.blocks import Tip
from node.state import blocks, logs
from node.state.base import load_base
from node.state.blocks import BlockRecord, StoredReceipt, StoredValidator
from node.state.database import Database
from node.state.history import History, load_history
from node.state.logs import LogPage, LogQuery, StoredLog
from node.state.seam import Seam, load_certificate, load_seam
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import Position
from node.state.views import FlatView, StateView, TrieView, prove_account


class Pinned:
    """One database snapshot and its tip, shared by everybody who reads at that height, closed by the last
    one.
    """

    def __init__(self, database: Database, tip: Tip, chain_id: int, before: Pinned | None = None) -> None:
        """`before` is the one that this one takes the place of. Where only headers were written in between,
        what was read of the state is still true.
        """
        self.reads = database.snapshot()
        self.tip = tip
        self.chain_id = chain_id
        same_state = before.flat if before is not None and before.tip is tip else None
        self.flat: FlatView = FlatView(self.reads, tip.app_hash, same_state)
        self.history = load_history(self.reads)
        self.base = load_base(self.reads)
        self.seam = load_seam(self.reads)
        self._users = 1
        self._lock = threading.Lock()

    def acquire(self) -> bool:
        """Count one more reader; False if the last one has gone already."""
        with self._lock:
            if self._users == 0:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.reads.close()


class LedgerSnapshot:
    """The ledger at the height of `tip`. A context manager; close it, or LevelDB keeps old rows for it.

    Heights run from 0, the genesis state, to the tip's; in a ledger that began at a snapshot, from the one
    after its `base`, or from further down where older blocks were filled in (`first_block`). What is asked
    for of an older block raises LedgerError `ledger.history_unavailable` (expected: the first block held); of
    the block at `base` its record, and its header and commit where they are there, are held from the
    beginning. Reads raise LedgerError `state.*` when the database is damaged or closed.
    """

    def __init__(self, pinned: Pinned) -> None:
        """Takes over one count of `pinned`."""
        self._pinned = pinned
        self._reads: DatabaseSnapshot = pinned.reads
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """May be called again."""
        if not self._closed:
            self._closed = True
            self._pinned.release()

    @property
    def tip(self) -> Tip:
        return self._pinned.tip

    @property
    def rules(self) -> Rules:
        """In force for the block after the tip."""
        return self._pinned.tip.rules

    @property
    def history(self) -> History:
        """Which states can be read: those held when the tip was committed."""
        return self._pinned.history

    @property
    def base(self) -> int:
        """The height whose state this ledger began with; 0 if it began at the genesis."""
        return self._pinned.base.height

    @property
    def first_block(self) -> int:
        """The lowest height whose block is held whole; 0 where all are."""
        return self._pinned.base.first

    @property
    def first_record(self) -> int:
        """The lowest height of which at least the record is held."""
        return self._pinned.base.first_record

    @property
    def seam(self) -> Seam | None:
        """Where the chain before this one's genesis ended, if this ledger went on from it: blocks up to there
        are of that chain. The next one names no block before it.
        """
        return self._pinned.seam

    @property
    def handover_certificate(self) -> bytes | None:
        """Encoded: what joins the chains at the seam."""
        return load_certificate(self._reads)

    @property
    def reads(self) -> DatabaseSnapshot:
        """The rows themselves, for what copies or exports them."""
        return self._reads

    def require_block(self, height: int) -> None:
        """Raises LedgerError ledger.history_unavailable if the block lies before what this ledger holds."""
        if not self._pinned.base.holds(height):
            raise _unavailable(height, self.first_block)

    @property
    def tip_view(self) -> FlatView:
        """The state at the tip, as a view that a block can be built on."""
        return self._pinned.flat

    def state(self, height: int | None = None) -> StateView:
        """The state after the block of `height`; at the tip without a height.

        Raises LedgerError ledger.unknown_height, state.pruned.
        """
        if height is None or height == self.tip.height:
            return self._pinned.flat
        return TrieView(self._reads, self._held_root(height))

    def context(self, height: int | None = None) -> BlockContext:
        """What a call at `height` sees of the block. Raises LedgerError ledger.unknown_height."""
        record = self._record(self.tip.height if height is None else height)
        seam, chain_id = self.seam, self._pinned.chain_id
        if seam is not None and record.height <= seam.height:
            chain_id = seam.evm_chain_id
        return BlockContext(record.height, record.time_ns // 1_000_000_000, record.gas_limit, chain_id)

    def account_proof(
        self, address: Address, slots: Sequence[int], height: int | None = None
    ) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, ...], ...]]:
        """Trie nodes, root first, of the account and of each slot.

        Raises LedgerError ledger.unknown_height, state.pruned.
        """
        root = self._held_root(self.tip.height if height is None else height)
        proof = prove_account(self._reads, root, address, slots)
        return proof.nodes, tuple(slot.nodes for slot in proof.storage)

    def block(self, height: int) -> BlockRecord | None:
        self._require_record(height)
        return blocks.load_block(self._reads, height)

    def height_of(self, block_hash: bytes) -> int | None:
        return blocks.height_of(self._reads, block_hash)

    def transactions(self, height: int) -> tuple[bytes, ...]:
        self.require_block(height)
        return blocks.load_transactions(self._reads, height)

    def transaction(self, height: int, index: int) -> bytes | None:
        self.require_block(height)
        return blocks.load_transaction(self._reads, height, index)

    def receipts(self, height: int) -> tuple[StoredReceipt, ...]:
        self.require_block(height)
        return blocks.load_receipts(self._reads, height)

    def receipt(self, height: int, index: int) -> StoredReceipt | None:
        self.require_block(height)
        return blocks.load_receipt(self._reads, height, index)

    def locate(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """(height, index)"""
        return blocks.locate(self._reads, transaction_hash)

    def transactions_of(
        self, sender: Address, before: tuple[int, int] | None = None, limit: int = 100
    ) -> tuple[tuple[int, int], ...]:
        """Places (height, index) of a sender's transactions, newest first, those before the place
        `before`.
        """
        return blocks.transactions_of(self._reads, sender, before, limit)

    def logs(
        self, query: LogQuery, *, after: Position | None = None, limit: int = 10_000, max_rows: int = 200_000
    ) -> LogPage:
        self._require_logs(query)
        return logs.query_logs(self._reads, query, after=after, limit=limit, max_rows=max_rows)

    def each_log(
        self, query: LogQuery, *, max_rows: int = 200_000, on_rows: Callable[[], None] | None = None
    ) -> Iterator[StoredLog]:
        """Logs that match, each read when it is asked for. `on_rows`: see `node.state.logs`."""
        self._require_logs(query)
        return logs.each_log(self._reads, query, max_rows=max_rows, on_rows=on_rows)

    def header(self, height: int) -> bytes | None:
        """The encoded header, if it is known."""
        self._require_record(height)
        return blocks.load_header(self._reads, height)

    def commit(self, height: int) -> bytes | None:
        """The encoded commit for `height`: the one the next block carries, or for the tip the one that was
        seen.
        """
        self._require_record(height)
        return blocks.load_commit(self._reads, height)

    def validators(self, height: int) -> tuple[StoredValidator, ...]:
        """Those who sign `height`, which may be up to two above the tip's."""
        self._require_record(height)
        return blocks.load_validators(self._reads, height)

    def _held_root(self, height: int) -> bytes:
        record = self._record(height)
        if not self.history.holds(height):
            raise LedgerError(
                "state.pruned",
                "this node does not hold the state at this height any more; ask an archive node",
                height,
                f"heights {self.history.described(self.tip.height)}",
            )
        return record.state_root

    def _require_record(self, height: int) -> None:
        if height < self.first_record:
            raise _unavailable(height, self.first_block)

    def _require_logs(self, query: LogQuery) -> None:
        if query.from_height <= query.to_height:
            self.require_block(query.from_height)

    def _record(self, height: int) -> BlockRecord:
        record = self.block(height) if height >= 0 else None
        if record is None:
            raise LedgerError("ledger.unknown_height", "there is no such block", height, self.tip.height)
        return record


def _unavailable(height: int, first: int) -> LedgerError:
    return LedgerError(
        "ledger.history_unavailable",
        "this node began at a later block and does not hold this one; ask a node that began at the genesis",
        height,
        first,
    )
