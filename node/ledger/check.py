"""Verifying a whole data directory that no node is using.

`check_ledger` goes these steps:

1. The genesis in it is the one expected.
2. Every block is executed again, from the genesis on, or from the snapshot that the ledger began with, in a
   ledger of its own in a temporary directory; each gives the recorded state root, results and gas. States
   that this directory has given up are given up there too. Where that snapshot is not at hand any more,
   blocks are not executed and rows not compared (`node.ledger.check_base`); the report says so.
3. Every row of every table is, byte for byte, the row that the re-execution left: state, trie, receipts,
   logs, indexes, validators, the tip. No row is missing, none is there beside, but for garbage of pruning,
   which is counted.
4. The flat tables hold what the trie holds, under the tip's state root.
5. Headers and commits, which come from outside, are checked by what they say: each header is the recorded
   block's, its hashes are those of the block's content and of the block before, each commit is signed by
   more than two thirds of the validators of its height. A tail without headers is counted, and accepted
   where the engine delivers them later than the blocks; a hole is not.
6. Of a ledger that went on under a new genesis (`node.ledger.continuation`), both segments: each by its own
   genesis, and the certificate that joins them.

What is found is reported, not raised; LedgerError is raised only when the directory cannot be opened or read
at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, GenesisError, LedgerError
from node.chain.genesis import Genesis, decode_genesis
from node.ledger.blocks import DecidedBlock
from node.ledger.chains import Chains
from node.ledger.check_base import begin_replay, check_contents, fill_in_again, make_again
from node.ledger.check_headers import check_headers
from node.ledger.comparison import compare_rows
from node.ledger.continuation import (
    load_continuation,
    require_end,
    try_opening,
    write_continuation,
)
from node.ledger.findings import Report
from node.ledger.ledger import Ledger
from node.state import blocks as stored
from node.state import trie
from node.state.account import encode_account, encode_storage
from node.state.base import Base, load_base
from node.state.database import Database
from node.state.history import load_history
from node.state.pruning import Recorded
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import ACCOUNTS, SLOTS, TABLES
from node.state.views import FlatView

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all)."""

_NAMES: Final = {table.prefix: table.name for table in TABLES}


def check_ledger(
    path: Path | str,
    genesis: Genesis | None = None,
    progress: Progress | None = None,
    *,
    headers_come_later: bool = True,
    snapshots: Path | None = None,
) -> Report:
    """See the module. Without `genesis` the directory's own is taken for the right one.

    `headers_come_later`: the engine may deliver headers after their blocks (CometBFT; the embedded engine
    writes both at once). `snapshots`: where the node's snapshots lie; beside the ledger without it.

    Raises LedgerError state.* (missing, locked, corrupt, unreadable), ledger.no_genesis.
    """
    report = Report()
    with Database.open(path) as database, database.snapshot() as reads:
        tip = stored.load_tip(reads)
        raw_genesis = stored.load_genesis(reads)
        if tip is None or raw_genesis is None:
            raise LedgerError("ledger.no_genesis", "the data directory was never finished", str(path))
        try:
            own = decode_genesis(raw_genesis)
        except GenesisError as error:
            raise LedgerError("ledger.no_genesis", error.message, error.got, error.expected) from error
        report.height = tip.height
        history = load_history(reads)
        if not (tip.height >= history.oldest > max(history.snapshots, default=-1)):
            held = (*history.snapshots, history.oldest)
            report.add("check.history", "states are said to be held that cannot be", None, held, tip.height)
        if genesis is not None and genesis.hash != own.hash:
            report.add("check.genesis", "the genesis is another one", None, own.hash, genesis.hash)
            return report
        try:
            chains = Chains(own, load_continuation(reads))
        except (DecodeError, GenesisError) as error:
            report.add("check.handover", error.message, None, error.got, error.expected)
            return report
        with tempfile.TemporaryDirectory(prefix="shelian-check-") as scratch:
            replayed = Path(scratch) / "replay"
            base = load_base(reads)
            report.base = base.height
            shelf = Path(path).parent / "snapshots" if snapshots is None else snapshots
            if base.height and base.first == 0:  # with all blocks there, that snapshot can be made again
                origin = Path(scratch) / "origin"
                Ledger.create(origin, own).close()
                _replay(reads, 0, base.height, origin, chains, report, progress)
                shelf = make_again(origin, Path(scratch) / "snapshots", reads, base.height, report.add)
            reason = begin_replay(replayed, chains.of(base.height), base, shelf)
            if reason is None:
                fill_in_again(reads, replayed, own, report.add)
                _replay(reads, base.height, tip.height, replayed, chains, report, progress)
                with Database.open(replayed) as replay, replay.snapshot() as expected:
                    _compare_rows(reads, expected, report)
                    check_headers(reads, expected, tip, chains, report)
            else:
                for said in check_contents(reads, max(1, base.first), tip.height):
                    report.add(*said)
                check_headers(reads, reads, tip, chains, report)
            report.unverified += _unverified(reads, base, tip.height, reason)
            if report.headers_to_come and not headers_come_later:
                report.add("check.header_missing", "the newest headers are missing", tip.height)
        _compare_state(reads, tip.app_hash, report)
    return report


