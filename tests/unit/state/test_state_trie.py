"""The trie where random histories do not reach: damaged nodes, proofs of absence, index tries."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie import HexaryTrie

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.state import trie
from node.state.nodes import EMPTY_ROOT, decode_path, encode_path, split_list

KEYS = [keccak256(bytes([n])) for n in range(200)]


def built(count: int, value_size: int = 40) -> tuple[bytes, dict[bytes, bytes], dict[bytes, bytes]]:
    """(root, nodes, entries) of a trie of the first `count` keys."""
    entries = {key: rlp.encode(key[:1] * value_size) for key in KEYS[:count]}
    change = trie.update({}.__getitem__, EMPTY_ROOT, entries)
    return change.root, dict(change.nodes), entries


def test_an_empty_trie_has_the_well_known_root_and_nothing_in_it() -> None:
    assert EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert trie.read({}.__getitem__, EMPTY_ROOT, KEYS[0]) is None
    assert trie.prove({}.__getitem__, EMPTY_ROOT, KEYS[0]) == ()
    assert list(trie.leaves({}.__getitem__, EMPTY_ROOT)) == []
    assert trie.update({}.__getitem__, EMPTY_ROOT, {KEYS[0]: None}).root == EMPTY_ROOT


@pytest.mark.parametrize("value_size", [0, 40])
def test_deleting_everything_leaves_the_empty_root_and_no_node(value_size: int) -> None:
    root, nodes, entries = built(100, value_size)
    change = trie.update(nodes.__getitem__, root, dict.fromkeys(entries))
    assert change.root == EMPTY_ROOT
    assert change.nodes == {}
    assert set(change.stale) == nodes.keys()


def test_writing_what_is_there_changes_no_node() -> None:
    root, nodes, entries = built(150)
    change = trie.update(nodes.__getitem__, root, entries | {KEYS[180]: None})
    assert (change.root, change.nodes, change.stale) == (root, {}, ())


def test_leaves_come_back_in_key_order() -> None:
    root, nodes, entries = built(200)
    assert list(trie.leaves(nodes.__getitem__, root)) == sorted(entries.items())


def test_every_node_on_an_updated_path_is_loaded_once() -> None:
    root, nodes, _ = built(200)
    loaded: list[bytes] = []

    def load(node: bytes) -> bytes:
        loaded.append(node)
        return nodes[node]

    trie.update(load, root, {key: rlp.encode(b"new" * 20) for key in KEYS})
    assert len(loaded) == len(set(loaded)) == len(nodes)


@pytest.mark.parametrize("key", [KEYS[3], KEYS[150], bytes(32), b"\xff" * 32])
def test_proofs_of_presence_and_absence_verify_with_another_implementation(key: bytes) -> None:
    root, nodes, entries = built(100)
    proof = [rlp.decode(node) for node in trie.prove(nodes.__getitem__, root, key)]
    assert HexaryTrie.get_from_proof(root, key, proof) == entries.get(key, b"")


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 300])
def test_ordered_root_is_the_trie_of_rlp_indexes(count: int) -> None:
    values = [os.urandom(1 + n % 90) for n in range(count)]
    expected = HexaryTrie({})
    for index, value in enumerate(values):
        expected[rlp.encode(index)] = value
    assert trie.ordered_root(values) == expected.root_hash


@given(st.text("0123456789abcdef", max_size=64), st.booleans())
def test_paths_have_one_encoding(path: str, leaf: bool) -> None:
    encoded = encode_path(path, leaf)
    assert decode_path(rlp.encode(encoded)) == (path, leaf)


def returns_or_finds_damage(attempt: Callable[[], object]) -> None:
    """Any other error than the one for damaged nodes goes through and fails the test."""
    try:
        attempt()
    except LedgerError as error:
        if error.code != "state.trie_node_malformed":
            raise


def _damaged() -> dict[str, bytes]:
    branch = rlp.encode([b""] * 17)
    hashed = b"\xa0" + bytes(32)
    return {
        "empty": b"",
        "a string": b"\x83abc",
        "cut short": branch[:-1],
        "bytes left over": branch + b"\x80",
        "three items": rlp.encode([b"", b"", b""]),
        "item over the end": b"\xc4\x20\x85ab",
        "unknown path flag": rlp.encode([b"\x45", b"value"]),
        "padding not zero": rlp.encode([b"\x21", b"value"]),
        "path is a list": rlp.encode([[b"\x20"], b"value"]),
        "path empty": rlp.encode([b"", b"value"]),
        "leaf too short": rlp.encode([b"\x20", b"value"]),
        "leaf too long": rlp.encode([b"\x20" + bytes(33), b"value"]),
        "extension over the key": rlp.encode([b"\x00" + bytes(40), bytes(32)]),
        "extension without a path": rlp.encode([b"\x00", bytes(32)]),
        "child neither node nor hash": rlp.encode([b"\x31"] + [b"abc"] * 16),
        "child hash of 31 bytes": rlp.encode([bytes(31)] * 16 + [b""]),
        "value in a branch": rlp.encode([bytes(32)] * 16 + [b"value"]),
        "extension to nothing": b"\xe2\xa0" + b"\x00" + bytes(31) + b"\x80" + hashed[:0],
    }


@pytest.mark.parametrize("damage", _damaged())
def test_a_damaged_node_is_a_named_error_and_nothing_else(damage: str) -> None:
    node = _damaged()[damage]

    def load(_: bytes) -> bytes:
        return node

    root = keccak256(node)
    for attempt in (
        lambda: trie.update(load, root, {bytes(32): b"x", b"\xff" * 32: b"y"}),
        lambda: trie.update(load, root, {bytes(32): None}),
        lambda: trie.read(load, root, bytes(32)),
        lambda: trie.prove(load, root, bytes(32)),
    ):
        returns_or_finds_damage(attempt)
    with pytest.raises(LedgerError):
        trie.update(load, root, {bytes(32): b"x", b"\xff" * 32: b"y", b"\x01" * 32: None})


@given(st.binary(max_size=80))
def test_random_bytes_are_split_or_refused(raw: bytes) -> None:
    returns_or_finds_damage(lambda: split_list(raw))


@given(st.binary(min_size=1, max_size=120))
def test_random_bytes_as_a_node_never_leak_another_error(raw: bytes) -> None:
    for attempt in (
        lambda: trie.update(lambda _: raw, bytes(32), {KEYS[0]: b"x", KEYS[1]: None, KEYS[2]: b"z"}),
        lambda: trie.read(lambda _: raw, bytes(32), KEYS[0]),
    ):
        returns_or_finds_damage(attempt)
