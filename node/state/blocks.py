"""Blocks, transactions, receipts, commits and the tip: rows of a block's batch, and reading them back.

The `add_*` functions add rows to a batch; nothing here writes. All rows of a block go into the one batch that
also holds its state, so a block is there as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.receipt import Log, TransactionResult
from node.state.base import load_base
from node.state.database import Batch
from node.state.logs import add_logs
from node.state.rows import decode_row, encode_row, integer
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import (
    BLOCK_HASHES,
    BLOCKS,
    COMMITS,
    HEADERS,
    META,
    RECEIPTS,
    SENDERS,
    TRANSACTION_HASHES,
    TRANSACTIONS,
    VALIDATORS,
    encode_height,
    encode_place,
)

OUTPUT_LIMIT: Final = 4096
"""Bytes of return or revert data kept for a transaction."""

_TIP: Final = b"tip"
_GENESIS: Final = b"genesis"
_SEEN_COMMIT: Final = b"seen_commit"


@dataclass(frozen=True, slots=True)
class StoredValidator:
    public_key: bytes  # Ed25519, 32 bytes
    power: int


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block and what the next one builds on."""

    height: int  # the genesis state has initial_height - 1
    block_hash: bytes  # empty before the first block
    time_ns: int
    app_hash: bytes  # state root after the block; goes into the next header
    last_results_hash: bytes  # of the next header
    genesis_hash: bytes
    validators: tuple[StoredValidator, ...]  # that sign height + 1
    next_validators: tuple[StoredValidator, ...]  # that sign height + 2


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """Summary of a block, one small row."""

    height: int
    hash: bytes
    time_ns: int
    proposer_address: bytes
    state_root: bytes  # after the block: app_hash of the next header
    results_hash: bytes  # last_results_hash of the next header
    rules_version: int
    gas_limit: int
    gas_used: int
    logs_bloom: bytes  # 256 bytes, of all logs of the block
    transaction_count: int
    size: int  # bytes of all transactions


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """What became of one transaction."""

    sender: bytes  # empty if the transaction could not be decoded
    result: TransactionResult
    encoded: bytes  # EIP-2718 receipt bytes; empty if there is none
    contract_address: bytes | None  # of a creation that succeeded
    output: bytes | None
    """Return or revert data, cut to OUTPUT_LIMIT when stored. No hash covers it: None in a block that was
    filled in without being executed (`node.ledger.backfill`).
    """
    first_log_index: int  # index in the block of this transaction's first log


def add_block(
    batch: Batch,
    record: BlockRecord,
    transactions: Sequence[bytes],
    receipts: Sequence[StoredReceipt],
    logs: Sequence[Sequence[Log]],
    header: bytes | None = None,
) -> None:
    """Add a block: its record, its header's bytes if they are known, its transactions and receipts, the logs
    of each transaction, and the indexes by block hash, transaction hash, sender, address and topic.

    The three sequences are as long as the block has transactions.
    """
    height = record.height
    batch.put(BLOCKS, height, _encode_record(record))
    batch.put(BLOCK_HASHES, record.hash, height)
    if header is not None:
        batch.put(HEADERS, height, header)
    for index, (raw, receipt, events) in enumerate(zip(transactions, receipts, logs, strict=True)):
        transaction_hash = keccak256(raw)
        batch.put(TRANSACTIONS, (height, index), raw)
        batch.put(RECEIPTS, (height, index), _encode_receipt(receipt))
        batch.put(TRANSACTION_HASHES, transaction_hash, (height, index))
        if receipt.sender:
            batch.put(SENDERS, (receipt.sender, height, index), b"")
        add_logs(batch, (height, index, receipt.first_log_index), transaction_hash, events)


def add_header(batch: Batch, height: int, header: bytes) -> None:
    """Add the header of a block whose record is stored already."""
    batch.put(HEADERS, height, header)


def add_commit(batch: Batch, height: int, commit: bytes) -> None:
    """Add the canonical commit for `height`, as the next block carries it."""
    batch.put(COMMITS, height, commit)


