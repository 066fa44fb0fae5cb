"""What a block's batch holds can be read back, by height, hash and sender."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.chain.encoding import keccak256
from node.chain.receipt import Log, TransactionResult
from node.state import blocks
from node.state.blocks import BlockRecord, StoredReceipt, StoredValidator, Tip
from node.state.database import Batch, Database
from node.state.tables import SENDERS

ANNA, BERT = b"\x0a" * 20, b"\x0b" * 20


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.create(tmp_path / "ledger") as opened:
        yield opened


def record(height: int, count: int = 0) -> BlockRecord:
    return BlockRecord(
        height=height,
        hash=keccak256(b"block %d" % height),
        time_ns=1_800_000_000_123_456_789 + height,
        proposer_address=b"\x77" * 20,
        state_root=keccak256(b"state %d" % height),
        results_hash=keccak256(b"results %d" % height),
        rules_version=1,
        gas_limit=100_000_000,
        gas_used=21_000 * count,
        logs_bloom=bytes(256),
        transaction_count=count,
        size=100 * count,
    )


def receipt(sender: bytes = ANNA, **changes: object) -> StoredReceipt:
    fields: dict[str, object] = {
        "sender": sender,
        "result": TransactionResult(0, keccak256(b"receipt"), 90_000, 21_000),
        "encoded": b"\x02receipt",
        "contract_address": None,
        "output": b"",
        "first_log_index": 0,
    }
    return StoredReceipt(**(fields | changes))  # type: ignore[arg-type]


def store(database: Database, height: int, senders: list[bytes], **options: bytes) -> list[bytes]:
    raws = [os.urandom(100) for _ in senders]
    batch = Batch()
    receipts = [receipt(sender) for sender in senders]
    blocks.add_block(batch, record(height, len(raws)), raws, receipts, [()] * len(raws), **options)
    database.write(batch)
    return raws


def test_a_block_is_found_by_height_and_by_hash(database: Database) -> None:
    raws = store(database, 7, [ANNA, BERT, ANNA], header=b"header bytes")
    with database.snapshot() as snapshot:
        assert blocks.load_block(snapshot, 7) == record(7, 3)
        assert blocks.height_of(snapshot, record(7).hash) == 7
        assert blocks.load_header(snapshot, 7) == b"header bytes"
        assert blocks.load_transactions(snapshot, 7) == tuple(raws)
        assert blocks.load_transaction(snapshot, 7, 2) == raws[2]
        assert blocks.locate(snapshot, keccak256(raws[1])) == (7, 1)


def test_what_is_not_there_is_none(database: Database) -> None:
    store(database, 7, [ANNA])
    with database.snapshot() as snapshot:
        assert blocks.load_tip(snapshot) is None
        assert blocks.load_genesis(snapshot) is None
        assert blocks.load_block(snapshot, 6) is None
        assert blocks.load_header(snapshot, 7) is None
        assert blocks.load_transactions(snapshot, 8) == ()
        assert blocks.load_receipts(snapshot, 8) == ()
        assert blocks.load_transaction(snapshot, 7, 1) is None
        assert blocks.load_receipt(snapshot, 7, 1) is None
        assert blocks.load_commit(snapshot, 7) is None
        assert blocks.load_validators(snapshot, 7) == ()
        assert blocks.height_of(snapshot, bytes(32)) is None
        assert blocks.locate(snapshot, bytes(32)) is None


def test_a_header_may_come_later(database: Database) -> None:
    store(database, 3, [])
    batch = Batch()
    blocks.add_header(batch, 3, b"late")
    database.write(batch)
    with database.snapshot() as snapshot:
        assert blocks.load_header(snapshot, 3) == b"late"


def test_receipts_keep_every_field_and_cut_the_output(database: Database) -> None:
    given = [
        receipt(contract_address=b"\xcc" * 20, output=b"\x01" * 5000, first_log_index=0),
        receipt(BERT, first_log_index=1),
        receipt(b"", result=TransactionResult(1, b"", 0, 0), encoded=b"", first_log_index=1),
    ]
    logs: list[tuple[Log, ...]] = [(Log(ANNA, (), b"data"),), (), ()]
    batch = Batch()
    blocks.add_block(batch, record(1, 3), [b"a", b"b", b"c"], given, logs)
    database.write(batch)
    with database.snapshot() as snapshot:
        read = blocks.load_receipts(snapshot, 1)
        assert read[0].output == b"\x01" * blocks.OUTPUT_LIMIT
        assert read[0].contract_address == b"\xcc" * 20
        assert read[1:] == tuple(given[1:])
        assert blocks.load_receipt(snapshot, 1, 2) == given[2]
        assert [key for key, _ in snapshot.scan(SENDERS)] == [(ANNA, 1, 0), (BERT, 1, 1)]


def test_the_three_sequences_have_to_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        blocks.add_block(Batch(), record(1, 2), [b"a", b"b"], [receipt()], [(), ()])


def test_the_seen_commit_serves_until_the_canonical_one_comes(database: Database) -> None:
    batch = Batch()
    blocks.add_seen_commit(batch, 5, b"seen 5")
    database.write(batch)
    with database.snapshot() as snapshot:
        assert blocks.load_commit(snapshot, 5) == b"seen 5"
        assert blocks.load_commit(snapshot, 4) is None
    blocks.add_commit(batch, 5, b"canonical 5")
    blocks.add_seen_commit(batch, 6, b"seen 6")
    database.write(batch)
    with database.snapshot() as snapshot:
        assert blocks.load_commit(snapshot, 5) == b"canonical 5"
        assert blocks.load_commit(snapshot, 6) == b"seen 6"


def test_validators_hold_from_their_height_until_the_next_change(database: Database) -> None:
    first = (StoredValidator(b"\x01" * 32, 10),)
    second = (StoredValidator(b"\x02" * 32, 2**40), StoredValidator(b"\x03" * 32, 0))
    batch = Batch()
    blocks.add_validators(batch, 1, first)
    blocks.add_validators(batch, 300, second)
    database.write(batch)
    with database.snapshot() as snapshot:
        held = {height: blocks.load_validators(snapshot, height) for height in (0, 1, 299, 300, 10**9)}
    assert held == {0: (), 1: first, 299: first, 300: second, 10**9: second}


def test_tip_and_genesis_come_back(database: Database) -> None:
    validators = (StoredValidator(b"\x01" * 32, 10), StoredValidator(b"\x02" * 32, 20))
    tip = Tip(9, b"\x09" * 32, 10**18, b"\x0a" * 32, b"\x0b" * 32, b"\x0c" * 32, validators, validators[:1])
    batch = Batch()
    blocks.add_tip(batch, tip)
    blocks.add_genesis(batch, b'{"format":"shelian-genesis/1"}')
    database.write(batch)
    with database.snapshot() as snapshot:
        assert blocks.load_tip(snapshot) == tip
        assert blocks.load_genesis(snapshot) == b'{"format":"shelian-genesis/1"}'


def test_a_sender_s_transactions_are_paged_newest_first(database: Database) -> None:
    for height in range(1, 31):
        store(database, height, [ANNA, BERT, ANNA])
    expected = [(height, index) for height in range(30, 0, -1) for index in (2, 0)]
    with database.snapshot() as snapshot:
        seen: list[tuple[int, int]] = []
        before = None
        while page := blocks.transactions_of(snapshot, ANNA, before, limit=7):
            assert len(page) <= 7
            seen += page
            before = page[-1]
        assert seen == expected
        assert blocks.transactions_of(snapshot, BERT, before=(2, 0)) == ((1, 1),)
        assert blocks.transactions_of(snapshot, b"\x0c" * 20) == ()
