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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import (
    EMPTY_COMMIT,
    Commit,
    commit_hash,
    decode_commit,
    encode_commit,
    verify_commit,
)
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, GenesisError, LedgerError, ProofError
from node.chain.genesis import Genesis, decode_genesis
from node.chain.header import (
    NIL_BLOCK_ID,
    BlockId,
    Header,
    consensus_hash,
    decode_header,
    encode_header,
    header_hash,
)
from node.chain.validators import Validator, validators_hash
from node.ledger.blocks import DecidedBlock
from node.ledger.check_base import begin_replay, check_contents, fill_in_again, make_again
from node.ledger.comparison import compare_rows
from node.ledger.continuation import (
    Continuation,
    load_continuation,
    prove_handover,
    require_end,
    try_opening,
    write_continuation,
)
from node.ledger.ledger import Ledger
from node.state import blocks as stored
from node.state import trie
from node.state.account import encode_account, encode_storage
from node.state.base import Base, load_base
from node.state.database import Database
from node.state.history import load_history
from node.state.pruning import Recorded
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import ACCOUNTS, COMMITS, HEADERS, SLOTS, TABLES
from node.state.views import FlatView

MAX_FINDINGS: Final = 100
"""A damaged directory is damaged enough after so many."""

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all)."""

_NAMES: Final = {table.prefix: table.name for table in TABLES}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `height` where it belongs to a block."""

    code: str
    message: str
    height: int | None = None
    got: object = None
    expected: object = None


@dataclass(frozen=True, slots=True)
class Chains:
    """The one or two chains that a ledger is of; `genesis` is that of the newest blocks."""

    genesis: Genesis
    continuation: Continuation | None

    @property
    def seam(self) -> int | None:
        """The first one's last height, where there are two."""
        return None if self.continuation is None else self.continuation.height

    def of(self, height: int) -> Genesis:
        """The genesis of the chain that a block is of."""
        joint = self.continuation
        return self.genesis if joint is None or height > joint.height else joint.old_genesis

    def is_first(self, height: int) -> bool:
        """Whether a chain begins with this block."""
        return height == self.of(height).initial_height


@dataclass(slots=True)
class Report:
    """What was checked and found. `headers` counts headers, `commits` commits that were verified, `garbage`
    rows of old states that are no fault and not needed either: pruning has not come to them, or held them for
    a snapshot to be on the safe side. `headers_to_come` counts the newest blocks whose headers are not there
    yet. `base` is the height whose state the ledger began with, `unverified`
    says what could not be checked.
    """

    height: int = 0
    transactions: int = 0
    rows: int = 0
    headers: int = 0
    commits: int = 0
    garbage: int = 0
    headers_to_come: int = 0
    base: int = 0
    unverified: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(
        self, code: str, message: str, height: int | None = None, got: object = None, expected: object = None
    ) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, message, height, got, expected))


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
                    _check_headers(reads, expected, tip, chains, report)
            else:
                for said in check_contents(reads, max(1, base.first), tip.height):
                    report.add(*said)
                _check_headers(reads, reads, tip, chains, report)
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


def _check_headers(
    reads: DatabaseSnapshot, expected: DatabaseSnapshot, tip: stored.Tip, chains: Chains, report: Report
) -> None:
    """Steps 5 and 6. Validators and records are taken from the re-execution."""
    last = max((height for height, _ in reads.scan(HEADERS)), default=0)
    if last > tip.height:
        report.add("check.stray_row", "a header above the tip", last, last, tip.height)
    base = load_base(reads)
    report.headers_to_come = max(0, tip.height - max(last, base.height))
    first = stored.load_header(reads, base.height) if base.height else None
    if first is not None:
        _check_base_header(reads, first, base.height, report)
    parent: Header | None = None
    lowest = max(1, base.first)
    for height in range(lowest, min(last, tip.height) + 1):
        raw = stored.load_header(reads, height)
        if raw is None:
            report.add("check.header_missing", "a header is missing below others", height)
            parent = None
            continue
        try:
            header = decode_header(raw)
        except DecodeError as error:
            report.add("check.header", error.message, height, error.got, error.expected)
            parent = None
            continue
        report.headers += 1
        _check_header(reads, expected, header, height, chains, report)
        if chains.is_first(height):
            _check_first(header, report)
        elif not lowest == height <= base.height:  # the block before may not be filled in yet
            _check_last_commit(reads, expected, header, parent, chains.of(height), report)
        parent = header
    _check_seen_commit(reads, expected, min(last, tip.height), chains, report)
    if chains.continuation is not None:
        _check_joint(reads, chains, chains.continuation, report)
    # The commit of the base may come before the next header, and that of the seam stands without one.
    end = max(last, base.height + 1 if base.height else 1, 1 + (chains.seam or 0))
    for height, _ in reads.scan(COMMITS):
        if not max(base.first_record, 1) <= height < end:
            report.add("check.stray_row", "a commit of no block below the newest header", height)


def _check_base_header(reads: DatabaseSnapshot, raw: bytes, base: int, report: Report) -> None:
    """The header of the block that the ledger began with, which nothing else vouches for but its hash."""
    record = stored.load_block(reads, base)
    try:
        header = decode_header(raw)
    except DecodeError as error:
        report.add("check.header", error.message, base, error.got, error.expected)
        return
    if record is None or header_hash(header) != record.hash:
        report.add("check.header.hash", "the header says something else", base, header_hash(header))


