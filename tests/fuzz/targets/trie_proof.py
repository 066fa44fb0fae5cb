"""Account and storage proofs: ProofError and nothing else; whatever is accepted is the true value.

An input is a byte and `rlp([key, [nodes…]])`. Kinds 0 and 1 verify against the root of a real state: an
accepted proof must yield what the state holds. Kinds 2 to 4 are tries of somebody hostile: the root is the
hash of the first node, and `HERE` in a node stands for the hash of the next, so changed nodes are reached;
what is accepted must be what `trie.HexaryTrie` reads from a database of the same nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import rlp
from rlp.exceptions import RLPException
from trie import HexaryTrie
from trie.exceptions import InvalidNode, ValidationError

from node.chain.encoding import keccak256
from node.chain.errors import ProofError
from node.chain.proof import (
    ProvenAccount,
    encode_account,
    verify_account_proof,
    verify_storage_proof,
    verify_trie_proof,
)
from tests.fuzz.mutators import mutate_rlp as mutate
from tests.fuzz.refusals import check_refusal

__all__ = ["mutate", "one_input", "seeds"]

HERE = b"\xcc" * 32


def _address(number: int) -> bytes:
    return hashlib.sha256(b"account %d" % number).digest()[:20]


def _trie(entries: dict[bytes, bytes]) -> HexaryTrie:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[key] = value
    return trie


SLOTS = {number * number: number + 1 for number in range(40)} | {1 << 255: (1 << 256) - 1}
STORAGE = _trie({keccak256(slot.to_bytes(32, "big")): rlp.encode(word) for slot, word in SLOTS.items()})
ACCOUNTS = {
    _address(number): ProvenAccount(
        number, number % 3, STORAGE.root_hash if number == 7 else keccak256(b"\x80"), keccak256(b"")
    )
    for number in range(60)
}
STATE = _trie({keccak256(address): encode_account(account) for address, account in ACCOUNTS.items()})
SMALL = _trie({b"do": b"verb", b"dog": b"puppy", b"doge": b"coins", b"horse": b"stallion" * 9})


def one_input(data: bytes) -> None:
    try:
        key, nodes = rlp.decode(data[1:], strict=True)
    except (RLPException, ValueError):
        return
    if not data or not isinstance(key, bytes) or isinstance(nodes, bytes) or len(key) > 32:
        return
    if any(not isinstance(node, bytes) for node in nodes):
        return
    try:
        (_true_account, _true_word, _value, _account, _word)[data[0] % 5](key, list(nodes))
    except ProofError as error:
        check_refusal(error)


def _true_account(address: bytes, nodes: list[bytes]) -> None:
    assert verify_account_proof(STATE.root_hash, address, nodes) == ACCOUNTS.get(address)


def _true_word(key: bytes, nodes: list[bytes]) -> None:
    slot = int.from_bytes(key, "big")
    assert verify_storage_proof(STORAGE.root_hash, slot, nodes) == SLOTS.get(slot, 0)


def _value(key: bytes, nodes: list[bytes]) -> None:
    root, nodes = _hostile(nodes)
    value = verify_trie_proof(root, key, nodes)
    assert _library_value(root, key, nodes) in (value or b"", None)


def _account(address: bytes, nodes: list[bytes]) -> None:
    root, nodes = _hostile(nodes)
    account = verify_account_proof(root, address, nodes)
    found = _library_value(root, keccak256(address), nodes)
    assert found in (b"" if account is None else encode_account(account), None)


def _word(key: bytes, nodes: list[bytes]) -> None:
    root, nodes = _hostile(nodes)
    slot = int.from_bytes(key, "big")
    word = verify_storage_proof(root, slot, nodes)
    found = _library_value(root, keccak256(slot.to_bytes(32, "big")), nodes)
    assert found in (rlp.encode(word) if word else b"", None)


def _hostile(nodes: list[bytes]) -> tuple[bytes, list[bytes]]:
    """(the root of these nodes, the nodes with every `HERE` replaced by the hash of the next node)."""
    linked: list[bytes] = []
    following = b""
    for node in reversed(nodes):
        linked.append(node.replace(HERE, keccak256(following)) if following else node)
        following = linked[-1]
    linked.reverse()
    return keccak256(linked[0]) if linked else bytes(32), linked


def _library_value(root: bytes, key: bytes, nodes: list[bytes]) -> bytes | None:
    """None: the library stumbles over a malformed node beside the path, which no honest trie has. A node
    that is missing on the path (MissingTrieNode) is never passed over.
    """
    trie = HexaryTrie({keccak256(node): node for node in nodes}, root)
    try:
        found: bytes = trie[key]
    except (ValidationError, InvalidNode, RLPException):
        return None
    return found


def seeds() -> Iterator[bytes]:
    slots = [slot.to_bytes(32, "big") for slot in (0, 1, 9, 1 << 255, 5)]
    for address in map(_address, (0, 7, 33, 59, 60, 61)):
        nodes = _nodes(STATE, keccak256(address))
        yield b"\0" + rlp.encode([address, nodes])
        yield b"\3" + rlp.encode([address, _with_places(nodes)])
    for slot in slots:
        nodes = _nodes(STORAGE, keccak256(slot))
        yield b"\1" + rlp.encode([slot, nodes])
        yield b"\4" + rlp.encode([slot, _with_places(nodes)])
    for key in (b"do", b"dog", b"doge", b"horse", b"d", b"cat", b"horses"):
        yield b"\2" + rlp.encode([key, _with_places(_nodes(SMALL, key))])


def _nodes(trie: HexaryTrie, key: bytes) -> list[bytes]:
    encoded = [rlp.encode(node) for node in trie.get_proof(key)]
    return [node for place, node in enumerate(encoded) if place == 0 or len(node) >= 32]


def _with_places(nodes: list[bytes]) -> list[bytes]:
    return [
        node.replace(keccak256(following), HERE)
        for node, following in zip(nodes, [*nodes[1:], b"none"], strict=True)
    ]
