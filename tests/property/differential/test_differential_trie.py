"""The node's trie, written to LevelDB block by block, against `trie.HexaryTrie`: roots, nodes of proofs,
values, and that proofs hold for both verifiers.

Keys are chosen so that paths share long beginnings: for accounts and slots by searching for hashes that do,
for bare tries by construction, with values so short that nodes stand inside their parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
import rlp
from trie import HexaryTrie

from node.chain.encoding import keccak256
from node.chain.proof import verify_account_proof, verify_storage_proof, verify_trie_proof
from node.state import trie
from node.state.account import (
    EMPTY_ACCOUNT,
    Account,
    account_key,
    encode_account,
    encode_storage,
    storage_key,
)
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, StateChange, add_state_change
from node.state.views import FlatView, prove_account
from tests.property.differential.seeds import chance, fresh, name, quick

BARE, STATES = "bare-tries", "states"
QUICK, LONG = 12, 600
SEARCHED = 60_000
SHARED_NIBBLES = 5

Key = TypeVar("Key")


@pytest.mark.slow
def test_bare_tries_are_the_same(tmp_path: Path) -> None:
    for seed in quick(BARE, QUICK):
        run_bare(seed, tmp_path)


@pytest.mark.slow
def test_tries_of_states_are_the_same(tmp_path: Path) -> None:
    for seed in quick(STATES, QUICK):
        run_states(seed, tmp_path)


@pytest.mark.long
def test_many_bare_tries_are_the_same(tmp_path: Path) -> None:
    for seed in fresh(BARE, LONG):
        run_bare(seed, tmp_path)


@pytest.mark.long
def test_many_tries_of_states_are_the_same(tmp_path: Path) -> None:
    for seed in fresh(STATES, LONG):
        run_states(seed, tmp_path)


# Bare tries


def run_bare(seed: str, folder: Path) -> None:
    rng, what = chance(BARE, seed), name(BARE, seed)
    keys = colliding_keys(rng)
    theirs, root = HexaryTrie({}), EMPTY_ROOT
    with Database.create(folder / f"bare-{seed.replace('/', '-')}") as database:
        for height in range(1, rng.randrange(3, 12)):
            changes = {key: value_of(rng) for key in rng.sample(keys, rng.randrange(1, len(keys)))}
            with database.snapshot() as snapshot:
                change = trie.update(partial(snapshot.load_node, b""), root, changes)
            write(database, height, StateChange(change.root, {}, {}, {}, change.nodes, change.stale))
            for key, value in changes.items():
                theirs.set(key, value or b"")
            root = change.root
            assert root == theirs.root_hash, f"{what}: root after {height} batches"
            with database.snapshot() as snapshot:
                load = partial(snapshot.load_node, b"")
                for key in rng.sample(keys, min(len(keys), 6)):
                    value = trie.read(load, root, key)
                    assert value == (theirs.get(key) or None), f"{what}: {key.hex()}"
                    check_proof(theirs, key, trie.prove(load, root, key), value, what)


def colliding_keys(rng: Random) -> list[bytes]:
    """Keys of one length that leave one another at any nibble, the last one too."""
    length = rng.choice((1, 2, 4, 32))
    keys = {bytes(rng.getrandbits(8) for _ in range(length))}
    wanted = rng.randrange(2, min(60, 200 if length > 1 else 40))
    while len(keys) < wanted:
        key = bytearray(rng.choice(sorted(keys)))
        at = rng.randrange(length)
        key[at] ^= rng.choice((1, 2, 0x10, 0x80, rng.randrange(1, 256)))
        if rng.random() < 0.3:
            key[at + 1 :] = bytes(rng.getrandbits(8) for _ in range(length - at - 1))
        keys.add(bytes(key))
    return sorted(keys)


def value_of(rng: Random) -> bytes | None:
    """To set, of one byte up to more than a hash; None to delete."""
    if rng.random() < 0.35:
        return None
    return bytes(rng.randrange(1, 256) for _ in range(rng.choice((1, 1, 2, 20, 31, 32, 33, 60))))


# States


def run_states(seed: str, folder: Path) -> None:
    rng, what = chance(STATES, seed), name(STATES, seed)
    addresses = rng.choice(address_families()) + [
        bytes(rng.getrandbits(8) for _ in range(20)) for _ in range(6)
    ]
    slots = [*rng.choice(slot_families()), *range(4), rng.getrandbits(256)]
    model = Model()
    with Database.create(folder / f"states-{seed.replace('/', '-')}") as database:
        root = EMPTY_ROOT
        for height in range(1, rng.randrange(3, 9)):
            with database.snapshot() as snapshot:
                overlay = Overlay(FlatView(snapshot, root))
                for address in rng.sample(addresses, rng.randrange(1, len(addresses))):
                    change_account(rng, overlay, model, address, slots)
                change = overlay.seal()
            write(database, height, change)
            root = change.state_root
            assert root == model.root(), f"{what}: root after block {height}"
            with database.snapshot() as snapshot:
                for address in rng.sample(addresses, 4):
                    asked = rng.sample(slots, 3)
                    proof = prove_account(snapshot, root, address, asked)
                    model.check(address, asked, root, proof.nodes, [s.nodes for s in proof.storage], what)


class Model:
    """Accounts with a HexaryTrie each, and one above them."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, tuple[int, HexaryTrie]] = {}
        self.trie = HexaryTrie({})

    def root(self) -> bytes:
        root: bytes = self.trie.root_hash
        return root

    def update(self, address: bytes) -> None:
        """The account's leaf, after it or its storage changed."""
        if address in self.accounts:
            self.trie.set(account_key(address), encode_account(self.account(address)))
        else:
            self.trie.delete(account_key(address))

    def account(self, address: bytes) -> Account:
        nonce, storage = self.accounts[address]
        return EMPTY_ACCOUNT._replace(nonce=nonce, storage_root=storage.root_hash)

    def check(
        self,
        address: bytes,
        slots: Sequence[int],
        root: bytes,
        nodes: Sequence[bytes],
        slot_nodes: Iterable[Sequence[bytes]],
        what: str,
    ) -> None:
        """That the proofs of an account and of slots are those of the tries, and hold."""
        present = address in self.accounts
        leaf = encode_account(self.account(address)) if present else None
        check_proof(self.trie, account_key(address), nodes, leaf, what)
        proven = verify_account_proof(root, address, nodes)
        assert (proven is not None) == present
        storage = self.accounts[address][1] if present else HexaryTrie({})
        if proven is not None:
            assert proven.storage_root == storage.root_hash
        for slot, proof in zip(slots, slot_nodes, strict=True):
            value = storage.get(storage_key(slot))
            number = int.from_bytes(rlp.decode(value), "big") if value else 0
            check_proof(storage, storage_key(slot), proof, value or None, what)
            assert verify_storage_proof(storage.root_hash, slot, proof) == number, what


