"""Overlay, seal, flat tables and tries against dictionaries and the reference trie, over random histories."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, field

import rlp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trie import HexaryTrie

from node.chain.encoding import keccak256
from node.chain.proof import ProvenAccount, verify_account_proof, verify_storage_proof
from node.state import trie
from node.state.account import Account
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import SLOTS, STALE, encode_height
from node.state.views import FlatView, StateView, TrieView, prove_account

# Three of the five addresses and most slots share the first digits of their hashes, so that branches of
# two children, extensions, and their merging when one child goes are common in tries this small.
ADDRESSES = [number.to_bytes(2, "big") * 10 for number in (250, 993, 1063, 1, 2)]
SLOT_NUMBERS = [0, 1, 2**255 + 7, 1110, 1363, 3496, 170, 1447, 1902, 770]
VALUES = [0, 0, 1, 127, 128, 255, 256, 2**64, 2**256 - 1]
CODES = [b"", b"\x60\x00", b"\xfe" * 40]

addresses = st.sampled_from(ADDRESSES)
slots = st.sampled_from(SLOT_NUMBERS)
values = st.sampled_from(VALUES)


@dataclass
class Model:
    """The state as anybody would write it down."""

    accounts: dict[bytes, tuple[int, int, bytes]] = field(default_factory=dict)
    storage: dict[bytes, dict[int, int]] = field(default_factory=dict)

    def slot(self, address: bytes, slot: int) -> int:
        return self.storage.get(address, {}).get(slot, 0)

    def storage_root(self, address: bytes) -> bytes:
        storage = HexaryTrie({})
        for slot, value in self.storage.get(address, {}).items():
            if value:
                storage[keccak256(slot.to_bytes(32, "big"))] = rlp.encode(value)
        return storage.root_hash

    def root(self) -> bytes:
        accounts = HexaryTrie({})
        for address, (nonce, balance, code) in self.accounts.items():
            row = [nonce, balance, self.storage_root(address), keccak256(code)]
            accounts[keccak256(address)] = rlp.encode(row)
        return accounts.root_hash

    def without_orphans(self) -> Model:
        """Storage of accounts that do not exist is dropped when a block ends."""
        kept = {address: dict(slots) for address, slots in self.storage.items() if address in self.accounts}
        return Model(dict(self.accounts), kept)


def assert_same(view: StateView, model: Model) -> None:
    for address in ADDRESSES:
        account = view.account(address)
        if address not in model.accounts:
            assert account is None
        else:
            assert account is not None
            nonce, balance, code = model.accounts[address]
            assert (account.nonce, account.balance) == (nonce, balance)
            assert view.code(account.code_hash) == code
        for slot in SLOT_NUMBERS:
            assert view.storage(address, slot) == model.slot(address, slot)


def live_nodes(snapshot: DatabaseSnapshot, root: bytes) -> set[bytes]:
    """Keys of all nodes reachable from a state root."""
    view = TrieView(snapshot, root)
    found = set(trie.hashes(lambda node: snapshot.load_node(b"", node), root))
    for address in ADDRESSES:
        account = view.account(address)
        if account is not None:
            of_account = trie.hashes(
                lambda node, owner=address: snapshot.load_node(owner, node), account.storage_root
            )
            found |= {address + node for node in of_account}
    return found


class OverlayMachine(RuleBasedStateMachine):
    """Blocks of random changes with nested marks; after each block everything is compared."""

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.database = Database.create(self.directory.name + "/ledger")
        self.height = 0
        self.history: list[tuple[bytes, Model]] = []
        self.root = EMPTY_ROOT
        self.model = Model()
        self.live: set[bytes] = set()
        self.begin_block()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.directory.cleanup()

    def begin_block(self) -> None:
        self.snapshot = self.database.snapshot()
        self.overlay = Overlay(FlatView(self.snapshot, self.root))
        self.marks: list[tuple[int, Model]] = []

    @rule(
        address=addresses,
        nonce=st.sampled_from([0, 1, 127, 128, 300]),
        balance=values,
        code=st.sampled_from(CODES),
    )
    def set_account(self, address: bytes, nonce: int, balance: int, code: bytes) -> None:
        before = self.overlay.account(address)
        code_hash = self.overlay.add_code(code)
        if before is None:
            self.overlay.set_account(address, Account(nonce, balance, EMPTY_ROOT, code_hash))
        else:
            changed = before._replace(nonce=nonce, balance=balance, code_hash=code_hash)
            self.overlay.set_account(address, changed)
        self.model.accounts[address] = (nonce, balance, code)

    @rule(address=addresses, slot=slots, value=values)
    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self.overlay.set_storage(address, slot, value)
        self.model.storage.setdefault(address, {})[slot] = value

    @rule(address=addresses, first=st.integers(0, 8), value=st.integers(1, 3))
    def set_many_slots(self, address: bytes, first: int, value: int) -> None:
        for slot in SLOT_NUMBERS[first:]:
            self.set_storage(address, slot, value + slot)

    @rule(address=addresses, slot=slots)
    def read(self, address: bytes, slot: int) -> None:
        assert self.overlay.storage(address, slot) == self.model.slot(address, slot)

    @rule(address=addresses)
    def delete_account(self, address: bytes) -> None:
        self.overlay.delete_account(address)
        self.model.accounts.pop(address, None)
        self.model.storage.pop(address, None)

    @rule(address=addresses)
    def wipe_storage(self, address: bytes) -> None:
        self.overlay.wipe_storage(address)
        self.model.storage.pop(address, None)

    @rule()
    def mark(self) -> None:
        self.marks.append((self.overlay.checkpoint(), copy.deepcopy(self.model)))

    @precondition(lambda self: self.marks)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        chosen = data.draw(st.integers(0, len(self.marks) - 1))
        checkpoint, self.model = self.marks[chosen]
        self.overlay.revert(checkpoint)
        del self.marks[chosen:]

    @precondition(lambda self: self.marks)
    @rule()
    def commit(self) -> None:
        self.overlay.commit(self.marks.pop()[0])

    @rule()
    def settle(self) -> None:
        self.overlay.settle()
        self.marks.clear()

    @rule()
    def throw_away(self) -> None:
        """A proposal that is not decided leaves nothing behind."""
        self.overlay.seal()
        self.snapshot.close()
        self.model = copy.deepcopy(self.history[-1][1]) if self.history else Model()
        self.begin_block()

    @rule()
    def end_block(self) -> None:
        change = self.overlay.seal()
        assert self.overlay.seal() == change
        self.model = self.model.without_orphans()
        assert change.state_root == self.model.root()
        batch = Batch()
        self.height += 1
        add_state_change(batch, self.height, change)
        self.database.write(batch, sync=False)
        self.snapshot.close()
        self.root = change.state_root
        self.history.append((self.root, copy.deepcopy(self.model)))
        self.begin_block()

        assert not self.live & change.nodes.keys()
        assert set(change.stale) <= self.live
        self.live = (self.live - set(change.stale)) | change.nodes.keys()
        assert live_nodes(self.snapshot, self.root) == self.live
        journal = self.snapshot.scan(STALE, prefix=encode_height(self.height))
        assert [key for _, keys in journal for key in keys] == list(change.stale)
        flat_rows = dict(self.snapshot.scan(SLOTS))
        assert flat_rows == {
            (address, slot): value
            for address, storage in self.model.storage.items()
            for slot, value in storage.items()
            if value
        }

    @invariant()
    def every_height_reads_as_it_was(self) -> None:
        if not hasattr(self, "overlay"):
            return
        assert_same(self.overlay, self.model)
        if self.history:
            assert_same(FlatView(self.snapshot, self.root), self.history[-1][1])

    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        if not self.history:
            return
        root, model = data.draw(st.sampled_from(self.history))
        assert_same(TrieView(self.snapshot, root), model)
        address = data.draw(addresses)
        wanted = data.draw(st.lists(slots, max_size=3))
        proof = prove_account(self.snapshot, root, address, wanted)
        proven = verify_account_proof(root, address, proof.nodes)
        assert (proven is not None) == (address in model.accounts)
        if proven is not None:
            nonce, balance, code = model.accounts[address]
            assert proven == ProvenAccount(nonce, balance, model.storage_root(address), keccak256(code))
        for storage in proof.storage:
            assert storage.value == model.slot(address, storage.slot)
            storage_root = proof.account.storage_root
            assert verify_storage_proof(storage_root, storage.slot, storage.nodes) == storage.value


OverlayMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOverlay = OverlayMachine.TestCase
