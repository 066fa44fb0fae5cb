"""One data directory: opening it, and moving it from block to block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from node.chain.commit import Commit, encode_commit
from node.chain.errors import BlockRejected, LedgerError
from node.chain.genesis import Genesis
from node.chain.header import Header, encode_header
from node.chain.rules import Rules
from node.execution import Executor, PyEvmExecutor
from node.ledger.admission import Admission, Admitted, Known, Surroundings
from node.ledger.backfill import Frontier, add_past, filling_of, later_places, load_frontier
from node.ledger.blocks import DecidedBlock, DeliveredHeader, FinalizedBlock, Tip
from node.ledger.finalize import Parent, finalize_block
from node.ledger.past import PastBlock
from node.ledger.proposal import check_transactions, choose_transactions
from node.ledger.records import (
    add_delivered,
    load_kept_genesis,
    load_kept_tip,
    next_tip_of,
    record_of,
    require_header_of,
    validators_of,
    write_genesis,
)
from node.ledger.restore import require_first_header
from node.ledger.retention import ARCHIVE
from node.ledger.snapshot import LedgerSnapshot, Pinned
from node.ledger.verification import Verification
from node.state import blocks as stored
from node.state.database import Batch, Database
from node.state.history import History, load_history
from node.state.overlay import add_state_change
from node.state.pruning import Cursor, Keeping, plan_step
from node.state.seam import Seam

STEPS: Final = ("commit.begin", "write.begin", "write.done", "commit.published")
"""Names given to `on_step` by a commit, in order. The two in the middle are the database's own."""

HEADERS_AT_RISK: Final = 20_000
"""Far more headers than fit into LevelDB's logs, so far more than a power cut can lose unsynced ones among.
"""

Listener = Callable[[FinalizedBlock], None]
OnStep = Callable[[str], None]


