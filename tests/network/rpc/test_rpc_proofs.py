"""What a node says of itself is proven from bytes alone: header hash, commit, transaction, receipt."""

from __future__ import annotations

import time
from typing import Any

from node.chain.commit import decode_commit, verify_commit
from node.chain.encoding import keccak256, sha256
from node.chain.header import Header, decode_header, header_hash
from node.chain.merkle import MerkleProof, verify_merkle_proof
from node.chain.receipt import decode_receipt, decode_result
from node.chain.validators import Validator, validators_hash
from tests.helpers.rpc_node import RunningNode

MINT = bytes.fromhex("a0712d68") + bytes(31) + b"\x01"


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def merkle_proof(proof: dict[str, Any]) -> MerkleProof:
    return MerkleProof(int(proof["index"], 16), int(proof["total"], 16), tuple(map(raw, proof["aunts"])))


def verified_header(node: RunningNode, signed: dict[str, Any]) -> Header:
    """The header whose hash more than two thirds of the genesis validators signed."""
    header, commit = decode_header(raw(signed["encoded"])), decode_commit(raw(signed["commit"]))
    validators = tuple(Validator(one.public_key, one.power) for one in node.genesis.validators)
    assert header.validators_hash == validators_hash(validators)
    assert commit.block_id.hash == header_hash(header)
    verify_commit(node.genesis.chain_name, validators, commit.block_id, header.height, commit)
    return header


def complete_proof(node: RunningNode, transaction_hash: str) -> dict[str, Any]:
    for _ in range(200):
        proof: dict[str, Any] = node.call("shelian_getTransactionProof", transaction_hash)
        if proof["isComplete"]:
            return proof
        time.sleep(0.01)
    raise AssertionError("no proof block")


def test_a_transaction_and_its_receipt_are_proven(node: RunningNode, sample: str) -> None:
    receipt = node.send(node.sign_imi([(sample, MINT), (sample, MINT)]))
    proof = complete_proof(node, receipt["transactionHash"])
    header, following = verified_header(node, proof["header"]), verified_header(node, proof["nextHeader"])
    assert following.last_block_id.hash == header_hash(header) == raw(receipt["blockHash"])
    transaction, execution = proof["transaction"], proof["receipt"]
    assert keccak256(raw(transaction["raw"])) == raw(receipt["transactionHash"])
    verify_merkle_proof(header.data_hash, sha256(raw(transaction["raw"])), merkle_proof(transaction["proof"]))
    result = raw(execution["result"])
    verify_merkle_proof(following.last_results_hash, result, merkle_proof(execution["proof"]))
    assert decode_result(result).data == keccak256(raw(execution["encoded"]))
    proven = decode_receipt(raw(execution["encoded"]))
    assert (proven.type, proven.status, len(proven.logs)) == (0x49, 1, 2)
    block = node.call("eth_getBlockByHash", receipt["blockHash"], False)
    assert following.app_hash == raw(block["stateRoot"])


def test_an_unknown_transaction_has_no_proof(node: RunningNode) -> None:
    assert node.call("shelian_getTransactionProof", "0x" + "00" * 32) is None


def test_a_header_is_served_with_the_commit_that_made_it_final(node: RunningNode, sample: str) -> None:
    for block in ("0x1", "latest", {"blockNumber": "0x2"}):
        signed = node.call("shelian_getHeader", block)
        parts = {"encoded": signed["header"]["encoded"], "commit": signed["commit"]["encoded"]}
        header = verified_header(node, parts)
        assert header_hash(header) == raw(signed["hash"])
        assert hex(header.height) == signed["height"]
        assert signed["header"]["validatorsHash"] == "0x" + header.validators_hash.hex()
        assert int(signed["commit"]["signatures"][0]["timeNs"]) > 0
    assert node.call("shelian_getHeader", "earliest") is None
    assert node.call("shelian_getHeader", hex(1 << 40)) is None
