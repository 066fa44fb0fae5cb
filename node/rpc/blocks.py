"""Reading blocks, transactions and receipts from a snapshot in their JSON forms. Pure reading: no request, no
server.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from node.chain.encoding import keccak256
from node.chain.errors import ShelianError
from node.chain.transaction import decode
from node.ledger import LedgerSnapshot
from node.rpc.formats import (
    Gather,
    Json,
    block_json,
    data,
    header_json,
    receipt_json,
    stored_log_json,
    transaction_json,
)
from node.rpc.roots import RootCache
from node.state.blocks import BlockRecord
from node.state.logs import LogQuery, StoredLog


def record_of(ledger: LedgerSnapshot, height: int) -> BlockRecord:
    """The record of a height not above the tip. Raises ShelianError `rpc.block_not_held` for one no longer
    held.
    """
    record = ledger.block(height)
    if record is not None:
        return record
    raise ShelianError("rpc.block_not_held", "this node does not hold the block any more", height, None)


def header_of(ledger: LedgerSnapshot, roots: RootCache, height: int) -> Json:
    ledger.require_block(height)
    record = record_of(ledger, height)
    parent_hash = bytes(32) if height == 0 else record_of(ledger, height - 1).hash
    return header_json(record, parent_hash, roots.of(ledger, height))


def block_of(
    ledger: LedgerSnapshot, roots: RootCache, height: int, full: bool, gather: Gather = list
) -> Json:
    header = header_of(ledger, roots, height)
    record = record_of(ledger, height)
    placed = (
        (index, raw, receipt)
        for index, (raw, receipt) in enumerate(
            zip(ledger.transactions(height), ledger.receipts(height), strict=True)
        )
        if receipt.encoded
    )
    transactions = gather(
        transaction_json(decode(raw), receipt.sender, record, index) if full else data(keccak256(raw))
        for index, raw, receipt in placed
    )
    return block_json(header, transactions, record.size)


def transaction_at(ledger: LedgerSnapshot, height: int, index: int) -> Json | None:
    """None for a place without a transaction, or with bytes that are none."""
    raw, stored, record = (
        ledger.transaction(height, index),
        ledger.receipt(height, index),
        ledger.block(height),
    )
    if raw is None or stored is None or record is None or not stored.encoded:
        return None
    return transaction_json(decode(raw), stored.sender, record, index)


def receipt_at(ledger: LedgerSnapshot, height: int, index: int, gather: Gather = list) -> Json | None:
    """Like `transaction_at`."""
    raw, stored, record = (
        ledger.transaction(height, index),
        ledger.receipt(height, index),
        ledger.block(height),
    )
    if raw is None or stored is None or record is None or not stored.encoded:
        return None
    return receipt_json(stored, decode(raw), record, index, gather)


def receipts_of(ledger: LedgerSnapshot, height: int, gather: Gather = list) -> Iterator[Json]:
    record = ledger.block(height)
    if record is None:
        return
    for index, (raw, stored) in enumerate(
        zip(ledger.transactions(height), ledger.receipts(height), strict=True)
    ):
        if stored.encoded:
            yield receipt_json(stored, decode(raw), record, index, gather)


def logs_of_block(ledger: LedgerSnapshot, height: int) -> Iterator[tuple[StoredLog, bytes]]:
    """Every log of a block, with the text of its JSON form."""
    record = ledger.block(height)
    if record is None or not any(record.logs_bloom):
        return
    for log in ledger.each_log(LogQuery(height, height)):
        yield log, orjson.dumps(stored_log_json(log, record.hash, record.time_ns))