def _check_header(
    reads: DatabaseSnapshot,
    expected: DatabaseSnapshot,
    header: Header,
    height: int,
    chains: Chains,
    report: Report,
) -> None:
    record, before = stored.load_block(expected, height), stored.load_block(expected, height - 1)
    if record is None or before is None:
        return  # reported by the replay
    genesis = chains.of(height)
    params = genesis.consensus_params
    following = height if height == chains.seam else height + 1
    for name, got, wanted in (
        ("hash", header_hash(header), record.hash),
        ("chain_name", header.chain_name, genesis.chain_name),
        ("height", header.height, height),
        ("time", header.time_ns, record.time_ns),
        ("proposer_address", header.proposer_address, record.proposer_address),
        ("last_block_id", header.last_block_id.hash, b"" if chains.is_first(height) else before.hash),
        ("data_hash", header.data_hash, data_hash(stored.load_transactions(reads, height))),
        ("validators_hash", header.validators_hash, _validators_hash(expected, height)),
        ("next_validators_hash", header.next_validators_hash, _validators_hash(expected, following)),
        (
            "consensus_hash",
            header.consensus_hash,
            consensus_hash(params.block_max_bytes, params.block_max_gas),
        ),
        ("app_hash", header.app_hash, before.state_root),
        ("last_results_hash", header.last_results_hash, before.results_hash),
        ("app_version", header.app_version, record.rules_version),
    ):
        if got != wanted:
            report.add(f"check.header.{name}", "the header says something else", height, got, wanted)


def _check_last_commit(
    reads: DatabaseSnapshot,
    expected: DatabaseSnapshot,
    header: Header,
    parent: Header | None,
    genesis: Genesis,
    report: Report,
) -> None:
    """The commit that this block, which is not the first of its chain, carries for the one before."""
    height = header.height - 1
    commit = _load_commit(reads, height, report)
    if commit is None:
        report.add("check.commit_missing", "a commit is missing below headers", height)
        return
    if commit_hash(commit) != header.last_commit_hash:
        report.add(
            "check.header.last_commit_hash",
            "the header says something else",
            header.height,
            header.last_commit_hash,
            commit_hash(commit),
        )
    _verify_commit(expected, header.last_block_id, commit, height, genesis, report)
    parent_is_first = parent is not None and parent.last_block_id == NIL_BLOCK_ID
    before = None if parent_is_first else _load_commit(reads, height - 1, report)
    if parent is None or (before is None and not parent_is_first):
        return
    if parent.evidence_hash == evidence_hash(()):
        block = Block(parent, stored.load_transactions(reads, height), before or EMPTY_COMMIT)
        if block_id_of(block) != header.last_block_id:
            report.add("check.block_id", "the block's parts are not those that were signed", height)


def _check_first(header: Header, report: Report) -> None:
    """The first block of a chain: there is none before it, and so no commit."""
    if header.last_block_id != NIL_BLOCK_ID:
        report.add("check.header.last_block_id", "the first block has no block before it", header.height)
    if header.last_commit_hash != commit_hash(EMPTY_COMMIT):
        report.add("check.header.last_commit_hash", "the first block carries no commit", header.height)


def _check_joint(reads: DatabaseSnapshot, chains: Chains, joint: Continuation, report: Report) -> None:
    """Step 6: the certificate, from the old genesis on, and header and commit of its block as they lie here."""
    try:
        prove_handover(reads, joint.old_genesis, chains.genesis, joint.certificate)
    except (LedgerError, ProofError, DecodeError) as error:
        report.add(
            "check.handover", f"{error.code}: {error.message}", joint.height, error.got, error.expected
        )
        return
    report.commits += 1
    block = joint.certificate.statement.block
    kept = (stored.load_header(reads, joint.height), stored.load_commit(reads, joint.height))
    if kept != (encode_header(block.header), encode_commit(block.commit)):
        report.add("check.handover", "header or commit of its block is another one", joint.height)


def _check_seen_commit(
    reads: DatabaseSnapshot, expected: DatabaseSnapshot, height: int, chains: Chains, report: Report
) -> None:
    """The commit seen for the newest block with a header, if it is there."""
    record = stored.load_block(expected, height)
    if height == 0 or record is None or reads.get(COMMITS, height) is not None:
        return
    commit = _load_commit(reads, height, report)
    if commit is None:
        return
    if commit.block_id.hash != record.hash:
        report.add(
            "check.commit", "the commit is of another block", height, commit.block_id.hash, record.hash
        )
    _verify_commit(expected, commit.block_id, commit, height, chains.of(height), report)


def _load_commit(reads: DatabaseSnapshot, height: int, report: Report) -> Commit | None:
    raw = stored.load_commit(reads, height)
    if raw is None:
        return None
    try:
        return decode_commit(raw)
    except DecodeError as error:
        report.add("check.commit", error.message, height, error.got, error.expected)
        return None


def _verify_commit(
    expected: DatabaseSnapshot,
    block_id: BlockId,
    commit: Commit,
    height: int,
    genesis: Genesis,
    report: Report,
) -> None:
    try:
        verify_commit(genesis.chain_name, _validators(expected, height), block_id, height, commit)
    except ProofError as error:
        report.add("check.commit", f"{error.code}: {error.message}", height, error.got, error.expected)
    else:
        report.commits += 1


def _validators(reads: DatabaseSnapshot, height: int) -> tuple[Validator, ...]:
    return tuple(Validator(v.public_key, v.power) for v in stored.load_validators(reads, height))


def _validators_hash(reads: DatabaseSnapshot, height: int) -> bytes:
    return validators_hash(_validators(reads, height))
