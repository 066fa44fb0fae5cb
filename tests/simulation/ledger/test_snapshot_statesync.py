"""State sync as CometBFT drives it: two nodes between which snapshots go, chunk by chunk, through the calls
that the ABCI application makes.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.commit import decode_commit
from node.chain.encoding import sha256
from node.chain.errors import LedgerError, ShelianError
from node.chain.header import decode_header
from node.ledger import DecidedBlock, Ledger, chunks
from node.ledger.check import check_ledger
from node.ledger.chunks import seal_chunk
from node.ledger.manifest import encode_manifest, manifest_hash
from node.ledger.repair import repair_ledger
from node.ledger.restore import finish_restore
from node.ledger.retention import Retention
from node.ledger.shelf import SavedSnapshot, Shelf
from node.ledger.statesync import (
    FORMAT,
    MOST_LISTED,
    Listed,
    Offered,
    Receiving,
    Result,
    list_snapshots,
    load_chunk,
)
from node.state.database import Batch, Database
from node.state.history import History, add_history
from node.state.pruning import Cursor, Keeping, Step, plan_step
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import RECEIPTS
from tests.helpers.ledger import Chain, mint
from tests.property.ledger_snapshots.states import add_anything, files, restore, take


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2_000)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain.create(tmp_path / "serving" / "ledger")
    add_anything(chain, random.Random(4), storage=3)
    yield chain
    chain.close()


def grow(chain: Chain, blocks: int) -> None:
    for _ in range(blocks):
        chain.add_block([chain.sign(chain.clerk, [mint(b"\x05" * 20, 1)])])


def follow(ledger: Ledger, serving: Chain) -> None:
    """Commit what the serving chain decided since; headers and commits come with the blocks."""
    with serving.ledger.snapshot() as snapshot:
        for height in range(ledger.tip.height + 1, serving.ledger.tip.height + 1):
            record, header = snapshot.block(height), snapshot.header(height)
            last, seen = snapshot.commit(height - 1), snapshot.commit(height)
            assert record is not None
            assert header is not None
            assert last is not None
            assert seen is not None
            block = DecidedBlock(
                height, record.time_ns, record.hash, record.proposer_address, snapshot.transactions(height)
            )
            ledger.commit(
                ledger.finalize(block), decode_header(header), decode_commit(seen), decode_commit(last)
            )


def shelf_of(chain: Chain) -> Shelf:
    return Shelf(chain.path.parent / "snapshots")


class Joining:
    """A node with nothing but the genesis, and what its CometBFT asks of it."""

    def __init__(self, directory: Path, serving: Chain) -> None:
        self.ledger = Ledger.create(directory / "ledger", serving.ledger.genesis)
        self.refusals: list[ShelianError] = []
        self.receiving = Receiving(self.ledger.path, self.ledger.genesis, self.refusals.append)
        self.shelf = Shelf(directory / "snapshots")
        self.serving = shelf_of(serving)

    def offer(self, listed: Listed, app_hash: bytes) -> Offered:
        return self.receiving.offer(
            listed.height, listed.format, listed.chunks, listed.hash, listed.metadata, app_hash
        )

    def fetch(self, listed: Listed, index: int) -> bytes:
        chunk = load_chunk(self.serving, listed.height, listed.format, index)
        assert chunk is not None
        return chunk

    def put_in_place(self) -> None:
        restored = self.receiving.restored
        assert restored is not None
        self.ledger.replace(lambda path: restored.put_in_place(path, self.shelf.directory))


def test_a_node_joins_by_a_snapshot_and_goes_on_with_the_blocks(tmp_path: Path, serving: Chain) -> None:
    grow(serving, 2)
    saved = take(serving, shelf_of(serving).directory)
    app_hash = serving.ledger.tip.app_hash
    grow(serving, 2)
    (listed,) = list_snapshots(shelf_of(serving), serving.ledger.tip.height)
    assert (listed.height, listed.format, listed.hash) == (saved.manifest.height, FORMAT, saved.hash)
    joining = Joining(tmp_path / "joining", serving)
    assert joining.offer(listed, app_hash) is Offered.ACCEPT
    for index in range(listed.chunks):
        applied = joining.receiving.apply(index, joining.fetch(listed, index), "peer")
        assert (applied.result, applied.refetch, applied.reject_senders) == (Result.ACCEPT, (), ())
    joining.put_in_place()
    tip = joining.ledger.tip
    assert (tip.height, tip.app_hash) == (listed.height, app_hash)
    follow(joining.ledger, serving)
    assert joining.ledger.tip == serving.ledger.tip
    assert sorted(entry.name for entry in (tmp_path / "joining").iterdir()) == ["ledger", "snapshots"]
    # The joined node serves at once what it was given.
    (passed_on,) = list_snapshots(joining.shelf, joining.ledger.tip.height)
    assert passed_on == listed
    assert load_chunk(joining.shelf, listed.height, FORMAT, 2) == joining.fetch(listed, 2)
    joining.ledger.close()
    report = check_ledger(joining.ledger.path)
    assert (report.findings, report.headers, report.headers_to_come) == ([], 2, 0)
    # Of the commits those for the last block before, which the next one carries, and for both blocks.
    assert report.commits == 3
    assert len(report.unverified) == 1


def test_a_snapshot_is_listed_when_two_headers_follow_it(tmp_path: Path, serving: Chain) -> None:
    grow(serving, 1)
    height = take(serving, shelf_of(serving).directory).manifest.height
    assert list_snapshots(shelf_of(serving), height + 1) == ()
    assert [one.height for one in list_snapshots(shelf_of(serving), height + 2)] == [height]


def test_the_newest_ten_are_listed_and_old_ones_removed(
    serving: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1 << 20)
    shelf = shelf_of(serving)
    assert list_snapshots(shelf, 99) == ()
    for _ in range(12):
        grow(serving, 1)
        take(serving, shelf.directory)
    newest = serving.ledger.tip.height
    assert [one.height for one in list_snapshots(shelf, newest + 2)] == list(
        range(newest, newest - MOST_LISTED, -1)
    )
    gone = shelf.keep(2, besides={newest - 5})
    assert shelf.heights() == (newest, newest - 1, newest - 5)
    assert len(gone) == 9
    assert load_chunk(shelf, newest - 4, FORMAT, 0) is None


def test_chunks_that_are_not_there_are_none(serving: Chain) -> None:
    grow(serving, 1)
    saved = take(serving, shelf_of(serving).directory)
    height, count = saved.manifest.height, len(saved.manifest.chunks)
    shelf = shelf_of(serving)
    for asked in (
        (height, FORMAT, count),
        (height, 2, 0),
        (height + 1, FORMAT, 0),
        (0, FORMAT, 0),
        (height, 1, -1),
    ):
        assert load_chunk(shelf, *asked) is None
    assert load_chunk(shelf, height, FORMAT, 0) == saved.load_stored(0)


def test_offers_that_are_not_it_are_refused_with_the_reason(tmp_path: Path, serving: Chain) -> None:
    grow(serving, 1)
    saved = take(serving, shelf_of(serving).directory)
    app_hash = serving.ledger.tip.app_hash
    (listed,) = list_snapshots(shelf_of(serving), 99)
    joining = Joining(tmp_path / "joining", serving)
    later = encode_manifest(saved.manifest).replace(b"snapshot/1", b"snapshot/2")
    no_format, sender, no = Offered.REJECT_FORMAT, Offered.REJECT_SENDER, Offered.REJECT
    cases: list[tuple[Listed, bytes, Offered, str | None]] = [
        (replace(listed, format=2), app_hash, no_format, None),
        (replace(listed, hash=bytes(32)), app_hash, sender, "snapshot.hash"),
        (replace(listed, height=listed.height + 1), app_hash, no, "snapshot.manifest"),
        (replace(listed, chunks=listed.chunks + 1), app_hash, no, "snapshot.manifest"),
        (replace(listed, metadata=b"{}", hash=sha256(b"{}")), app_hash, no_format, "snapshot.format"),
        (replace(listed, metadata=later, hash=manifest_hash(later)), app_hash, no_format, "snapshot.format"),
        (replace(listed, metadata=b"\xff", hash=sha256(b"\xff")), app_hash, no, "snapshot.manifest"),
        (listed, bytes(32), no, "snapshot.app_hash"),
    ]
    for offered, trusted, expected, code in cases:
        joining.refusals.clear()
        assert joining.offer(offered, trusted) is expected
        assert [error.code for error in joining.refusals] == ([] if code is None else [code])
        assert joining.receiving.apply(0, b"", "peer").result is Result.ABORT
    joining.ledger.close()


def test_a_wrong_chunk_is_fetched_again_and_not_from_its_sender(tmp_path: Path, serving: Chain) -> None:
    grow(serving, 1)
    take(serving, shelf_of(serving).directory)
    (listed,) = list_snapshots(shelf_of(serving), 99)
    joining = Joining(tmp_path / "joining", serving)
    assert joining.offer(listed, serving.ledger.tip.app_hash) is Offered.ACCEPT
    for index in range(listed.chunks):
        good = joining.fetch(listed, index)
        for bad in (
            b"",
            good[:-1],
            seal_chunk(b"\x03\x00\x00\x00\x00"),
            joining.fetch(listed, (index + 1) % listed.chunks),
        ):
            applied = joining.receiving.apply(index, bad, "liar")
            assert (applied.result, applied.refetch, applied.reject_senders) == (
                Result.RETRY,
                (index,),
                ("liar",),
            )
        assert joining.receiving.apply(index, good, "honest").result is Result.ACCEPT
    joining.put_in_place()
    assert joining.ledger.tip.app_hash == serving.ledger.tip.app_hash
    joining.ledger.close()


def test_a_snapshot_that_is_well_made_and_false_is_rejected_and_another_one_taken(
    tmp_path: Path, serving: Chain
) -> None:
    grow(serving, 1)
    saved = take(serving, shelf_of(serving).directory)
    (listed,) = list_snapshots(shelf_of(serving), 99)
    joining = Joining(tmp_path / "joining", serving)
    raws = list(saved.load_chunks())
    raws[1] = raws[1][:-1] + bytes((raws[1][-1] ^ 1,))
    false = encode_manifest(replace(saved.manifest, chunks=tuple(map(sha256, raws))))
    offered = Listed(listed.height, FORMAT, listed.chunks, manifest_hash(false), false)
    app_hash = serving.ledger.tip.app_hash
    assert joining.offer(offered, app_hash) is Offered.ACCEPT
    results = [joining.receiving.apply(index, seal_chunk(raw), "x").result for index, raw in enumerate(raws)]
    assert results == [Result.ACCEPT] * (len(raws) - 1) + [Result.REJECT_SNAPSHOT]
    assert joining.receiving.restored is None
    assert joining.ledger.tip.height == 0
    assert joining.offer(listed, app_hash) is Offered.ACCEPT
    for index in range(listed.chunks):
        joining.receiving.apply(index, joining.fetch(listed, index), "peer")
    joining.put_in_place()
    assert joining.ledger.tip.app_hash == app_hash
    joining.ledger.close()


def test_a_ledger_with_blocks_is_never_replaced(tmp_path: Path, serving: Chain) -> None:
    grow(serving, 1)
    take(serving, shelf_of(serving).directory)
    (listed,) = list_snapshots(shelf_of(serving), 99)
    joining = Joining(tmp_path / "joining", serving)
    joining.offer(listed, serving.ledger.tip.app_hash)
    for index in range(listed.chunks):
        joining.receiving.apply(index, joining.fetch(listed, index), "peer")
    other = Chain(joining.ledger)
    grow(other, 1)
    with pytest.raises(LedgerError, match=r"ledger\.has_blocks"):
        joining.put_in_place()
    assert other.ledger.tip.height == 1
    grow(other, 1)
    other.close()


@pytest.mark.parametrize("moment", ["before it reads", "before it writes"])
def test_pruning_goes_on_with_the_ledger_that_took_the_place(
    tmp_path: Path, serving: Chain, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    grow(serving, 1)
    take(serving, shelf_of(serving).directory)
    (listed,) = list_snapshots(shelf_of(serving), 99)
    joining = Joining(tmp_path / "joining", serving)
    joining.ledger.retention = Retention(1)
    joining.offer(listed, serving.ledger.tip.app_hash)
    for index in range(listed.chunks):
        joining.receiving.apply(index, joining.fetch(listed, index), "peer")

    def plan(reads: DatabaseSnapshot, keeping: Keeping, cursor: Cursor) -> Step | None:
        monkeypatch.undo()
        step = Step(Batch(), cursor, History(oldest=99), 0)
        add_history(step.batch, step.history)
        joining.put_in_place()
        return plan_step(reads, keeping, cursor) if moment == "before it reads" else step

    monkeypatch.setattr("node.ledger.ledger.plan_step", plan)
    assert joining.ledger.prune(), "there may be more to do"
    assert joining.ledger.history.oldest == listed.height
    assert joining.ledger.headers_end == listed.height + 1
    grow(serving, 3)
    follow(joining.ledger, serving)
    while joining.ledger.prune():
        pass
    tip = joining.ledger.tip.height
    assert (joining.ledger.history.oldest, joining.ledger.headers_end) == (tip, tip + 1)
    joining.ledger.close()
    report = check_ledger(joining.ledger.path)
    assert (report.findings, report.garbage) == ([], 0)


def test_making_goes_on_beside_the_blocks(serving: Chain) -> None:
    """What is made is the state at its height, whatever came meanwhile; blocks do not wait for it."""
    grow(serving, 1)
    shelf = shelf_of(serving)
    alone = files(take(serving, shelf.directory.with_name("alone")))
    begun, go_on = threading.Event(), threading.Event()
    made: list[SavedSnapshot] = []

    def make() -> None:
        def between(index: int) -> None:
            begun.set()
            assert go_on.wait(20)

        with serving.ledger.snapshot() as snapshot:
            made.append(shelf.create(snapshot, serving.ledger.genesis, between))

    maker = threading.Thread(target=make)
    maker.start()
    assert begun.wait(20)
    assert shelf.heights() == (), "nothing is listed before it is whole"
    grow(serving, 3)
    add_anything(serving, random.Random(8))
    go_on.set()
    maker.join()
    assert files(made[0]) == alone
    assert shelf.heights() == (made[0].manifest.height,)


def test_what_was_cut_off_between_the_renames_is_finished_at_the_next_start(
    tmp_path: Path, serving: Chain
) -> None:
    grow(serving, 1)
    path = tmp_path / "node" / "ledger"
    Ledger.create(path, serving.ledger.genesis).close()
    serving.close()
    serving.path.rename(path.with_name("ledger.restored"))
    finish_restore(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger"]
    with Ledger.open(path) as ledger:
        assert ledger.tip.height == 2
    finish_restore(path)


def test_a_ledger_that_began_at_a_snapshot_is_not_repaired_and_not_touched(
    tmp_path: Path, serving: Chain
) -> None:
    grow(serving, 1)
    saved = take(serving, shelf_of(serving).directory)
    path = restore(saved, serving.ledger.genesis, tmp_path / "node")
    other = Chain.open(path)
    grow(other, 2)
    other.close()
    with Database.open(path) as database:
        batch = Batch()
        batch.delete(RECEIPTS, (saved.manifest.height + 1, 0))
        database.write(batch)
    with pytest.raises(LedgerError, match=r"repair\.begins_at_snapshot"):
        repair_ledger(path, serving.ledger.genesis, lambda _: True, stamp="20300102-030405")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["ledger", "snapshots"]
    assert {finding.code for finding in check_ledger(path).findings} == {"check.row_missing"}
