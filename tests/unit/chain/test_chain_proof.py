"""State proofs against the trie library, receipt and transaction proofs against headers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
import rlp
from chain_recordings import load_recording
from trie import HexaryTrie

from node.chain.block import data_hash
from node.chain.encoding import keccak256, rlp_encode_integer, sha256
from node.chain.errors import ProofError
from node.chain.header import Header
from node.chain.merkle import MerkleProof, merkle_proof
from node.chain.proof import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    ProvenAccount,
    ReceiptProof,
    encode_account,
    verify_account_proof,
    verify_receipt_proof,
    verify_storage_proof,
    verify_transaction_proof,
    verify_trie_proof,
)
from node.chain.receipt import Log, build_receipt, encode_receipt, encode_result, result_of, results_hash


def nodes_of(trie: HexaryTrie, key: bytes) -> list[bytes]:
    """The proof as eth_getProof serves it: smaller nodes than 32 bytes stand in their parents."""
    encoded = [rlp.encode(node) for node in trie.get_proof(key)]
    return [node for index, node in enumerate(encoded) if index == 0 or len(node) >= 32]


def address(number: int) -> bytes:
    return hashlib.sha256(b"account %d" % number).digest()[:20]


def account(number: int) -> ProvenAccount:
    return ProvenAccount(number, 10**18 * number, EMPTY_TRIE_ROOT, EMPTY_CODE_HASH)


def state(count: int) -> HexaryTrie:
    trie = HexaryTrie({})
    for number in range(count):
        trie[keccak256(address(number))] = encode_account(account(number))
    return trie


def storage(words: dict[int, int]) -> HexaryTrie:
    trie = HexaryTrie({})
    for slot, word in words.items():
        trie[keccak256(slot.to_bytes(32, "big"))] = rlp_encode_integer(word)
    return trie


@pytest.mark.parametrize("count", [1, 2, 17, 300])
def test_accounts_are_proven_to_be_and_not_to_be(count: int) -> None:
    trie = state(count)
    for number in range(0, count, 7):
        nodes = nodes_of(trie, keccak256(address(number)))
        assert verify_account_proof(trie.root_hash, address(number), nodes) == account(number)
    for number in range(count, count + 40):
        nodes = nodes_of(trie, keccak256(address(number)))
        assert verify_account_proof(trie.root_hash, address(number), nodes) is None


@pytest.mark.parametrize("count", [1, 2, 40])
def test_storage_words_are_proven_set_and_unset(count: int) -> None:
    words = {slot: slot * 2**200 + 1 for slot in range(count)}
    trie = storage(words)
    for slot in range(count + 20):
        nodes = nodes_of(trie, keccak256(slot.to_bytes(32, "big")))
        assert verify_storage_proof(trie.root_hash, slot, nodes) == words.get(slot, 0)


def test_nothing_is_proven_to_be_in_an_empty_trie() -> None:
    assert verify_storage_proof(EMPTY_TRIE_ROOT, 5, []) == 0
    assert verify_account_proof(EMPTY_TRIE_ROOT, address(1), [b"\x80"]) is None
    refused("trie.node_left_over", EMPTY_TRIE_ROOT, bytes(32), [b"\xc0"])


def refused(code: str, root: bytes, key: bytes, nodes: Sequence[bytes]) -> None:
    with pytest.raises(ProofError) as caught:
        verify_trie_proof(root, key, nodes)
    assert caught.value.code == code


def test_small_nodes_inside_their_parents_are_followed() -> None:
    trie = HexaryTrie({})
    for key, value in ((b"aa", b"1"), (b"ab", b"2"), (b"b", b"3"), (b"aac", b"4"), (b"a", b"5")):
        trie[key] = value
    for key, value in (
        (b"aa", b"1"),
        (b"aac", b"4"),
        (b"a", b"5"),
        (b"b", b"3"),
        (b"zz", None),
        (b"aab", None),
    ):
        assert verify_trie_proof(trie.root_hash, key, nodes_of(trie, key)) == value


def test_a_proof_is_the_path_and_nothing_else() -> None:
    trie = state(300)
    key = keccak256(address(3))
    nodes = nodes_of(trie, key)
    assert len(nodes) >= 3
    refused("trie.missing_node", trie.root_hash, key, [])
    refused("trie.missing_node", trie.root_hash, key, nodes[:-1])
    refused("trie.node_left_over", trie.root_hash, key, [*nodes, nodes[-1]])
    refused("trie.wrong_node", trie.root_hash, key, nodes[::-1])
    refused("trie.wrong_node", bytes(32), key, nodes)
    refused("trie.too_many_nodes", trie.root_hash, key, nodes * 30)


def test_every_changed_byte_of_a_proof_is_noticed() -> None:
    trie = state(20)
    key = keccak256(address(3))
    nodes = nodes_of(trie, key)
    for index, node in enumerate(nodes):
        for position in range(len(node)):
            mutant = node[:position] + bytes((node[position] ^ 0x10,)) + node[position + 1 :]
            refused("trie.wrong_node", trie.root_hash, key, [*nodes[:index], mutant, *nodes[index + 1 :]])


@pytest.mark.parametrize(
    "node",
    [
        b"",
        b"\xc0",
        rlp.encode([b"\x20"]),
        rlp.encode([b"", b"value"]),
        rlp.encode([b"\x40", b"value"]),
        rlp.encode([b"\x21", b"value", b"more"]),
        rlp.encode([b"\x05", b"value"]),
        rlp.encode([b"\x00", bytes(32)]),
        rlp.encode([b"\x10", b""]),
        rlp.encode([b"\x10", bytes(31)]),
        rlp.encode([[b"\x20"], b"value"]),
        rlp.encode([b"\x20" + bytes(32), b""]),
        rlp.encode([[bytes(40)]] * 16 + [b""]),
        rlp.encode([b"x"] * 18),
    ],
)
def test_malformed_nodes_prove_nothing(node: bytes) -> None:
    refused("trie.malformed_node", keccak256(node), bytes(32), [node])


@pytest.mark.parametrize("value", [b"\x80", b"\xc0", b"\x01\x02", b"\x00", b"\xa1" + bytes([1]) * 33])
def test_a_storage_value_is_one_number_that_is_not_zero(value: bytes) -> None:
    node = rlp.encode([b"\x20" + keccak256(bytes(32)), value])
    with pytest.raises(ProofError) as caught:
        verify_storage_proof(keccak256(node), 0, [node])
    assert caught.value.code == "storage.malformed"


@pytest.mark.parametrize(
    "value", [b"\x01", rlp.encode([b"", b"", b""]), rlp.encode([b"", b"", bytes(31), bytes(32)])]
)
def test_an_account_has_four_fields(value: bytes) -> None:
    node = rlp.encode([b"\x20" + keccak256(address(1)), value])
    with pytest.raises(ProofError) as caught:
        verify_account_proof(keccak256(node), address(1), [node])
    assert caught.value.code == "account.malformed"


# ---- receipts and transactions in headers

RECEIPTS = [
    encode_receipt(build_receipt(kind, 1, 50_000 * (index + 1), [Log(address(index), (bytes(32),), b"data")]))
    for index, kind in enumerate((0, 2, 0x49))
]
RESULTS = [result_of(receipt, 100_000, 50_000) for receipt in RECEIPTS]
TRANSACTIONS = (b"one", b"two", b"three")


def header(height: int) -> Header:
    some = load_recording("four-nodes").blocks[1].block.header
    return replace(
        some, height=height, last_results_hash=results_hash(RESULTS), data_hash=data_hash(TRANSACTIONS)
    )


def receipt_proof(index: int) -> ReceiptProof:
    encoded = [encode_result(result) for result in RESULTS]
    return ReceiptProof(8, RECEIPTS[index], RESULTS[index], merkle_proof(encoded, index))


def test_a_receipt_is_proven_by_the_next_header() -> None:
    for index, kind in enumerate((0, 2, 0x49)):
        receipt = verify_receipt_proof(receipt_proof(index), header(9))
        assert (receipt.type, receipt.status) == (kind, 1)
        assert receipt.logs[0].address == address(index)


def test_a_receipt_proof_of_something_else_is_refused() -> None:
    proof = receipt_proof(1)

    def receipt_refused(code: str, mutant: ReceiptProof, next_header: Header) -> None:
        with pytest.raises(ProofError) as caught:
            verify_receipt_proof(mutant, next_header)
        assert caught.value.code == code

    receipt_refused("receipt.wrong_header", proof, header(8))
    receipt_refused("receipt.wrong_hash", replace(proof, receipt=RECEIPTS[0]), header(9))
    receipt_refused("receipt.wrong_hash", replace(proof, result=replace(proof.result, code=1)), header(9))
    receipt_refused("merkle.wrong_root", replace(proof, result=replace(proof.result, gas_used=1)), header(9))
    receipt_refused("merkle.wrong_root", proof, replace(header(9), last_results_hash=bytes(32)))
    path = proof.result_proof
    for mutant, code in (
        (replace(path, index=0), "merkle.wrong_root"),
        (replace(path, index=3), "merkle.bad_position"),
        (replace(path, total=1, index=0), "merkle.bad_path"),
        (replace(path, total=1 << 70), "merkle.bad_position"),
        (replace(path, aunts=path.aunts[:-1]), "merkle.bad_path"),
        (replace(path, aunts=(*path.aunts, bytes(32))), "merkle.bad_path"),
        (replace(path, aunts=(path.aunts[0][:31], *path.aunts[1:])), "merkle.bad_path"),
        (replace(path, aunts=path.aunts[::-1]), "merkle.wrong_root"),
    ):
        receipt_refused(code, replace(proof, result_proof=mutant), header(9))


def test_a_proven_hash_of_what_is_no_receipt_is_refused() -> None:
    result = result_of(b"no receipt", 1, 1)
    next_header = replace(header(9), last_results_hash=results_hash([result]))
    with pytest.raises(ProofError, match=r"receipt\.malformed"):
        verify_receipt_proof(ReceiptProof(8, b"no receipt", result, MerkleProof(0, 1, ())), next_header)


def test_a_transaction_is_proven_by_its_own_header() -> None:
    leaves = [sha256(raw) for raw in TRANSACTIONS]
    verify_transaction_proof(header(8), b"two", merkle_proof(leaves, 1))
    with pytest.raises(ProofError, match="wrong_root"):
        verify_transaction_proof(header(8), b"two", merkle_proof(leaves, 0))
    with pytest.raises(IndexError):
        merkle_proof(leaves, 3)
