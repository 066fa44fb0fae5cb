"""A ledger that gives up old states, beside one that keeps them all: same blocks, same answers where both
hold the state, a clear refusal where one does not, and a directory that `check_ledger` finds whole.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.proof import verify_account_proof, verify_storage_proof
from node.ledger import DecidedBlock, Ledger, LedgerSnapshot
from node.ledger.check import check_ledger
from node.ledger.retention import ARCHIVE, Retention
from node.state import overlay, pruning
from node.state.database import Database
from node.state.tables import NODES
from tests.helpers.ledger import OTHER_TOKEN, TOKEN, Chain, mint, transfer

ROOT = Path(__file__).parents[3]
SMALL = (ARCHIVE, Retention(2), Retention(6), Retention(2, every=5, keep=2), Retention(4, every=3, keep=3))
"""Smaller than `Retention.parse` allows, so that short chains see everything."""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "JOURNAL_PART", 8)
    monkeypatch.setattr(pruning, "STEP_KEYS", 12)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """30 blocks of mints and transfers between few owners, so that balances come back."""
    chain = Chain.create(tmp_path_factory.mktemp("archive") / "ledger")
    chance = random.Random(5)
    for _ in range(30):
        calls = [
            chance.choice([mint, transfer])(bytes([chance.randint(1, 9)]) * 20, chance.randint(0, 1), TOKEN)
            for _ in range(chance.choice([0, 1, 3]))
        ]
        chain.add_block([chain.sign(chain.clerk, calls)] if calls else [])
    yield chain
    chain.close()


class Follower:
    """A ledger that is given the archive's blocks."""

    def __init__(self, path: Path, archive: Chain) -> None:
        self.path, self.archive = path, archive
        Ledger.create(path, archive.ledger.genesis).close()
        self.ledger = Ledger.open(path)

    def reopen(self, retention: Retention) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, retention=retention)

    def follow(self) -> bool:
        """Take the next block; False when there is none."""
        height = self.ledger.tip.height + 1
        with self.archive.ledger.snapshot() as snapshot:
            record = snapshot.block(height)
            transactions = snapshot.transactions(height)
        if record is None:
            return False
        block = DecidedBlock(height, record.time_ns, record.hash, record.proposer_address, transactions)
        self.ledger.commit(self.ledger.finalize(block))
        return True

    def prune(self) -> None:
        while self.ledger.prune():
            pass


def everything(snapshot: LedgerSnapshot, height: int) -> list[object]:
    """What a state says of every account and slot that the chain touches, with proofs."""
    state = snapshot.state(height)
    addresses = [TOKEN, OTHER_TOKEN, *(bytes([number]) * 20 for number in range(1, 10))]
    slots = [_balance_slot(address) for address in addresses]
    return [
        *(state.account(address) for address in addresses),
        *(state.storage(TOKEN, slot) for slot in slots),
        snapshot.account_proof(TOKEN, slots, height),
    ]


def assert_proofs_verify(snapshot: LedgerSnapshot, height: int) -> None:
    record, state = snapshot.block(height), snapshot.state(height)
    slot = _balance_slot(bytes([1]) * 20)
    account_nodes, (slot_nodes,) = snapshot.account_proof(TOKEN, (slot,), height)
    assert record is not None
    account = verify_account_proof(record.state_root, TOKEN, account_nodes)
    assert account is not None
    assert verify_storage_proof(account.storage_root, slot, slot_nodes) == state.storage(TOKEN, slot)


def _balance_slot(owner: bytes) -> int:
    return int.from_bytes(keccak256(bytes(12) + owner + bytes(32)), "big")


def assert_answers_as(follower: Follower, archive: Chain) -> None:
    with follower.ledger.snapshot() as ours, archive.ledger.snapshot() as theirs:
        held = ours.history
        for height in range(ours.tip.height + 1):
            if held.holds(height):
                assert everything(ours, height) == everything(theirs, height)
                assert_proofs_verify(ours, height)
                continue
            for read in (ours.state, lambda height: ours.account_proof(TOKEN, (1,), height)):
                with pytest.raises(LedgerError) as refused:
                    read(height)
                assert (refused.value.code, refused.value.got) == ("state.pruned", height)
                assert f"{held.oldest} to {ours.tip.height}" in str(refused.value.expected)


@pytest.mark.parametrize("retention", SMALL, ids=str)
def test_what_is_held_answers_as_an_archive_and_the_rest_is_refused(
    tmp_path: Path, archive: Chain, retention: Retention
) -> None:
    follower = Follower(tmp_path / "ledger", archive)
    follower.reopen(retention)
    while follower.follow():
        follower.prune()
    tip = follower.ledger.tip.height
    history = follower.ledger.history
    assert {height for height in range(tip + 1) if history.holds(height)} == {
        height for height in range(tip + 1) if retention.keeps(height, tip)
    }
    follower.reopen(retention)
    assert_answers_as(follower, archive)
    follower.ledger.close()
    report = check_ledger(tmp_path / "ledger")
    assert report.ok, report.findings
    assert report.garbage == 0 or retention.every


