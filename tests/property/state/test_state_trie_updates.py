"""Batched trie updates against the reference trie, on keys made to fork, merge and split at every depth."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from node.chain.encoding import keccak256
from node.chain.proof import verify_trie_proof
from node.state import trie
from node.state.nodes import EMPTY_ROOT

# Prefixes that share up to five digits; the hashed tail keeps any two nodes of a trie different, as in use.
KEYS = [
    bytes.fromhex(prefix) + keccak256(prefix.encode())[: 32 - len(prefix) // 2]
    for prefix in ["".join(digits) for digits in itertools.product("01f", "01", "0a", "01", "05", "01")]
]
VALUES = [b"\x01", b"\x7f", b"\x80", b"v" * 31, b"v" * 32, b"v" * 33, b"w" * 70]

changes = st.dictionaries(st.sampled_from(KEYS), st.none() | st.sampled_from(VALUES), max_size=12)


@given(blocks=st.lists(changes, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_updates_keep_root_nodes_and_stale_list_exact(blocks: list[dict[bytes, bytes | None]]) -> None:
    nodes: dict[bytes, bytes] = {}
    root = EMPTY_ROOT
    entries: dict[bytes, bytes] = {}
    for block in blocks:
        change = trie.update(nodes.__getitem__, root, block)
        # What is said of the values before, right or wrong, changes nothing.
        right = {key: entries[key] for key in block.keys() & entries.keys()}
        for before in (
            right,
            dict.fromkeys(block, VALUES[0]),
            right | dict.fromkeys(list(block)[::2], b"v" * 32),
        ):
            known = trie.update(nodes.__getitem__, root, block, before)
            assert (known.root, known.nodes) == (change.root, change.nodes)
            assert sorted(known.stale) == sorted(change.stale)
        assert not change.nodes.keys() & nodes.keys()
        for stale in change.stale:
            del nodes[stale]
        nodes.update(change.nodes)
        root = change.root
        entries |= {key: value for key, value in block.items() if value is not None}
        for key in block.keys() - {key for key, value in block.items() if value is not None}:
            entries.pop(key, None)

        reference = HexaryTrie({})
        for key, value in entries.items():
            reference[key] = value
        assert root == reference.root_hash
        assert sorted(trie.hashes(nodes.__getitem__, root)) == sorted(nodes)
        assert dict(trie.leaves(nodes.__getitem__, root)) == entries
        for key in block:
            assert trie.read(nodes.__getitem__, root, key) == entries.get(key)
            proof = trie.prove(nodes.__getitem__, root, key)
            assert verify_trie_proof(root, key, proof) == entries.get(key)


def test_leaves_whose_values_are_known_are_not_loaded() -> None:
    keys = [keccak256(bytes([number])) for number in range(200)]
    entries = dict.fromkeys(keys, b"v" * 40)
    built = trie.update({}.__getitem__, EMPTY_ROOT, entries)
    loaded: list[bytes] = []

    def load(node_hash: bytes) -> bytes:
        loaded.append(node_hash)
        return built.nodes[node_hash]

    changes = dict.fromkeys(keys[:150], b"w" * 40) | dict.fromkeys(keys[150:160])
    blind = trie.update(load, built.root, changes)
    without = len(loaded)
    loaded.clear()
    assert trie.update(load, built.root, changes, entries) == blind
    assert without - len(loaded) > 120
