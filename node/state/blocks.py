"""Blocks, transactions, receipts, commits and the tip: rows of the block's batch, and reading them back.

The `add_*` functions add rows to a batch; nothing here writes. All rows of a block go into the one batch that also
holds its state, so a block is there as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.state.database import Batch, DatabaseSnapshot


@dataclass(frozen=True, slots=True)
class StoredValidator:
    public_key: bytes  # Ed25519, 32 bytes
    power: int


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block and what the next one builds on."""

    height: int
    block_hash: bytes  # empty before the first block
    time_ns: int
    app_hash: bytes  # state root after the block
    last_results_hash: bytes  # goes into the next header
    validators: tuple[StoredValidator, ...]  # that sign height + 1
    next_validators: tuple[StoredValidator, ...]  # that sign height + 2


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """What became of one transaction."""

    transaction_hash: bytes
    sender: bytes  # empty if the transaction could not be decoded
    code: int  # of the CometBFT result: 0 executed (also if reverted), 1 undecodable
    data: bytes  # of the CometBFT result: keccak256 of `encoded`, or empty
    gas_wanted: int
    gas_used: int
    encoded: bytes  # EIP-2718 receipt bytes; empty if there is none
    contract_address: bytes | None  # of a creation
    output: bytes  # return or revert data, cut to OUTPUT_LIMIT bytes by `add_block`
    first_log_index: int  # index in the block of this transaction's first log


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """Summary of a block, one small row."""

    height: int
    hash: bytes
    time_ns: int
    proposer_address: bytes
    state_root: bytes  # after the block; app_hash of the next header
    results_hash: bytes  # last_results_hash of the next header
    rules_version: int
    gas_limit: int
    gas_used: int
    logs_bloom: bytes  # 256 bytes
    transaction_count: int
    size: int  # bytes of all transactions


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event as execution made it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


OUTPUT_LIMIT = 4096


def add_block(
    batch: Batch,
    record: BlockRecord,
    transactions: Sequence[bytes],
    receipts: Sequence[StoredReceipt],
    logs: Sequence[Sequence[LogEntry]],
    header: bytes | None = None,
) -> None:
    """Add a block: record, header bytes if known, transactions, receipts, logs (one sequence a transaction), and the
    indexes by block hash, transaction hash, sender, address and topic."""


def add_header(batch: Batch, height: int, header: bytes) -> None: ...
def add_commit(batch: Batch, height: int, commit: bytes) -> None:
    """The canonical commit for `height`, as the next block carries it."""


def add_seen_commit(batch: Batch, height: int, commit: bytes) -> None:
    """The commit seen for the tip, until the next block brings the canonical one."""


def add_validators(batch: Batch, height: int, validators: Sequence[StoredValidator]) -> None:
    """The set in force from `height` on; one row a change is enough."""


def add_tip(batch: Batch, tip: Tip) -> None: ...
def add_genesis(batch: Batch, genesis: bytes) -> None:
    """The canonical genesis JSON."""


def load_tip(snapshot: DatabaseSnapshot) -> Tip | None: ...
def load_genesis(snapshot: DatabaseSnapshot) -> bytes | None: ...
def load_block(snapshot: DatabaseSnapshot, height: int) -> BlockRecord | None: ...
def load_header(snapshot: DatabaseSnapshot, height: int) -> bytes | None: ...
def load_transactions(snapshot: DatabaseSnapshot, height: int) -> tuple[bytes, ...]: ...
def load_transaction(snapshot: DatabaseSnapshot, height: int, index: int) -> bytes | None: ...
def load_receipts(snapshot: DatabaseSnapshot, height: int) -> tuple[StoredReceipt, ...]: ...
def load_receipt(snapshot: DatabaseSnapshot, height: int, index: int) -> StoredReceipt | None: ...
def load_commit(snapshot: DatabaseSnapshot, height: int) -> bytes | None:
    """The canonical commit for `height`; for the tip the seen one."""


def load_validators(snapshot: DatabaseSnapshot, height: int) -> tuple[StoredValidator, ...]: ...
def height_of(snapshot: DatabaseSnapshot, block_hash: bytes) -> int | None: ...
def locate(snapshot: DatabaseSnapshot, transaction_hash: bytes) -> tuple[int, int] | None: ...
def transactions_of(
    snapshot: DatabaseSnapshot, sender: bytes, before: tuple[int, int] | None = None, limit: int = 100
) -> tuple[tuple[int, int], ...]:
    """Places (height, index) of a sender's transactions, newest first; the next page is `before` the last one given."""
