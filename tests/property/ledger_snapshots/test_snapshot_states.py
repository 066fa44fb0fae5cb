"""Any state: made a snapshot, restored, it is the same ledger, and goes on in the same way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.ledger import Ledger, chunks
from node.ledger.check import check_ledger
from node.ledger.restore import require_first_header
from node.ledger.retention import Retention
from node.state import building
from node.state.account import EMPTY_ACCOUNT
from node.state.database import Database
from node.state.overlay import Overlay
from node.state.tables import NODES
from node.state.views import FlatView
from tests.helpers.ledger import Chain, mint, transfer
from tests.property.ledger_snapshots.states import (
    ADDRESSES,
    add_anything,
    add_state,
    everything,
    files,
    restore,
    take,
    tip_nodes,
)


@pytest.fixture(params=[1_500, 1 << 20], ids=lambda size: f"chunks of {size}")
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and sorting in memory are small, so that small states see every border."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", request.param)
    if request.param < 1 << 20:
        monkeypatch.setattr(building, "IN_MEMORY", 10)
        monkeypatch.setattr(building, "_BUFFER", 200)


def blocks(chain: Chain, number: int) -> list[bytes]:
    nonce = chain.nonce(chain.clerk)
    return [
        chain.sign(chain.clerk, [mint(bytes([number]) * 20, 3), transfer(b"\x77" * 20, 1)], nonce=nonce),
        chain.sign(chain.clerk, [transfer(b"\x78" * 20, number)], nonce=nonce + 1),
        chain.sign(chain.judge, [transfer(b"\x77" * 20, 10**9)]),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_ledger_is_the_same_and_goes_on_alike(tmp_path: Path, small: None, seed: int) -> None:
    chance = random.Random(seed)
    chain = Chain.create(tmp_path / "one" / "ledger")
    for _ in range(3):
        add_anything(chain, chance)
    saved = take(chain, tmp_path / "one" / "snapshots")
    path = restore(saved, chain.ledger.genesis, tmp_path / "two", order=chance)
    other = Chain.open(path)
    assert other.ledger.tip == chain.ledger.tip
    for number in range(1, 3):
        raws = blocks(chain, number)
        ours, theirs = chain.add_block(raws), other.add_block(raws)
        assert ours == theirs
        with other.ledger.snapshot() as snapshot:
            require_first_header(snapshot, other.stored_header(saved.manifest.height + 1))
    root = chain.ledger.tip.app_hash
    chain.close()
    other.close()
    assert everything(chain.path, root) == everything(path, root)
    report = check_ledger(path)
    assert (report.findings, report.base, report.garbage) == ([], saved.manifest.height, 0)
    assert report.unverified == [
        f"blocks 1 to {report.base} are not here; the state after them was taken over from a snapshot"
    ]


def test_a_restored_ledger_holds_no_node_but_the_tip_s(tmp_path: Path, small: None) -> None:
    chain = Chain.create(tmp_path / "one" / "ledger")
    add_anything(chain, random.Random(9), storage=40)
    saved = take(chain, tmp_path / "shelf")
    path = restore(saved, chain.ledger.genesis, tmp_path / "two")
    chain.close()
    with Database.open(path) as database, database.snapshot() as reads:
        held = {key for key, _ in reads.scan(NODES)}
        assert held == set(tip_nodes(reads, saved.manifest.app_hash))


@pytest.mark.parametrize("seed", range(2))
def test_every_node_makes_the_same_snapshot(tmp_path: Path, small: None, seed: int) -> None:
    """However it keeps history; whether it began at the genesis or was restored itself."""
    first, made = Chain.create(tmp_path / "first" / "ledger"), []
    chance = random.Random(seed)
    for _ in range(2):
        add_anything(first, chance)
    early = take(first, tmp_path / "first" / "snapshots")
    raws = [blocks(first, 1), [], []]
    for block in raws:
        first.add_block(block)
    made.append(files(take(first, tmp_path / "first" / "snapshots")))
    for number, retention in enumerate((Retention(2), Retention(2, every=2, keep=1))):
        other = Chain(
            Ledger.create(tmp_path / str(number) / "ledger", first.ledger.genesis, retention=retention)
        )
        chance = random.Random(seed)
        for _ in range(2):
            add_anything(other, chance)
        for block in raws:
            other.add_block(block)
            while other.ledger.prune():
                pass
        made.append(files(take(other, tmp_path / str(number) / "snapshots")))
        other.close()
    again = Chain.open(restore(early, first.ledger.genesis, tmp_path / "restored"))
    for block in raws:
        again.add_block(block)
    made.append(files(take(again, tmp_path / "restored" / "snapshots")))
    again.close()
    first.close()
    assert made[0] == made[1] == made[2] == made[3]


def test_the_order_in_which_a_state_is_written_makes_no_difference(tmp_path: Path) -> None:
    made = []
    for seed in range(3):
        chain = Chain.create(tmp_path / str(seed) / "ledger")
        writes = [(address, slot) for address in ADDRESSES for slot in range(5)]
        random.Random(seed).shuffle(writes)

        def change(overlay: Overlay[FlatView], writes: list[tuple[bytes, int]] = writes) -> None:
            for address, slot in writes:
                overlay.set_account(address, EMPTY_ACCOUNT._replace(code_hash=overlay.add_code(address[:1])))
                overlay.set_storage(address, slot, slot + address[0])

        add_state(chain, change)
        made.append(files(take(chain, tmp_path / str(seed) / "snapshots")))
        chain.close()
    assert made[0] == made[1] == made[2]


def test_a_restored_ledger_prunes_as_any_other(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path / "one" / "ledger")
    add_anything(chain, random.Random(3))
    saved = take(chain, tmp_path / "shelf")
    path = restore(saved, chain.ledger.genesis, tmp_path / "two")
    chain.close()
    other = Chain(Ledger.open(path, retention=Retention(2)))
    for number in range(1, 7):
        other.add_block(blocks(other, number))
        while other.ledger.prune():
            pass
    assert other.ledger.history.oldest == other.ledger.tip.height - 1 > saved.manifest.height
    other.close()
    report = check_ledger(path)
    assert (report.findings, report.garbage) == ([], 0)
