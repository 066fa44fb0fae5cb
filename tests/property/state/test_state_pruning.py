"""Pruning against a naive reference: which nodes the tries of the held heights are made of, found by walking.

Chains of random blocks over few accounts, slots and values, so that accounts are deleted and come back and
trie nodes leave and return. Between any two blocks, and between reading a step and writing it, pruning may
run or not, the way to keep history may change, the power may be cut.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger.retention import ARCHIVE, Retention
from node.state import overlay, pruning, trie
from node.state.account import EMPTY_ACCOUNT, account_key, decode_account
from node.state.blocks import Tip, add_tip
from node.state.database import Batch, Database
from node.state.history import History, load_history
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.pruning import Cursor, Keeping, Recorded, Step, plan_step
from node.state.tables import HELD, NODES, STALE
from node.state.views import FlatView

ADDRESSES = [bytes([number]) * 20 for number in range(6)]
SLOTS = 12
RETENTIONS = (
    ARCHIVE,
    Retention(1),
    Retention(2),
    Retention(5),
    Retention(2, every=3, keep=2),
    Retention(1, every=4, keep=1),
    Retention(3, every=2, keep=4),
)
"""With smaller numbers than `parse` allows, so that short chains see everything."""


class Simulated:
    """A database with a chain of random states, and everything its nodes ever were.

    The writes that nobody synced since the last block are remembered, so that a power cut can lose them.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.ever: dict[bytes, bytes] = {}
        self.roots: list[bytes] = []
        self.height = -1
        self.generation = 0
        self.writes: list[tuple[dict[bytes, bytes | None], bool]] = []
        self.cursor = Cursor()
        self.given_up: set[int] = set()
        self.database = Database.create(directory / "0")

    def write(self, batch: Batch, sync: bool) -> None:
        self.writes.append((dict(batch.rows), sync))
        self.database.write(batch, sync=False)

    def add_block(self, size: int = 3) -> set[bytes]:
        """The keys of the nodes it wrote."""
        with self.database.snapshot() as reads:
            changes = Overlay(FlatView(reads, self.roots[-1] if self.roots else EMPTY_ROOT))
            for address in self.chance.sample(ADDRESSES, size):
                self.touch(changes, address)
            change = changes.seal()
        self.height += 1
        self.roots.append(change.state_root)
        self.ever |= change.nodes
        batch = Batch()
        add_state_change(batch, self.height, change)
        add_tip(batch, Tip(self.height, b"", 0, change.state_root, b"", b"", (), ()))
        self.write(batch, sync=True)
        return set(change.nodes)

    def touch(self, changes: Overlay[FlatView], address: bytes) -> None:
        kind = self.chance.random()
        if kind < 0.2:
            changes.delete_account(address)
            if kind < 0.1:
                return
        elif kind < 0.25:
            changes.wipe_storage(address)
        account = changes.account(address) or EMPTY_ACCOUNT
        changes.set_account(address, account._replace(balance=self.chance.randint(0, 1)))
        for slot in self.chance.sample(range(SLOTS), self.chance.choice([0, 1, 6])):
            changes.set_storage(address, slot, self.chance.choice([0, 1, 2**200]))

    def plan(self, keeping: Keeping) -> Step | None:
        heights = range(self.height + 1)
        self.given_up |= {height for height in heights if not keeping.keeps(height, self.height)}
        with self.database.snapshot() as reads:
            return plan_step(reads, keeping, self.cursor)

    def do(self, step: Step) -> None:
        self.write(step.batch, sync=False)
        self.cursor = step.cursor

    def prune(self, keeping: Keeping) -> None:
        """Until there is nothing to do."""
        for _ in range(2_000):
            step = self.plan(keeping)
            if step is None:
                return
            self.do(step)
        pytest.fail("pruning does not end")

    def prune_some(self, keeping: Keeping, steps: int) -> None:
        for _ in range(steps):
            step = self.plan(keeping)
            if step is not None:
                self.do(step)

    def prune_beside_a_block(self, keeping: Keeping) -> None:
        """A block is written between a step's reads and its write."""
        step = self.plan(keeping)
        written = self.add_block()
        if step is not None:
            step.spare(written)
            self.do(step)

    def history(self) -> History:
        with self.database.snapshot() as reads:
            return load_history(reads)

    def node_keys(self) -> set[bytes]:
        with self.database.snapshot() as reads:
            return {key for key, _ in reads.scan(NODES)}

    def restart(self) -> None:
        """Cursors are only in memory."""
        self.cursor = Cursor()

    def cut_power(self) -> None:
        """Lose some writes that were not synced: the last ones, or those before a block that began a new log
        of LevelDB's.
        """
        runs: list[list[int]] = [[]]
        for index, (_, sync) in enumerate(self.writes):
            if sync:
                runs.append([])
            else:
                runs[-1].append(index)
        lost: set[int] = set()
        for run in [*self.chance.sample(runs, min(len(runs), 3)), runs[-1]]:
            lost |= set(run[self.chance.randint(0, len(run)) :])
        self.lose(lost)

    def lose(self, lost: Collection[int]) -> None:
        """Start again without these writes."""
        self.writes = [write for index, write in enumerate(self.writes) if index not in lost]
        self.database.close()
        self.generation += 1
        self.database = Database.create(self.directory / str(self.generation))
        for rows, _ in self.writes:
            batch = Batch()
            batch.rows = dict(rows)
            self.database.write(batch, sync=False)
        self.restart()

    # ---- the reference

    def reachable(self, heights: Iterable[int]) -> set[bytes]:
        """The keys of all nodes of the tries of these states, by walking them."""
        found: set[bytes] = set()
        for root in {self.roots[height] for height in heights}:
            load = partial(self.node, b"")
            found |= set(trie.hashes(load, root))
            for address in ADDRESSES:
                raw = trie.read(load, root, account_key(address))
                storage_root = EMPTY_ROOT if raw is None else decode_account(raw).storage_root
                found |= {address + name for name in trie.hashes(partial(self.node, address), storage_root)}
        return found

    def node(self, owner: bytes, node_hash: bytes) -> bytes:
        return self.ever[owner + node_hash]

    def check(self) -> set[bytes]:
        """No state is gone that nobody gave up, and no node of one that is held. The keys of the nodes that
        are there in excess.
        """
        with self.database.snapshot() as reads:
            history = load_history(reads)
            rows = dict(reads.scan(NODES))
            held = dict(reads.scan(HELD))
        heights = set(range(self.height + 1))
        holding = {height for height in heights if history.holds(height)}
        assert heights - self.given_up <= holding
        needed = self.reachable(holding)
        assert needed <= rows.keys()
        assert all(row[8:] == self.ever[key] for key, row in rows.items())
        # What was held for snapshots that are gone may be gone before its row in `held` is.
        for _, *holders in (held[key] for key in held.keys() - rows.keys()):
            assert history.releasing
            assert set(holders).isdisjoint(history.snapshots)
        return rows.keys() - needed

    def check_finished(self, retention: Retention) -> set[bytes]:
        """As `check`, after pruning has nothing to do any more: exactly what is to be kept is held."""
        excess = self.check()
        with self.database.snapshot() as reads:
            history = load_history(reads)
            held = dict(reads.scan(HELD))
            journal = {height for (height, _), _ in reads.scan(STALE)}
        heights = range(self.height + 1)
        assert all(retention.keeps(height, self.height) for height in heights if history.holds(height))
        assert not history.releasing
        assert all(height > history.oldest for height in journal)
        assert all(set(holders) & set(history.snapshots) for _, *holders in held.values())
        assert excess <= held.keys() <= self.node_keys()
        return excess


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the journal of one block comes in several parts, and a step takes several or one."""
    monkeypatch.setattr(overlay, "JOURNAL_PART", 4)
    monkeypatch.setattr(pruning, "STEP_KEYS", 6)


@pytest.mark.parametrize("retention", RETENTIONS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_pruning_after_every_block_leaves_exactly_the_nodes_of_the_states_kept(
    tmp_path: Path, retention: Retention, seed: int
) -> None:
    chain = Simulated(tmp_path, seed)
    for _ in range(25):
        chain.add_block()
        chain.prune(retention)
        excess = chain.check_finished(retention)
        # Only a node that came back before its journal row was worked off may be held for too long.
        if not retention.every or retention.recent == 1:
            assert excess == set()


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_executed_anew_under_a_recorded_history_ends_with_exactly_its_nodes(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    oldest = chance.randint(0, 25)
    history = History(oldest, tuple(sorted(chance.sample(range(oldest), min(oldest, 3)))))
    chain = Simulated(tmp_path, seed)
    for _ in range(26):
        chain.add_block()
        chain.prune(Recorded(history))
    assert chain.history() == history
    assert chain.check() == set()


def test_a_lost_step_of_the_walk_through_held_nodes_is_done_again(tmp_path: Path) -> None:
    # The step that ends the walk was kept, so `history` says that there is nothing to release.
    chain = Simulated(tmp_path, 0)
    for _ in range(12):
        chain.add_block()
        chain.prune(Retention(2, 3, 2))
    first = len(chain.writes)
    chain.prune(Retention(2))
    walk = [index for index in range(first, len(chain.writes)) if _releases(chain.writes[index][0])]
    assert walk
    chain.lose({walk[0]})
    assert not chain.history().releasing
    chain.prune(Retention(2))
    assert chain.check_finished(Retention(2)) == set()


def _releases(rows: Mapping[bytes, bytes | None]) -> bool:
    return any(key.startswith(HELD.prefix) and row is None for key, row in rows.items())


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_whatever_happens_no_held_state_loses_a_node(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, seed: int
) -> None:
    chain = Simulated(tmp_path_factory.mktemp("chain"), seed)
    retention = ARCHIVE
    chain.add_block(6)
    for _ in range(data.draw(st.integers(5, 30))):
        match data.draw(
            st.sampled_from(["block", "block", "step", "beside", "finish", "mode", "restart", "cut"])
        ):
            case "block":
                chain.add_block()
            case "step":
                chain.prune_some(retention, data.draw(st.integers(1, 4)))
            case "beside":
                chain.prune_beside_a_block(retention)
            case "finish":
                chain.prune(retention)
                chain.check_finished(retention)
            case "mode":
                retention = data.draw(st.sampled_from(RETENTIONS))
                chain.restart()
            case "restart":
                chain.restart()
            case "cut":
                chain.cut_power()
        chain.check()
    chain.prune(retention)
    if retention != ARCHIVE:
        chain.check_finished(retention)
    # Whatever was kept for too long goes with the last snapshot.
    chain.prune(Retention(1))
    assert chain.check_finished(Retention(1)) == set()