def add_seen_commit(batch: Batch, height: int, commit: bytes) -> None:
    """Add the commit seen for the tip, until the next block brings the canonical one."""
    batch.put(META, _SEEN_COMMIT, encode_height(height) + commit)


def add_validators(batch: Batch, height: int, validators: Sequence[StoredValidator]) -> None:
    """Add the set in force from `height` on; a row for each change is enough."""
    batch.put(VALIDATORS, height, _encode_validators(validators))


def add_tip(batch: Batch, tip: Tip) -> None:
    batch.put(META, _TIP, _encode_tip(tip))


def add_genesis(batch: Batch, genesis: bytes) -> None:
    """Add the canonical genesis JSON."""
    batch.put(META, _GENESIS, genesis)


def load_tip(snapshot: DatabaseSnapshot) -> Tip | None:
    """The tip, or None in a database whose creation was not finished."""
    raw = snapshot.get(META, _TIP)
    return None if raw is None else decode_tip(raw)


def load_genesis(snapshot: DatabaseSnapshot) -> bytes | None:
    return snapshot.get(META, _GENESIS)


def load_block(snapshot: DatabaseSnapshot, height: int) -> BlockRecord | None:
    raw = snapshot.get(BLOCKS, height)
    return None if raw is None else decode_record(height, raw)


def load_header(snapshot: DatabaseSnapshot, height: int) -> bytes | None:
    return snapshot.get(HEADERS, height)


def load_headers_end(snapshot: DatabaseSnapshot, look_back: int) -> int:
    """The lowest height whose block is held and whose header is not; the tip's + 1 if there is none.

    Headers are written in order, so only among the newest `look_back` one can be missing below others.
    """
    end: int | None = None
    above: int | None = None
    seen = 0
    for height, _ in snapshot.scan(HEADERS, reverse=True, limit=look_back):
        if above is None or height + 1 != above:
            end = height + 1
        above = height
        seen += 1
    first = load_base(snapshot).height + 1
    if end is None or (above is not None and above > first and seen < look_back):
        return first
    return end


def load_transactions(snapshot: DatabaseSnapshot, height: int) -> tuple[bytes, ...]:
    """All transactions of a block in order; none if there is no such block."""
    return tuple(raw for _, raw in snapshot.scan(TRANSACTIONS, prefix=encode_height(height)))


def load_transaction(snapshot: DatabaseSnapshot, height: int, index: int) -> bytes | None:
    return snapshot.get(TRANSACTIONS, (height, index))


def load_receipts(snapshot: DatabaseSnapshot, height: int) -> tuple[StoredReceipt, ...]:
    """The receipts of all transactions of a block in order; none if there is no such block."""
    rows = snapshot.scan(RECEIPTS, prefix=encode_height(height))
    return tuple(decode_receipt(raw) for _, raw in rows)


def load_receipt(snapshot: DatabaseSnapshot, height: int, index: int) -> StoredReceipt | None:
    raw = snapshot.get(RECEIPTS, (height, index))
    return None if raw is None else decode_receipt(raw)


def load_commit(snapshot: DatabaseSnapshot, height: int) -> bytes | None:
    """The canonical commit for `height`; for the tip the one that was seen; else None."""
    canonical = snapshot.get(COMMITS, height)
    if canonical is not None:
        return canonical
    seen = snapshot.get(META, _SEEN_COMMIT)
    return seen[8:] if seen is not None and seen[:8] == encode_height(height) else None


def load_validators(snapshot: DatabaseSnapshot, height: int) -> tuple[StoredValidator, ...]:
    """The validators in force at `height`, by the last row at or below it; none below the first."""
    for _, raw in snapshot.scan(VALIDATORS, start=encode_height(height), reverse=True, limit=1):
        return decode_validators(raw)
    return ()


def height_of(snapshot: DatabaseSnapshot, block_hash: bytes) -> int | None:
    return snapshot.get(BLOCK_HASHES, block_hash)


