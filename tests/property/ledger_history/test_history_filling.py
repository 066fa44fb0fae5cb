"""Blocks below a snapshot, filled in from anybody: what comes in is what a node that has all of it holds, and
nothing else comes in.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.chain.errors import LedgerError
from node.ledger import Ledger
from node.ledger.backfill import HistoryRefused
from node.ledger.check import check_ledger
from node.ledger.past import PastBlock
from node.ledger.repair import repair_ledger
from node.ledger.shelf import SavedSnapshot
from node.state.blocks import StoredReceipt, decode_receipt
from node.state.database import Batch, Database
from node.state.tables import (
    BLOCK_HASHES,
    BLOCKS,
    COMMITS,
    HEADERS,
    LOGS,
    LOGS_BY_ADDRESS,
    LOGS_BY_ADDRESS_TOPIC,
    LOGS_BY_TOPIC,
    RECEIPTS,
    SENDERS,
    TRANSACTION_HASHES,
    TRANSACTIONS,
    VALIDATORS,
)
from tests.helpers.history import begin_at, fill_in, follow, make_history, served
from tests.helpers.ledger import Chain

pytestmark = pytest.mark.slow

TABLES = (
    BLOCKS, HEADERS, COMMITS, VALIDATORS, TRANSACTIONS, RECEIPTS, BLOCK_HASHES, TRANSACTION_HASHES, SENDERS,
    LOGS, LOGS_BY_ADDRESS, LOGS_BY_TOPIC, LOGS_BY_ADDRESS_TOPIC,
)  # fmt: skip
"""Everything that is not state."""


@dataclass
class Source:
    chain: Chain
    saved: SavedSnapshot

    @property
    def ledger(self) -> Ledger:
        return self.chain.ledger

    @property
    def base(self) -> int:
        return self.saved.manifest.height


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    chain, saved = make_history(tmp_path_factory.mktemp("history"))
    yield Source(chain, saved)
    chain.close()


@pytest.fixture
def ledger(source: Source, tmp_path: Path) -> Iterator[Ledger]:
    with begin_at(source.saved, source.ledger, tmp_path / "node") as ledger:
        yield ledger


def rows(ledger: Ledger) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    with ledger.snapshot() as snapshot:
        for table in TABLES:
            cursor = snapshot.reads.key_cursor(table.prefix)
            suffix = cursor.seek(b"")
            while suffix is not None:
                found[table.prefix + suffix] = snapshot.reads.get_raw(table.prefix + suffix) or b""
                suffix = cursor.next()
            cursor.close()
    return found


def without_output(row: bytes) -> StoredReceipt:
    return replace(decode_receipt(row), output=None)


@pytest.mark.parametrize("count", [1, 4, 100])
def test_every_row_becomes_that_of_a_node_which_has_all(source: Source, ledger: Ledger, count: int) -> None:
    fill_in(ledger, source.ledger, count)
    whole, filled = rows(source.ledger), rows(ledger)
    assert filled.keys() == whole.keys()
    for key, row in whole.items():
        height = int.from_bytes(key[1:9], "big")
        if key[:1] == RECEIPTS.prefix and height <= source.base:
            assert decode_receipt(filled[key]) == without_output(row)
        else:
            assert filled[key] == row, key
    with ledger.snapshot() as snapshot:
        assert (snapshot.first_block, snapshot.base) == (0, source.base)


def test_the_history_has_something_of_everything(source: Source) -> None:
    with source.ledger.snapshot() as snapshot:
        receipts = [one for height in range(1, source.base + 1) for one in snapshot.receipts(height)]
        assert any(one.contract_address for one in receipts)
        assert any(one.output for one in receipts)
        assert any(not one.encoded for one in receipts)
        assert any(not one.sender for one in receipts)
        assert len({snapshot.validators(height) for height in range(1, source.base + 3)}) == 3
        assert {snapshot.context(height).gas_limit for height in range(1, source.base)} == {
            40_000_000,
            50_000_000,
        }


def test_a_directory_is_checked_at_every_stage(source: Source, tmp_path: Path) -> None:
    node = tmp_path / "node"
    with begin_at(source.saved, source.ledger, node) as ledger:
        pass
    for batches in (1, 2, 100):
        with Ledger.open(node / "ledger") as ledger:
            fill_in(ledger, source.ledger, 5, batches)
            with ledger.snapshot() as snapshot:
                first = snapshot.first_block
        report = check_ledger(node / "ledger", headers_come_later=False)
        assert report.ok, report.findings
        assert len(report.unverified) == (2 if first else 0)
    assert first == 0
    for snapshot_file in (node / "snapshots").rglob("*.chunk"):
        snapshot_file.unlink()
    report = check_ledger(node / "ledger", headers_come_later=False)
    assert (report.findings, report.unverified) == ([], []), "it makes the snapshot again"


def test_damage_to_what_was_filled_in_is_found(source: Source, tmp_path: Path) -> None:
    node = tmp_path / "node"
    with begin_at(source.saved, source.ledger, node) as ledger:
        fill_in(ledger, source.ledger, 7, 2)
    filled = {}
    with Ledger.open(node / "ledger") as ledger:
        filled = rows(ledger)
    chance = random.Random(5)
    below = [
        key
        for key in filled
        if key[:1] in b"bhktrlAu" and any(part <= source.base for part in [_height(key)])
    ]
    for key in chance.sample(below, 25):
        row = filled[key]
        with Database.open(node / "ledger") as database:
            database._raw.put(key, _changed(row, chance) if row else b"\x01", sync=True)
        report = check_ledger(node / "ledger", headers_come_later=False)
        assert not report.ok, key
        with Database.open(node / "ledger") as database:
            database._raw.put(key, row, sync=True)
    assert check_ledger(node / "ledger", headers_come_later=False).ok


def _height(key: bytes) -> int:
    match key[:1]:
        case b"A" | b"u":
            return int.from_bytes(key[21:29], "big")
        case _:
            return int.from_bytes(key[1:9], "big")


def _changed(row: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(row))
    return row[:at] + bytes([row[at] ^ 1 << chance.randrange(8)]) + row[at + 1 :]


# ---- refused


def test_each_changed_byte_is_refused_and_nothing_is_written(source: Source, ledger: Ledger) -> None:
    chance = random.Random(3)
    refusals: set[str] = set()
    tried = 0
    before = rows(ledger)
    for block in served(source.ledger, source.base, 30):
        for changed in _changes(block, chance):
            with pytest.raises(HistoryRefused) as error:
                ledger.fill_in([changed])
            refusals.add(error.value.code)
            tried += 1
        ledger.fill_in([block])
        if tried > 100:
            break
    assert tried > 100
    assert refusals >= {"history.header", "history.commit", "history.transactions", "history.receipts"}
    whole = rows(source.ledger)
    for key, row in rows(ledger).items():
        if key not in before and key[:1] not in (RECEIPTS.prefix, VALIDATORS.prefix):
            assert whole[key] == row, "nothing of a refused block came in"


def _changes(block: PastBlock, chance: random.Random) -> Iterator[PastBlock]:
    for _ in range(12):
        yield replace(block, header=_changed(block.header, chance))
        yield replace(block, commit=_changed(block.commit, chance))
    for index, raw in enumerate(block.transactions):
        for _ in range(6):
            yield replace(block, transactions=_with(block.transactions, index, _changed(raw, chance)))
            if block.receipts[index]:
                changed = _changed(block.receipts[index], chance)
                yield replace(block, receipts=_with(block.receipts, index, changed))
        yield replace(block, transactions=block.transactions[:index] + block.transactions[index + 1 :])
        yield replace(block, receipts=_with(block.receipts, index, b""))
    yield replace(block, transactions=(*block.transactions, b"\x01"), receipts=(*block.receipts, b""))
    if block.signers is not None:
        (one,) = block.signers
        yield replace(block, signers=None)
        yield replace(block, signers=(replace(one, power=one.power + 1),))
        yield replace(block, signers=(replace(one, public_key=_changed(one.public_key, chance)),))
        yield replace(block, signers=(one, one))


def _with(items: tuple[bytes, ...], index: int, item: bytes) -> tuple[bytes, ...]:
    return (*items[:index], item, *items[index + 1 :])


def test_every_byte_of_one_block_counts(source: Source, ledger: Ledger) -> None:
    """Not a sample: each byte of a block with a transaction and a validator set of its own."""
    height = next(
        height
        for height in range(source.base, 0, -1)
        if (block := served(source.ledger, height, 1)[0]).transactions and block.signers is not None
    )
    fill_in_down_to(ledger, source, height + 1)
    (block,) = served(source.ledger, height, 1)
    for name in ("header", "commit"):
        value = getattr(block, name)
        for at in range(len(value)):
            changed = value[:at] + bytes([value[at] ^ 0x41]) + value[at + 1 :]
            with pytest.raises(HistoryRefused):
                ledger.fill_in([replace(block, **{name: changed})])
    raw, receipt = block.transactions[0], block.receipts[0]
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :]
        with pytest.raises(HistoryRefused):
            ledger.fill_in([replace(block, transactions=_with(block.transactions, 0, changed))])
    for at in range(len(receipt)):
        changed = receipt[:at] + bytes([receipt[at] ^ 0x41]) + receipt[at + 1 :]
        with pytest.raises(HistoryRefused):
            ledger.fill_in([replace(block, receipts=_with(block.receipts, 0, changed))])
    ledger.fill_in([block])


def fill_in_down_to(ledger: Ledger, source: Source, height: int) -> None:
    with ledger.snapshot() as snapshot:
        first = snapshot.first_block
    if first > height:
        ledger.fill_in(served(source.ledger, first - 1, first - height))


def test_a_good_block_behind_a_bad_one_is_not_written_either(source: Source, ledger: Ledger) -> None:
    good, bad, *_ = served(source.ledger, source.base, 3)
    with pytest.raises(HistoryRefused):
        ledger.fill_in([good, replace(bad, commit=good.commit)])
    with ledger.snapshot() as snapshot:
        assert snapshot.first_block == source.base + 1
    with pytest.raises(HistoryRefused, match=r"history\.header"):
        ledger.fill_in([bad])


def test_before_the_first_header_nothing_can_be_verified(source: Source, tmp_path: Path) -> None:
    from tests.property.ledger_snapshots.states import restore

    with Ledger.open(restore(source.saved, source.ledger.genesis, tmp_path / "node")) as ledger:
        with pytest.raises(LedgerError, match=r"ledger\.header_missing"):
            ledger.fill_in(served(source.ledger, source.base, 1))
        follow(ledger, source.ledger)
        fill_in(ledger, source.ledger, 100)
        with pytest.raises(LedgerError, match=r"ledger\.nothing_missing"):
            ledger.fill_in(served(source.ledger, source.base, 1))


# ---- served


def test_an_answer_is_bounded_in_blocks_and_bytes(source: Source) -> None:
    assert [len(served(source.ledger, source.base, count)) for count in (1, 5, 1_000)] == [1, 5, source.base]
    assert len(served(source.ledger, source.base, 1_000, most_bytes=1)) == 1
    sizes = [block.size for block in served(source.ledger, source.base, 4)]
    assert len(served(source.ledger, source.base, 1_000, most_bytes=sum(sizes[:3]))) == 3
    for height in (0, source.ledger.tip.height + 1):
        with pytest.raises(LedgerError, match=r"ledger\.unknown_height"):
            served(source.ledger, height, 1)


def test_a_node_that_has_not_all_serves_what_it_has(source: Source, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"ledger\.history_unavailable"):
        served(ledger, source.base, 1)
    ledger.fill_in(served(source.ledger, source.base, 3))
    assert served(ledger, source.base, 100) == served(source.ledger, source.base, 3)


# ---- repaired


def test_filled_in_to_the_first_block_a_ledger_can_be_repaired(source: Source, tmp_path: Path) -> None:
    node = tmp_path / "node"
    with begin_at(source.saved, source.ledger, node) as ledger:
        fill_in(ledger, source.ledger, 50)
    path = node / "ledger"
    sound = repair_ledger(path, source.ledger.genesis, lambda _: True, stamp="20300102-030405")
    assert (sound.needed, sound.damage) == (False, []), "what filling leaves otherwise is no damage"
    with Database.open(path) as database:
        batch = Batch()
        batch.delete(RECEIPTS, (3, 0))
        database.write(batch)
    assert not check_ledger(path, headers_come_later=False).ok
    repair = repair_ledger(path, source.ledger.genesis, lambda _: True, stamp="20300102-030406")
    assert repair.needed
    assert [(one.table, one.rows) for one in repair.damage] == [("receipts", 1)]
    report = check_ledger(path, headers_come_later=False)
    assert (report.findings, report.unverified, report.base) == ([], [], 0)


def test_filled_in_halfway_it_cannot(source: Source, tmp_path: Path) -> None:
    with begin_at(source.saved, source.ledger, tmp_path / "node") as ledger:
        fill_in(ledger, source.ledger, 5, 1)
    with pytest.raises(LedgerError, match=r"repair\.begins_at_snapshot"):
        repair_ledger(ledger.path, source.ledger.genesis, lambda _: True, stamp="20300102-030405")
