"""Snapshots made beside the blocks, by the thread that a node runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from network.snapshots import SnapshotMaking
from node.ledger import chunks
from node.ledger.shelf import Shelf
from tests.helpers.ledger import Chain, mint
from tests.property.ledger_snapshots.states import add_anything, files, restore, take


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain.create(tmp_path / "node" / "ledger")
    yield chain
    chain.close()


def grow(chain: Chain, to: int) -> None:
    while chain.ledger.tip.height < to:
        chain.add_block([chain.sign(chain.clerk, [mint(b"\x05" * 20, 1)])])


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.01)


def test_one_is_made_every_so_many_blocks_and_the_newest_are_kept(chain: Chain, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "node" / "snapshots")
    making = SnapshotMaking(chain.ledger, shelf.directory, every=3, keep=2)
    making.start()
    for height in (3, 6, 9):
        grow(chain, height)
        wait_until(lambda height=height: height in shelf.heights())
    wait_until(lambda: shelf.heights() == (9, 6))
    grow(chain, 11)
    making.stop()
    assert shelf.heights() == (9, 6)
    saved = shelf.find(9)
    assert saved is not None
    other = Chain.open(restore(saved, chain.ledger.genesis, tmp_path / "other"))
    assert other.ledger.tip.height == 9
    other.close()


def test_the_snapshot_that_a_ledger_began_with_stays(chain: Chain, tmp_path: Path) -> None:
    grow(chain, 2)
    saved = take(chain, tmp_path / "given")
    other = Chain.open(restore(saved, chain.ledger.genesis, tmp_path / "other"))
    shelf = Shelf(tmp_path / "other" / "snapshots")
    making = SnapshotMaking(other.ledger, shelf.directory, every=2, keep=1)
    making.start()
    for height in (4, 6):
        grow(other, height)
        wait_until(lambda height=height: shelf.heights() == (height, 2))
    making.stop()
    other.close()


def test_stopping_ends_one_that_is_being_made_and_leaves_nothing(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 300)
    monkeypatch.setattr("network.snapshots._REST", 1e6)
    add_anything(chain, random.Random(1))
    shelf = Shelf(tmp_path / "node" / "snapshots")
    (shelf.directory / "7.making").mkdir(parents=True)
    making = SnapshotMaking(chain.ledger, shelf.directory, every=1)
    making.start()
    grow(chain, 2)
    wait_until(lambda: (shelf.directory / "2.making").exists())
    making.stop()
    assert list(shelf.directory.iterdir()) == []


def test_a_snapshot_that_cannot_be_made_is_told_and_the_next_one_is_made(
    chain: Chain, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "node" / "snapshots")
    shelf.directory.write_text("a file in the way")
    making = SnapshotMaking(chain.ledger, shelf.directory, every=1)
    with capture_logs() as told:
        making.start()
        grow(chain, 1)
        wait_until(lambda: any(line["event"] == "no snapshot was made" for line in told))
    shelf.directory.unlink()
    grow(chain, 2)
    wait_until(lambda: shelf.heights() == (2,))
    making.stop()
    assert files(take(chain, tmp_path / "again")) == files(take(chain, shelf.directory))