class Ledger:
    """See the package. Make one with `create` or `open`; `close` it."""

    def __init__(
        self,
        database: Database,
        genesis: Genesis,
        tip: Tip,
        executor: Executor,
        on_step: OnStep | None,
        retention: Keeping,
    ) -> None:
        """Only for `create` and `open`."""
        self.genesis = genesis
        self.executor = executor
        self.retention = retention
        self._database = database
        self._on_step = on_step
        self._admission = Admission(genesis.evm_chain_id, genesis.is_demo)
        self._verification = Verification(self._admission)
        self._pinned = Pinned(database, tip, genesis.evm_chain_id)
        self._writing = threading.Lock()
        self._pruning = Cursor()
        self._written_beside: set[bytes] | None = None
        self._listeners: list[Listener] = []

    @classmethod
    def create(
        cls,
        path: Path | str,
        genesis: Genesis,
        *,
        executor: Executor | None = None,
        on_step: OnStep | None = None,
        retention: Keeping = ARCHIVE,
    ) -> Self:
        """Make a data directory that holds the genesis state; for a genesis that goes on with another chain's
        ledger, one that is empty and waits for a snapshot (`replace`, `node.ledger.restore`).

        Raises GenesisError genesis.call_failed, genesis.rules_differ, genesis.validators_differ; LedgerError
        state.*.
        """
        evm = executor or PyEvmExecutor()
        database = Database.create(path, on_step)
        try:
            write_genesis(database, genesis, evm)
            return cls(database, genesis, load_kept_tip(database, genesis), evm, on_step, retention)
        except BaseException:
            database.close()
            raise

    @classmethod
    def open(
        cls,
        path: Path | str,
        genesis: Genesis | None = None,
        *,
        executor: Executor | None = None,
        on_step: OnStep | None = None,
        retention: Keeping = ARCHIVE,
    ) -> Self:
        """Open a data directory; with `genesis`, only if it is of that chain.

        `retention` may be another one than before: states that are gone stay gone, the others go when it says
        so.

        Raises LedgerError ledger.other_chain, ledger.no_genesis, state.*.
        """
        database = Database.open(path, on_step)
        try:
            kept = load_kept_genesis(database)
            if genesis is not None:
                _require_chain(kept, genesis)
            evm = executor or PyEvmExecutor()
            return cls(database, kept, load_kept_tip(database, kept), evm, on_step, retention)
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database under it; snapshots still held raise from now on. May be called again."""
        self._verification.close()
        self._database.close()

    def replace(self, put_in_place: Callable[[Path], None]) -> None:
        """Go on with another ledger of the same chain, which `put_in_place` moves to this one's path, where
        it may remove what is there: for a node that joins by a snapshot (`node.ledger.restore`).

        In the engine's thread, between blocks. Snapshots still held raise from now on. When `put_in_place`
        raises, this goes on with what it has left. Raises what it raises; LedgerError ledger.other_chain,
        state.*.
        """
        path, genesis = self.path, self.genesis
        with self._writing:
            self._database.close()
            try:
                put_in_place(path)
            finally:
                database = Database.open(path, self._on_step)
                try:
                    _require_chain(load_kept_genesis(database), genesis)
                    tip = load_kept_tip(database, genesis)
                except BaseException:
                    database.close()
                    raise
                self._database, self._pruning = database, Cursor()
                old, self._pinned = self._pinned, Pinned(database, tip, genesis.evm_chain_id)
                old.release()

    # Reading

    @property
    def path(self) -> Path:
        """The data directory."""
        return self._database.path

    @property
    def tip(self) -> Tip:
        return self._pinned.tip

    @property
    def seam(self) -> Seam | None:
        """Where the chain before this one's genesis ended, if this ledger went on from it."""
        return self._pinned.seam

    @property
    def rules(self) -> Rules:
        """In force for the block after the tip."""
        return self._pinned.tip.rules

    def snapshot(self) -> LedgerSnapshot:
        """Everything as of the tip, pinned. Close it."""
        while True:
            pinned = self._pinned
            if pinned.acquire():
                return LedgerSnapshot(pinned)

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every commit, in the committing thread; the returned function ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # From transaction to block

    def check(self, raw: bytes, now_ns: int) -> Admitted:
        """Whether the transaction is admissible on the tip at the caller's time. A nonce gap is no reason
        against it.

        Raises DecodeError, SignatureRefused, Refusal: see `node.ledger.admission`.
        """
        with self.snapshot() as snapshot:
            return self._admission.admit(raw, _around(snapshot, snapshot.tip.height + 1, now_ns))

    def recheck(self, admitted: Admitted, now_ns: int) -> Admitted:
        """`check` of what was admitted on an earlier tip; its signature is not verified again. Raises the
        same.
        """
        with self.snapshot() as snapshot:
            around = _around(snapshot, snapshot.tip.height + 1, now_ns)
            return self._admission.admit_known(admitted.known, around)

    def verify_ahead(self, raws: Sequence[bytes]) -> tuple[Known, ...]:
        """Verify the signatures of many transactions in parallel threads, ahead of `check`.

        Refuses nothing. What was found is remembered while the answer is held.
        """
        with self.snapshot() as snapshot:
            return self._verification.verify_all(raws, snapshot.tip_view)

    def prepare(
        self, candidates: Iterable[Admitted], height: int, time_ns: int, max_bytes: int
    ) -> tuple[bytes, ...]:
        """Those of the candidates, in their order, that the block can hold; `max_bytes` counts them as
        encoded in it.
        """
        with self.snapshot() as snapshot:
            around = _around(snapshot, height, time_ns)
            return choose_transactions(candidates, around, self._admission, max_bytes)

    def process(self, transactions: Sequence[bytes], height: int, time_ns: int) -> None:
        """Whether a proposed block may be voted for, by its parent's state; it is not executed.

        Raises BlockRejected block.height, block.time, block.transaction (got: index, and the refusal).
        """
        tip = self.tip
        if height != tip.height + 1:
            raise BlockRejected("block.height", "the block does not follow the tip", height, tip.height + 1)
        if time_ns < tip.time_ns:
            raise BlockRejected("block.time", "the block's time is before the tip's", time_ns, tip.time_ns)
        with self.snapshot() as snapshot:
            found = self._verification.verify_all(transactions, snapshot.tip_view)
            self._admission.keep_judged(found)
            check_transactions(transactions, _around(snapshot, height, time_ns), self._admission)

    def finalize(self, block: DecidedBlock) -> FinalizedBlock:
        """Execute a decided block on the tip. Total: nothing in the block makes it raise. Nothing is written.

        Raises LedgerError ledger.not_next when it does not follow the tip, state.* when the database cannot
        be read.
        """
        tip = self.tip
        if block.height != tip.height + 1:
            raise LedgerError(
                "ledger.not_next", "the block does not follow the tip", block.height, tip.height + 1
            )
        with self.snapshot() as snapshot:
            parent = Parent(snapshot.tip_view, tip.rules, validators_of(tip.next_validators))
            # Held while the block is gone through: what was found would be forgotten otherwise.
            _found = self._verification.verify_all(block.transactions, snapshot.tip_view)
            return finalize_block(parent, block, self._admission, self.executor, self.genesis)

    def commit(
        self,
        finalized: FinalizedBlock,
        header: Header | None = None,
        commit: Commit | None = None,
        last_commit: Commit | None = None,
    ) -> None:
        """Write a finalized block in one synced batch; then the tip moves; then the listeners run.

        `commit` is the one seen for this block, `last_commit` the one this block carries for the block
        before.
        Raises LedgerError ledger.not_next, ledger.wrong_header, state.* (and the tip has not moved).
        """
        self._step(STEPS[0])
        tip = self.tip
        block = finalized.block
        if (block.height, finalized.parent_app_hash) != (tip.height + 1, tip.app_hash):
            raise LedgerError(
                "ledger.not_next", "this block was finalized on another tip", block.height, tip.height + 1
            )
        if header is not None:
            require_header_of(header, block.height, block.hash)
        next_tip = next_tip_of(tip, finalized)
        batch = Batch()
        add_state_change(batch, block.height, finalized.change)
        stored.add_block(
            batch,
            record_of(finalized),
            block.transactions,
            finalized.receipts,
            finalized.logs,
            None if header is None else encode_header(header),
        )
        if last_commit is not None and tip.height:
            stored.add_commit(batch, tip.height, encode_commit(last_commit))
        if commit is not None:
            stored.add_seen_commit(batch, block.height, encode_commit(commit))
        if finalized.validator_updates:
            stored.add_validators(batch, block.height + 2, next_tip.next_validators)
        stored.add_tip(batch, next_tip)
        with self._writing:
            self._write(batch, next_tip)
            if self._written_beside is not None:
                self._written_beside |= finalized.change.nodes.keys()
        self._admission.forget_judged()
        self._step(STEPS[3])
        for listener in tuple(self._listeners):
            listener(finalized)

    def save_header(
        self, header: Header, commit: Commit | None = None, last_commit: Commit | None = None
    ) -> None:
        """`save_headers` of one."""
        self.save_headers((DeliveredHeader(header, commit, last_commit),))

    def save_headers(self, delivered: Sequence[DeliveredHeader]) -> None:
        """Keep headers of committed blocks, and commits, where they came later than the blocks; in order of
        height.

        They are written together and not synced: a power cut may lose some of the last ones, and the engine
        can fetch them again. Where to begin then, `headers_end` tells.
        Raises LedgerError ledger.unknown_height, ledger.wrong_header, ledger.wrong_commit, state.*; then
        nothing is written.
        """
        if not delivered:
            return
        batch = Batch()
        with self.snapshot() as snapshot:
            for one in delivered:
                add_delivered(batch, one, snapshot)
        with self._writing:
            self._write(batch, self.tip, sync=False)

    @property
    def headers_end(self) -> int:
        """The lowest height whose header is not held; the tip's + 1 when all are.

        Found from the newest header backwards, over as many as a power cut can have lost (`HEADERS_AT_RISK`).
        """
        with self._database.snapshot() as reads:
            return stored.load_headers_end(reads, HEADERS_AT_RISK)

    # Blocks below a snapshot

    def fill_in(self, blocks: Sequence[PastBlock]) -> None:
        """Verify the blocks that follow downwards below the lowest one held (`LedgerSnapshot.first_block`),
        and write them in one synced batch. Not executed; see `node.ledger.backfill`.

        For one thread, beside the one that commits, which waits at most for the write. Raises HistoryRefused
        history.* (nothing is written); LedgerError ledger.header_missing (the first header has not come
        yet), ledger.base_differs, ledger.nothing_missing, state.*.
        """
        if not blocks:
            return
        batch = Batch()
        with self.snapshot() as snapshot:
            seen = snapshot.tip.height
            frontier = self._frontier(snapshot)
            add_past(batch, snapshot.reads, filling_of(self.genesis, snapshot.tip_view), frontier, blocks)
        with self._writing:
            with self._database.snapshot() as reads:
                for key in later_places(reads, seen + 1, self.tip.height):
                    batch.rows.pop(key, None)
            self._write(batch, self.tip)

    def _frontier(self, snapshot: LedgerSnapshot) -> Frontier:
        first = snapshot.first_block
        if first <= self.genesis.initial_height:
            raise LedgerError("ledger.nothing_missing", "all blocks are here", first)
        frontier = load_frontier(snapshot.reads, first)
        if frontier is None:
            raise LedgerError("ledger.header_missing", "the first header has not come yet", first)
        if first == snapshot.base + 1:
            require_first_header(snapshot, frontier.header)
        return frontier

    # Giving up old states

    @property
    def history(self) -> History:
        """Which states are held, as of now."""
        with self._database.snapshot() as reads:
            return load_history(reads)

    def prune(self) -> bool:
        """One bounded step of deleting what `retention` does not keep; False when there was nothing to do.

        For one thread, beside the one that commits: it reads while blocks are executed and written, and holds
        a commit up only for the write of a few hundred deletions, which is not synced. Pinned snapshots go on
        reading what they have pinned. Raises LedgerError state.*.
        """
        with self._writing:
            self._written_beside = set()
            database, cursor = self._database, self._pruning
        try:
            with database.snapshot() as reads:
                step = plan_step(reads, self.retention, cursor)
            if step is None:
                return False
            with self._writing:
                if database is self._database:
                    step.spare(self._written_beside)
                    database.write(step.batch, sync=False)
                    self._pruning = step.cursor
            return True
        except LedgerError:
            if database is self._database:
                raise
            return True  # another ledger has taken its place (`replace`), and may have something to do
        finally:
            with self._writing:
                self._written_beside = None

    def _write(self, batch: Batch, tip: Tip, *, sync: bool = True) -> None:
        """Write, then publish what is written: with `_writing` held, so no older tip follows a newer one."""
        self._database.write(batch, sync)
        old = self._pinned
        self._pinned = Pinned(self._database, tip, self.genesis.evm_chain_id, old)
        old.release()

    def _step(self, name: str) -> None:
        if self._on_step is not None:
            self._on_step(name)


def _require_chain(kept: Genesis, genesis: Genesis) -> None:
    if genesis.hash != kept.hash:
        raise LedgerError(
            "ledger.other_chain", "the data directory is of another chain", kept.hash, genesis.hash
        )


def _around(snapshot: LedgerSnapshot, height: int, time_ns: int) -> Surroundings:
    return Surroundings(snapshot.tip_view, snapshot.rules, height, time_ns // 1_000_000_000)