@pytest.mark.parametrize("seed", range(3))
def test_the_way_to_keep_history_may_change_at_any_start(tmp_path: Path, archive: Chain, seed: int) -> None:
    chance = random.Random(seed)
    follower = Follower(tmp_path / "ledger", archive)
    oldest = 0
    going_on = True
    while going_on:
        follower.reopen(chance.choice(SMALL))
        for _ in range(chance.randint(1, 6)):
            going_on = follower.follow() and going_on
            for _ in range(chance.randint(0, 4)):
                follower.ledger.prune()
        assert follower.ledger.history.oldest >= oldest, "a state that is gone does not come back"
        oldest = follower.ledger.history.oldest
    follower.reopen(ARCHIVE)
    assert_answers_as(follower, archive)
    follower.ledger.close()
    report = check_ledger(tmp_path / "ledger")
    assert report.ok, report.findings


def test_a_pinned_snapshot_reads_on_while_its_state_is_given_up(tmp_path: Path, archive: Chain) -> None:
    follower = Follower(tmp_path / "ledger", archive)
    follower.reopen(Retention(2))
    for _ in range(10):
        follower.follow()
    with follower.ledger.snapshot() as pinned, archive.ledger.snapshot() as theirs:
        while follower.follow():
            follower.prune()
        assert follower.ledger.history.oldest == follower.ledger.tip.height - 1
        for height in range(11):
            assert everything(pinned, height) == everything(theirs, height)
    follower.ledger.close()


def test_pruning_in_its_own_thread_beside_the_blocks(tmp_path: Path, archive: Chain) -> None:
    follower = Follower(tmp_path / "ledger", archive)
    follower.reopen(Retention(2, every=5, keep=2))
    done = threading.Event()
    steps: list[bool] = []

    def prune() -> None:
        while not done.is_set():
            steps.append(follower.ledger.prune())

    pruner = threading.Thread(target=prune)
    pruner.start()
    while follower.follow():
        pass
    done.set()
    pruner.join()
    assert any(steps)
    follower.prune()
    follower.reopen(ARCHIVE)
    assert_answers_as(follower, archive)
    follower.ledger.close()
    report = check_ledger(tmp_path / "ledger")
    assert report.ok, report.findings


def test_the_check_misses_a_node_that_is_needed_and_counts_one_that_is_not(
    tmp_path: Path, archive: Chain
) -> None:
    follower = Follower(tmp_path / "ledger", archive)
    follower.reopen(Retention(3))
    while follower.follow():
        pass
    with follower.ledger._database.snapshot() as reads:
        before = dict(reads.scan(NODES))
    follower.prune()
    follower.ledger.close()
    with Database.open(follower.path) as database:
        with database.snapshot() as reads:
            after = dict(reads.scan(NODES))
        gone = min(before.keys() - after.keys())
        database._raw.put(NODES.key(gone), before[gone])
    report = check_ledger(follower.path)
    assert (report.ok, report.garbage) == (True, 1)
    with Database.open(follower.path) as database:
        database._raw.delete(NODES.key(min(after)))
        database._raw.put(NODES.key(gone), before[gone] + b"!")
    assert {finding.code for finding in check_ledger(follower.path).findings} >= {
        "check.row_missing",
        "check.stray_row",
    }


VICTIM = """
import os, signal, sys
from pathlib import Path
from node.ledger.retention import Retention
from node.ledger import Ledger
from node.state import overlay, pruning
from tests.helpers.ledger import Chain, mint

overlay.JOURNAL_PART, pruning.STEP_KEYS = 8, 12
path, step, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
pruned = 0

def on_step(name):
    if name == step and pruned == after:
        os.kill(os.getpid(), signal.SIGKILL)

Chain.create(path).close()
chain = Chain(Ledger.open(path, retention=Retention(2, every=3, keep=2), on_step=on_step))
for number in range(99):
    chain.add_block([chain.sign(chain.clerk, [mint(bytes([number % 5]) * 20, 1)])])
    more = True
    while more:
        pruned += 1
        more = chain.ledger.prune()
        pruned = pruned if more else pruned - 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["write.begin", "write.done"])
@pytest.mark.parametrize("after", [1, 7, 21])
def test_kill_at_a_step_of_pruning(tmp_path: Path, step: str, after: int) -> None:
    path = tmp_path / "ledger"
    done = subprocess.run([sys.executable, "-c", VICTIM, str(path), step, str(after)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    report = check_ledger(path)
    assert report.ok, report.findings
    chain = Chain(Ledger.open(path, retention=Retention(2)))
    for _ in range(3):
        chain.add_block([chain.sign(chain.clerk, [mint(bytes([1]) * 20, 1)])])
    while chain.ledger.prune():
        pass
    chain.close()
    report = check_ledger(path)
    assert (report.findings, report.garbage) == ([], 0)
