"""History as the storage page promises it: heights read as they were, what may be pruned may be pruned."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.state.account import EMPTY_ACCOUNT
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.tables import META, NODES, STALE
from node.state.views import FlatView, TrieView

ADDRESSES = [bytes([n]) * 20 for n in range(40)]
SLOT_COUNT = 30

State = dict[bytes, tuple[int, dict[int, int]]]
"""address -> (balance, slots)"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, list[tuple[bytes, State]]]]:
    """60 blocks of few values, so that accounts and storage often come back to what they once were."""
    chance = random.Random(11)
    states: list[tuple[bytes, State]] = [(EMPTY_ROOT, {})]
    with Database.create(tmp_path_factory.mktemp("history") / "ledger") as database:
        for height in range(1, 61):
            root, before = states[-1]
            state = {address: (balance, dict(slots)) for address, (balance, slots) in before.items()}
            with database.snapshot() as snapshot:
                overlay = Overlay(FlatView(snapshot, root))
                for address in chance.sample(ADDRESSES, 12):
                    kind = chance.random()
                    if kind < 0.15 and address in state:
                        overlay.delete_account(address)
                        del state[address]
                        continue
                    balance = chance.randint(0, 2)
                    overlay.set_account(
                        address, (overlay.account(address) or EMPTY_ACCOUNT)._replace(balance=balance)
                    )
                    slots = state.get(address, (0, {}))[1]
                    if kind < 0.25:
                        overlay.wipe_storage(address)
                        slots = {}
                    for slot in chance.sample(range(SLOT_COUNT), 10):
                        slots[slot] = chance.choice([0, 0, 1, 2**200])
                        overlay.set_storage(address, slot, slots[slot])
                    state[address] = (balance, slots)
                change = overlay.seal()
            batch = Batch()
            add_state_change(batch, height, change)
            database.write(batch, sync=False)
            states.append((change.state_root, state))
        yield database, states


def read_all(view: FlatView | TrieView) -> State:
    found: State = {}
    for address in ADDRESSES:
        account = view.account(address)
        if account is not None:
            slots = {slot: view.storage(address, slot) for slot in range(SLOT_COUNT)}
            found[address] = (account.balance, {slot: value for slot, value in slots.items() if value})
    return found


def nonzero(state: State) -> State:
    return {
        address: (balance, {slot: value for slot, value in slots.items() if value})
        for address, (balance, slots) in state.items()
    }


def test_every_height_reads_as_it_was(history: tuple[Database, list[tuple[bytes, State]]]) -> None:
    database, states = history
    with database.snapshot() as snapshot:
        for root, state in states:
            assert read_all(TrieView(snapshot, root)) == nonzero(state)
        assert read_all(FlatView(snapshot, states[-1][0])) == nonzero(states[-1][1])


def test_what_the_stale_journal_names_can_be_deleted_below_a_height(
    history: tuple[Database, list[tuple[bytes, State]]], tmp_path: Path
) -> None:
    """The rule of docs/STORAGE.md, on a copy; history from the kept height on does not notice."""
    database, states = history
    kept_from = 45
    deleted = came_back = 0
    copy = tmp_path / "copy"
    with Database.create(copy) as pruned, database.snapshot() as snapshot:
        batch = Batch()
        batch.rows.update((NODES.key(key), row) for key, row in snapshot.scan(NODES))
        for (height, _), keys in snapshot.scan(STALE):
            if height > kept_from:
                break
            for key in keys:
                row = snapshot.get(NODES, key)
                assert row is not None
                if int.from_bytes(row[:8], "big") <= height:
                    batch.delete(NODES, key)
                    deleted += 1
                else:
                    came_back += 1
        pruned.write(batch, sync=False)
    assert deleted > 500
    assert came_back > 10
    with Database.create(copy) as pruned, pruned.snapshot() as snapshot:
        for root, state in states[kept_from:]:
            assert read_all(TrieView(snapshot, root)) == nonzero(state)


def test_readers_in_other_threads_see_whole_batches_only(tmp_path: Path) -> None:
    with Database.create(tmp_path / "ledger") as database:
        names = [b"%d" % n for n in range(50)]
        mixed: list[set[bytes | None]] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                with database.snapshot() as snapshot:
                    values = {snapshot.get(META, name) for name in names}
                if len(values) != 1:
                    mixed.append(values)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(200):
            batch = Batch()
            for name in names:
                batch.put(META, name, b"%d" % number)
            database.write(batch, sync=False)
        done.set()
        for reader in readers:
            reader.join()
        assert mixed == []
