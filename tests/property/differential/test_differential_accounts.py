"""The account store (`node.execution.accounts` over `node.state.overlay`) against py-evm's own `AccountDB`.

Random sequences of what an EVM does to accounts, in nested frames of transactions of blocks, with LevelDB
below ours: every read gives the same, and so does the state root after each block.

They differ in four things, which the sequences leave out or allow for:
- touching an account, or setting what it has already, makes an empty account in py-evm and none here; both
  are gone when the transaction ends (EIP-161), so existence is compared for accounts that are not empty;
- an account with storage counts as taken (EIP-7610) here only;
- storage is written to accounts that exist; an EVM does nothing else;
- py-evm cannot undo every wipe of storage, and what it calls the original value of a slot after one depends
  on when it was written. So storage is wiped where an EVM does it: before a creation, where there is none,
  and at the end of a transaction, with the account. (Ours against a naive model, with wipes anywhere:
  tests/property/state/test_state_overlay.py.)
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun.state import CancunState

from node.execution.accounts import AccountDatabase
from node.execution.executor import _execution_context
from node.execution.fork import State
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.views import FlatView
from tests.property.differential.seeds import chance, fresh, name, quick
from tests.property.differential.worlds import block

KIND = "accounts"
QUICK, LONG = 40, 1_500
ADDRESSES = tuple(bytes([0x10 + number]) * 20 for number in range(6))
SLOTS = (0, 1, 2, 1 << 128, (1 << 256) - 1)
VALUES = (0, 0, 1, 2, (1 << 256) - 1)
CODES = (b"", b"\x00", b"\x60\x01", b"\xfe" * 40)


@pytest.mark.slow
def test_account_store_reads_and_roots_as_py_evms(tmp_path: Path) -> None:
    for seed in quick(KIND, QUICK):
        run(seed, tmp_path)


@pytest.mark.long
def test_account_store_reads_and_roots_as_py_evms_in_many_sequences(tmp_path: Path) -> None:
    for seed in fresh(KIND, LONG):
        run(seed, tmp_path)


def run(seed: str, folder: Path) -> None:
    rng, what = chance(KIND, seed), name(KIND, seed)
    theirs, root = AtomicDB(), BLANK_ROOT_HASH
    our_root = EMPTY_ROOT
    with Database.create(folder / seed.replace("/", "-")) as database:
        for height in range(1, rng.randrange(2, 6)):
            context = _execution_context(block(height))
            stock = CancunState(theirs, context, root)
            with database.snapshot() as snapshot:
                overlay = Overlay(FlatView(snapshot, our_root))
                for _ in range(rng.randrange(1, 5)):
                    stock.lock_changes()
                    stock.clear_transient_storage()
                    ours = State(AccountDatabase(overlay), context)
                    Transaction(rng, ours, stock, what).run()
                    overlay.settle()
                change = overlay.seal()
            batch = Batch()
            add_state_change(batch, height, change)
            database.write(batch, sync=False)
            stock.persist()
            root, our_root = stock.state_root, change.state_root
            assert our_root == root, f"{what}: root after block {height}"


class Transaction:
    """One transaction on both: operations in nested frames, then the end of it."""

    def __init__(self, chance: Random, ours: State, stock: Any, what: str) -> None:
        self._chance = chance
        self._both = (ours, stock)
        self._ours, self._stock = ours, stock
        self._what = what
        self._done: list[tuple[object, ...]] = []
        self._wiped: set[bytes] = set()

    def run(self) -> None:
        self._frame(0)
        for address in self._chance.sample(ADDRESSES, self._chance.choice((0, 0, 1, 2))):
            self._wiped.add(address)
            self._do("delete_account", address)
        for address in ADDRESSES:
            # What py-evm's executor does to the accounts that a transaction touched.
            if self._stock.account_exists(address) and self._stock.account_is_empty(address):
                self._stock.delete_account(address)
                self._wiped.add(address)
        self._ours._account_db.clear_empty_accounts()
        for address in ADDRESSES:
            self._same("exists", *(state.account_exists(address) for state in self._both))
            self._compare(address)

    def _frame(self, depth: int) -> None:
        for _ in range(self._chance.randrange(12)):
            if depth < 4 and self._chance.random() < 0.2:
                marks = [state.snapshot() for state in self._both]
                self._frame(depth + 1)
                ending = self._chance.choice(("revert", "commit"))
                self._done.append((ending,))
                for state, mark in zip(self._both, marks, strict=True):
                    getattr(state, ending)(mark)
            else:
                self._change()
            self._compare(self._chance.choice(ADDRESSES))

    def _change(self) -> None:
        address, slot = self._chance.choice(ADDRESSES), self._chance.choice(SLOTS)
        value = self._chance.choice(VALUES)
        pick = self._chance.random()
        if pick < 0.15:
            self._do("set_balance", address, value)
        elif pick < 0.25:
            self._do("set_nonce", address, self._chance.choice((0, 1, 128, 2**64 - 1)))
        elif pick < 0.35:
            self._do("set_code", address, self._chance.choice(CODES))
        elif pick < 0.65:
            if not self._stock.account_is_empty(address):
                self._do("set_storage", address, slot, value)
        elif pick < 0.76:
            # As a creation does it: once, of an account without storage.
            if address not in self._wiped and not any(self._stock.get_storage(address, s) for s in SLOTS):
                self._wiped.add(address)
                self._do("delete_storage", address)
        elif pick < 0.8:
            self._do("touch_account", address)
        elif pick < 0.85:
            self._do("mark_address_warm", address)
        elif pick < 0.92:
            self._do("mark_storage_warm", address, slot)
        else:
            self._do("set_transient_storage", address, slot, value.to_bytes(32, "big"))

    def _do(self, operation: str, *arguments: object) -> None:
        self._done.append((operation, *arguments))
        for state in self._both:
            getattr(state, operation)(*arguments)

    def _compare(self, address: bytes) -> None:
        for read in ("get_balance", "get_nonce", "get_code", "account_is_empty", "is_address_warm"):
            self._same(read, *(getattr(state, read)(address) for state in self._both))
        if not self._stock.account_is_empty(address):
            self._same("exists", *(state.account_exists(address) for state in self._both))
        if self._stock.has_code_or_nonce(address):
            self._same("taken", self._ours.has_code_or_nonce(address), True)
        for slot in SLOTS:
            for read in ("get_storage", "is_storage_warm"):
                self._same(read, *(getattr(state, read)(address, slot) for state in self._both))
            if address not in self._wiped:
                self._same("original", *(state.get_storage(address, slot, False) for state in self._both))
            self._same(
                "transient",
                *(int.from_bytes(state.get_transient_storage(address, slot), "big") for state in self._both),
            )

    def _same(self, read: str, ours: object, theirs: object) -> None:
        assert ours == theirs, f"{self._what}: {read}: {ours!r}, py-evm {theirs!r} after {self._done}"