def locate(snapshot: DatabaseSnapshot, transaction_hash: bytes) -> tuple[int, int] | None:
    """(height, index) of a transaction."""
    return snapshot.get(TRANSACTION_HASHES, transaction_hash)


def transactions_of(
    snapshot: DatabaseSnapshot, sender: bytes, before: tuple[int, int] | None = None, limit: int = 100
) -> tuple[tuple[int, int], ...]:
    """Places (height, index) of a sender's transactions, newest first.

    The next page is the one `before` the last place of this one.
    """
    start = None if before is None else sender + encode_place(before)
    # A reverse scan includes its start, which the page before has shown.
    wanted = limit if before is None else limit + 1
    rows = snapshot.scan(SENDERS, prefix=sender, start=start, reverse=True, limit=wanted)
    places = [(height, index) for (_, height, index), _ in rows]
    return tuple(place for place in places if place != before)[:limit]


def _encode_record(record: BlockRecord) -> bytes:
    return encode_row(
        (
            record.hash,
            record.time_ns,
            record.proposer_address,
            record.state_root,
            record.results_hash,
            record.rules_version,
            record.gas_limit,
            record.gas_used,
            record.logs_bloom,
            record.transaction_count,
            record.size,
        )
    )


def decode_record(height: int, raw: bytes) -> BlockRecord:
    """LedgerError `state.row_malformed`."""
    block_hash, time, proposer, root, results, rules, limit, used, bloom, count, size = decode_row(raw, 11)
    return BlockRecord(
        height,
        block_hash,
        integer(time),
        proposer,
        root,
        results,
        integer(rules),
        integer(limit),
        integer(used),
        bloom,
        integer(count),
        integer(size),
    )


def _encode_receipt(receipt: StoredReceipt) -> bytes:
    result = receipt.result
    output = () if receipt.output is None else (receipt.output[:OUTPUT_LIMIT],)
    return encode_row(
        (
            receipt.sender,
            result.code,
            result.data,
            result.gas_wanted,
            result.gas_used,
            receipt.encoded,
            receipt.contract_address or b"",
            *output,
            receipt.first_log_index,
        )
    )


def decode_receipt(raw: bytes) -> StoredReceipt:
    """LedgerError `state.row_malformed`."""
    fields = decode_row(raw)
    if len(fields) not in (8, 9):
        raise LedgerError("state.row_malformed", "a receipt of a wrong number of fields", len(fields), [8, 9])
    sender, code, data, wanted, used, encoded, contract, *output, first_log = fields
    result = TransactionResult(integer(code), data, integer(wanted), integer(used))
    return StoredReceipt(
        sender, result, encoded, contract or None, output[0] if output else None, integer(first_log)
    )


def _encode_validators(validators: Sequence[StoredValidator]) -> bytes:
    return encode_row(field for validator in validators for field in (validator.public_key, validator.power))


def decode_validators(raw: bytes) -> tuple[StoredValidator, ...]:
    """LedgerError `state.row_malformed`."""
    fields = decode_row(raw)
    if len(fields) % 2:
        raise LedgerError("state.row_malformed", "a validator without power", raw)
    return tuple(
        StoredValidator(key, integer(power)) for key, power in zip(fields[::2], fields[1::2], strict=True)
    )


def _encode_tip(tip: Tip) -> bytes:
    return encode_row(
        (
            tip.height,
            tip.block_hash,
            tip.time_ns,
            tip.app_hash,
            tip.last_results_hash,
            tip.genesis_hash,
            _encode_validators(tip.validators),
            _encode_validators(tip.next_validators),
        )
    )


def decode_tip(raw: bytes) -> Tip:
    """LedgerError `state.row_malformed`."""
    height, block_hash, time, root, results, genesis, validators, next_validators = decode_row(raw, 8)
    return Tip(
        integer(height),
        block_hash,
        integer(time),
        root,
        results,
        genesis,
        decode_validators(validators),
        decode_validators(next_validators),
    )