def _unverified(reads: DatabaseSnapshot, base: Base, tip: int, reason: str | None) -> list[str]:
    """What cannot be checked in a ledger that began at a snapshot."""
    height, said = base.height, list[str]()
    if height == 0:
        return []
    if base.first > 0:
        after = "them" if base.first > height else f"block {height}"
        taken = f"the state after {after} was taken over from a snapshot"
        said.append(f"blocks 1 to {base.first - 1} are not here; {taken}")
    if 0 < base.first <= height:
        said.append(f"blocks {base.first} to {height} were not executed, but verified by the chain of hashes")
    if stored.load_header(reads, height + 1) is None:
        said.append(f"the state at height {height}: no header here states it yet")
    if reason is not None:
        said.append(f"blocks {height + 1} to {tip} were not executed again, rows not compared: {reason}")
    return said


def _replay(
    reads: DatabaseSnapshot,
    base: int,
    height: int,
    path: Path,
    chains: Chains,
    report: Report,
    progress: Progress | None,
) -> None:
    """Step 2, in the ledger at `path`, which holds the state at `base`."""
    done = base
    seam = chains.seam
    if seam is not None and base <= seam:
        if not _replay_blocks(reads, (base, seam), base, height, path, report, progress):
            return
        _go_on(path, chains, report)
        done = seam
    _replay_blocks(reads, (done, height), base, height, path, report, progress)


def _go_on(path: Path, chains: Chains, report: Report) -> None:
    """The re-executed ledger goes on as this one did. Who signed that is looked at with the headers."""
    joint = chains.continuation
    if joint is None:
        return
    with Ledger.open(path) as ledger, ledger.snapshot() as snapshot:
        try:
            require_end(snapshot, joint.old_genesis, joint.certificate)
            try_opening(snapshot, chains.genesis, ledger.executor)
        except (LedgerError, GenesisError) as error:
            report.add(
                "check.handover", f"{error.code}: {error.message}", joint.height, error.got, error.expected
            )
    write_continuation(path, chains.genesis, joint.certificate)


def _replay_blocks(
    reads: DatabaseSnapshot,
    heights: tuple[int, int],
    base: int,
    height: int,
    path: Path,
    report: Report,
    progress: Progress | None,
) -> bool:
    """The blocks above the first of `heights` up to the second; False where one is missing."""
    with Ledger.open(path, retention=Recorded(load_history(reads))) as ledger:
        for number in range(heights[0] + 1, heights[1] + 1):
            record = stored.load_block(reads, number)
            if record is None:
                report.add("check.block_missing", "a block is missing", number)
                return False
            transactions = stored.load_transactions(reads, number)
            report.transactions += len(transactions)
            block = DecidedBlock(number, record.time_ns, record.hash, record.proposer_address, transactions)
            if block.time_ns < ledger.tip.time_ns:
                report.add("check.time", "time goes back", number, block.time_ns, ledger.tip.time_ns)
            finalized = ledger.finalize(block)
            for code, got, expected in (
                ("check.app_hash", record.state_root, finalized.app_hash),
                ("check.results_hash", record.results_hash, finalized.results_hash),
                ("check.gas_used", record.gas_used, finalized.gas_used),
                ("check.transaction_count", record.transaction_count, len(transactions)),
            ):
                if got != expected:
                    report.add(
                        code, "the block recorded is not the block executed again", number, got, expected
                    )
            ledger.commit(finalized)
            while ledger.prune():
                pass
            if progress is not None:
                progress(number - base, height - base)
    return True


def _compare_rows(reads: DatabaseSnapshot, expected: DatabaseSnapshot, report: Report) -> None:
    """Step 3."""
    for row in compare_rows(reads, expected):
        table = _table(row.key)
        match row.kind:
            case "stray":
                report.add("check.stray_row", f"a row of {table} should not be there", None, row.key)
            case "missing":
                report.add("check.row_missing", f"a row of {table} is missing", None, None, row.key)
            case "garbage":
                report.garbage += 1
            case "same" | "differs":
                report.rows += 1
        if row.kind == "differs":
            what = f"a row of {table} is not what re-execution gives: key 0x{row.key.hex()}"
            report.add("check.row_differs", what, None, row.got, row.expected)


def _table(key: bytes) -> str:
    return _NAMES.get(key[:1], "no table")


def _compare_state(reads: DatabaseSnapshot, state_root: bytes, report: Report) -> None:
    """Step 4."""
    view = FlatView(reads, state_root)
    try:
        leaves = dict(trie.leaves(partial(view.load_node, b""), state_root))
        for address, _ in reads.scan(ACCOUNTS):
            account = view.account(address)
            if account is None or leaves.pop(keccak256(address), None) != encode_account(account):
                report.add("check.flat_account", "an account is not the trie's", None, address)
                continue
            slots = dict(trie.leaves(partial(view.load_node, address), account.storage_root))
            for slot, value in view.slots(address):
                if slots.pop(keccak256(slot.to_bytes(32, "big")), None) != encode_storage(value):
                    report.add("check.flat_slot", "a storage value is not the trie's", None, address, slot)
            if slots:
                report.add("check.flat_slot", "storage is in the trie only", None, address, len(slots))
        if leaves:
            report.add("check.flat_account", "accounts are in the trie only", None, len(leaves))
        for (address, slot), _ in reads.scan(SLOTS):
            if view.account(address) is None:
                report.add("check.flat_slot", "storage without an account", None, address, slot)
    except LedgerError as error:
        report.add("check.state", error.message, None, error.got, error.expected)
