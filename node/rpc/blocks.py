"""Reading blocks, transactions and receipts from a snapshot in their JSON forms. Pure reading: no request, no
server.
"""

from __future__ import annotations

from node.chain.encoding import keccak256
from node.chain.errors import ShelianError
from node.chain.receipt import Log
from node.chain.transaction import decode
from node.ledger import LedgerSnapshot
from node.rpc.formats import (
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
    record = record_of(ledger, height)
    parent_hash = bytes(32) if height == 0 else record_of(ledger, height - 1).hash
    return header_json(record, parent_hash, roots.of(ledger, height))


def block_of(ledger: LedgerSnapshot, roots: RootCache, height: int, full: bool) -> Json:
    header = header_of(ledger, roots, height)
    record = record_of(ledger, height)
    raws, receipts = ledger.transactions(height), ledger.receipts(height)
    transactions: list[object]
    if full:
        transactions = [
            transaction_json(decode(raw), receipt.sender, record, index)
            for index, (raw, receipt) in enumerate(zip(raws, receipts, strict=True))
            if receipt.encoded
        ]
    else:
        transactions = [
            data(keccak256(raw)) for raw, receipt in zip(raws, receipts, strict=True) if receipt.encoded
        ]
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


def receipt_at(ledger: LedgerSnapshot, height: int, index: int) -> Json | None:
    """Like `transaction_at`."""
    raw, stored, record = (
        ledger.transaction(height, index),
        ledger.receipt(height, index),
        ledger.block(height),
    )
    if raw is None or stored is None or record is None or not stored.encoded:
        return None
    return receipt_json(stored, decode(raw), record, index)


def receipts_of(ledger: LedgerSnapshot, height: int) -> list[Json]:
    record = ledger.block(height)
    if record is None:
        return []
    return [
        receipt_json(stored, decode(raw), record, index)
        for index, (raw, stored) in enumerate(
            zip(ledger.transactions(height), ledger.receipts(height), strict=True)
        )
        if stored.encoded
    ]


def logs_of_block(ledger: LedgerSnapshot, height: int) -> list[tuple[Log | StoredLog, Json]]:
    """Every log of a block, with its JSON form."""
    record = ledger.block(height)
    if record is None or not any(record.logs_bloom):
        return []
    query = LogQuery(height, height)
    logs: list[tuple[Log | StoredLog, Json]] = []
    page = ledger.logs(query)
    while True:
        logs += [(log, stored_log_json(log, record.hash, record.time_ns)) for log in page.logs]
        if page.next is None:
            return logs
        page = ledger.logs(query, after=page.next)
