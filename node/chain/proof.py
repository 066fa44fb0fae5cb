"""Proofs that hold without the chain: accounts and storage in a state root, receipts and transactions in
headers.

A Merkle-Patricia proof is what `eth_getProof` (EIP-1186) serves: the encoded trie nodes from the root
towards the key. It shows a value, or that there is none. Every node is looked up by the hash its parent
names; a proof with a node missing, left over or malformed proves nothing.

A receipt proof goes: 1. the receipt's keccak256 is the `data` of a result; 2. the result stands at its place
in the tree of `last_results_hash`; 3. that hash stands in the header of the next height. 4. That header is
final if its commit verifies (`node.chain.commit.verify_commit`), which the caller does.

Everything here raises ProofError and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import (
    RlpItem,
    keccak256,
    rlp_encode_bytes,
    rlp_encode_integer,
    rlp_encode_list,
    rlp_integer,
    rlp_outer_list,
    rlp_split,
    rlp_string,
    sha256,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import Header
from node.chain.merkle import MerkleProof, verify_merkle_proof
from node.chain.receipt import Receipt, TransactionResult, decode_receipt, encode_result

EMPTY_TRIE_ROOT: Final = keccak256(b"\x80")
EMPTY_CODE_HASH: Final = keccak256(b"")
MAX_PROOF_NODES: Final = 65
"""A path of 64 nibbles passes at most 64 branches and a leaf."""

_WORD: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """An account as the state trie holds it: rlp([nonce, balance, storage_root, code_hash])."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """That a transaction of block `height` at `result_proof.index` left `receipt` (its encoded bytes)."""

    height: int
    receipt: bytes
    result: TransactionResult
    result_proof: MerkleProof


def verify_account_proof(state_root: bytes, address: bytes, nodes: Sequence[bytes]) -> ProvenAccount | None:
    """The account at `address` under `state_root`, or None if the proof shows that there is none.

    Raises ProofError: trie.*, account.malformed.
    """
    value = verify_trie_proof(state_root, keccak256(address), nodes)
    if value is None:
        return None
    try:
        _, start, end = rlp_outer_list(value, 0)
        items = rlp_split(value, start, end, 5)
        if len(items) != 4:
            raise ProofError("account.malformed", "an account has four fields", len(items), 4)
        account = ProvenAccount(
            rlp_integer(value, items[0], "nonce", 1 << 64),
            rlp_integer(value, items[1], "balance", _WORD),
            rlp_string(value, items[2], "storage_root"),
            rlp_string(value, items[3], "code_hash"),
        )
    except DecodeError as error:
        raise ProofError("account.malformed", error.message, error.got, error.expected) from None
    if len(account.storage_root) != 32 or len(account.code_hash) != 32:
        raise ProofError("account.malformed", "storage root and code hash have 32 bytes")
    return account


def encode_account(account: ProvenAccount) -> bytes:
    return rlp_encode_list(
        (
            rlp_encode_integer(account.nonce),
            rlp_encode_integer(account.balance),
            rlp_encode_bytes(account.storage_root),
            rlp_encode_bytes(account.code_hash),
        )
    )


def verify_storage_proof(storage_root: bytes, slot: int, nodes: Sequence[bytes]) -> int:
    """The word in `slot` under an account's `storage_root`; 0 if the proof shows that it was never set.

    Raises ProofError: trie.*, storage.malformed.
    """
    value = verify_trie_proof(storage_root, keccak256(slot.to_bytes(32, "big")), nodes)
    if value is None:
        return 0
    try:
        items = rlp_split(value, 0, len(value), 2)
        if len(items) != 1:
            raise ProofError("storage.malformed", "a slot holds one number", len(items), 1)
        word = rlp_integer(value, items[0], "storage word", _WORD)
    except DecodeError as error:
        raise ProofError("storage.malformed", error.message, error.got, error.expected) from None
    if word == 0:
        raise ProofError("storage.malformed", "a zero is never stored")
    return word


def verify_trie_proof(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """The value at `key` (at most 32 bytes) in the Merkle-Patricia trie with this root, or None if there is
    none.

    `nodes` are the encoded nodes of 32 bytes and more on the path, root first (Yellow Paper, appendix D).
    Raises ProofError: trie.too_many_nodes, trie.missing_node, trie.wrong_node, trie.malformed_node,
    trie.node_left_over.
    """
    if len(nodes) > MAX_PROOF_NODES:
        raise ProofError("trie.too_many_nodes", "the proof is too long", len(nodes), MAX_PROOF_NODES)
    if root == EMPTY_TRIE_ROOT:
        # Of an empty trie nothing needs to be shown; some servers show its one node.
        if nodes and list(nodes) != [b"\x80"]:
            raise ProofError("trie.node_left_over", "an empty trie has no nodes", len(nodes), 0)
        return None
    value, used = _walk(root, _nibbles(key), nodes)
    if used != len(nodes):
        raise ProofError(
            "trie.node_left_over", "the proof has nodes that are not on the path", len(nodes), used
        )
    return value


def verify_receipt_proof(proof: ReceiptProof, next_header: Header) -> Receipt:
    """The receipt, decoded, if `next_header` (of height + 1) holds it.

    Raises ProofError: receipt.wrong_header, receipt.wrong_hash, receipt.malformed, merkle.*.
    """
    # 1
    digest = keccak256(proof.receipt)
    if proof.result.code != 0 or proof.result.data != digest:
        raise ProofError("receipt.wrong_hash", "the result is of another receipt", proof.result.data, digest)
    # 2 and 3
    if next_header.height != proof.height + 1:
        raise ProofError(
            "receipt.wrong_header", "the next header holds the results", next_header.height, proof.height + 1
        )
    verify_merkle_proof(next_header.last_results_hash, encode_result(proof.result), proof.result_proof)
    try:
        return decode_receipt(proof.receipt)
    except DecodeError as error:
        raise ProofError("receipt.malformed", error.message, error.got, error.expected) from None


def verify_transaction_proof(header: Header, raw: bytes, proof: MerkleProof) -> None:
    """`raw` stands at `proof.index` in the block of `header`. Raises ProofError merkle.*."""
    verify_merkle_proof(header.data_hash, sha256(raw), proof)


# ---- the trie


def _walk(root: bytes, path: tuple[int, ...], nodes: Sequence[bytes]) -> tuple[bytes | None, int]:
    """The value at `path` and how many nodes it took to find it, or to find that there is none."""
    used = 0
    position = 0
    expected: bytes | None = root
    embedded = b""
    while True:
        if expected is not None:
            if used == len(nodes):
                raise ProofError("trie.missing_node", "the proof ends before the path does", used, expected)
            node = nodes[used]
            used += 1
            if keccak256(node) != expected:
                raise ProofError(
                    "trie.wrong_node", "this is not the node that its parent names", node, expected
                )
            if len(node) < 32 and used > 1:
                raise ProofError(
                    "trie.malformed_node", "a node this small stands inside its parent", len(node)
                )
        else:
            node = embedded
        items = _node_items(node)
        if len(items) == 17:
            if position == len(path):
                return _value(node, items[16]) or None, used
            child = items[path[position]]
            position += 1
        else:
            is_leaf, part = _path_part(node, items[0])
            if path[position : position + len(part)] != part:
                return None, used
            position += len(part)
            if is_leaf:
                if position != len(path):
                    return None, used
                value = _value(node, items[1])
                if not value:
                    raise ProofError("trie.malformed_node", "a leaf without a value")
                return value, used
            child = items[1]
        is_list, start, end = child
        if not is_list and start == end:
            if len(items) == 2:
                raise ProofError("trie.malformed_node", "an extension that leads nowhere")
            return None, used
        if is_list:
            # Smaller than 32 bytes: the child stands here itself. Its prefix is the one byte before its
            # payload.
            if end - start > 30:
                raise ProofError("trie.malformed_node", "a node this large is named by its hash", end - start)
            expected, embedded = None, node[start - 1 : end]
        else:
            expected = node[start:end]
            if len(expected) != 32:
                raise ProofError(
                    "trie.malformed_node", "a child is named by a hash of 32 bytes", len(expected)
                )


def _node_items(node: bytes) -> list[RlpItem]:
    try:
        _, start, end = rlp_outer_list(node, 0)
        items = rlp_split(node, start, end, 18)
    except DecodeError as error:
        raise ProofError("trie.malformed_node", error.message, error.got, error.expected) from None
    if len(items) not in (2, 17):
        raise ProofError("trie.malformed_node", "a node has 2 or 17 items", len(items), [2, 17])
    return items


def _path_part(node: bytes, item: RlpItem) -> tuple[bool, tuple[int, ...]]:
    """Hex-prefix encoding: whether this ends the path, and the nibbles it covers."""
    encoded = _value(node, item)
    flag = encoded[0] >> 4 if encoded else 4
    if flag > 3 or (not flag & 1 and encoded[0] & 0x0F):
        raise ProofError("trie.malformed_node", "the path of a node is malformed", encoded)
    nibbles = _nibbles(encoded)[1 if flag & 1 else 2 :]
    is_leaf = bool(flag & 2)
    if not is_leaf and not nibbles:
        raise ProofError("trie.malformed_node", "an extension over no path")
    return is_leaf, nibbles


def _value(node: bytes, item: RlpItem) -> bytes:
    is_list, start, end = item
    if is_list:
        raise ProofError("trie.malformed_node", "a list stands where bytes are wanted")
    return node[start:end]


def _nibbles(data: bytes) -> tuple[int, ...]:
    return tuple(nibble for byte in data for nibble in (byte >> 4, byte & 0x0F))