def change_account(
    rng: Random, overlay: Overlay[FlatView], model: Model, address: bytes, slots: Sequence[int]
) -> None:
    """The same random change in both: deletion, wipe, another nonce, slots set and cleared."""
    pick = rng.random()
    if pick < 0.15:
        overlay.delete_account(address)
        model.accounts.pop(address, None)
    else:
        nonce = rng.choice((1, 127, 128, 1 << 40))
        storage = model.accounts[address][1] if address in model.accounts else HexaryTrie({})
        overlay.set_account(address, (overlay.account(address) or EMPTY_ACCOUNT)._replace(nonce=nonce))
        if pick < 0.25:
            overlay.wipe_storage(address)
            storage = HexaryTrie({})
        for slot in rng.sample(slots, rng.randrange(len(slots))):
            value = rng.choice((0, 0, 1, 127, 128, rng.getrandbits(256)))
            overlay.set_storage(address, slot, value)
            storage.set(storage_key(slot), encode_storage(value) if value else b"")
        model.accounts[address] = nonce, storage
    model.update(address)


@lru_cache(maxsize=1)
def address_families() -> list[list[bytes]]:
    """Addresses whose keys begin with the same nibbles."""
    return families(
        {address: account_key(address) for address in (n.to_bytes(20, "big") for n in range(SEARCHED))}
    )


@lru_cache(maxsize=1)
def slot_families() -> list[list[int]]:
    """Slots whose keys begin with the same nibbles."""
    return families({slot: storage_key(slot) for slot in range(SEARCHED)})


def families(keys: Mapping[Key, bytes]) -> list[list[Key]]:
    found: dict[str, list[Key]] = {}
    for what, key in keys.items():
        found.setdefault(key.hex()[:SHARED_NIBBLES], []).append(what)
    pairs = [members for members in found.values() if len(members) > 1]
    # Some pairs side by side: one deep fork alone is not much of a trie.
    return [list(chain.from_iterable(pairs[start : start + 6])) for start in range(0, len(pairs) - 6, 6)]


# Both


def write(database: Database, height: int, change: StateChange) -> None:
    batch = Batch()
    add_state_change(batch, height, change)
    database.write(batch, sync=False)


def check_proof(
    theirs: HexaryTrie, key: bytes, nodes: Sequence[bytes], value: bytes | None, what: str
) -> None:
    """The proof has HexaryTrie's nodes and shows `value` to both verifiers."""
    path = [rlp.encode(node) for node in theirs.get_proof(key)]
    hashed = [node for place, node in enumerate(path) if place == 0 or len(node) >= 32]
    empty = theirs.root_hash == EMPTY_ROOT
    assert list(nodes) == ([] if empty else hashed), f"{what}: nodes of the proof of {key.hex()}"
    assert verify_trie_proof(theirs.root_hash, key, nodes) == value, what
    if not empty:
        decoded = [rlp.decode(node) for node in nodes]
        assert (HexaryTrie.get_from_proof(theirs.root_hash, key, decoded) or None) == value, what
    assert not nodes or keccak256(nodes[0]) == theirs.root_hash
