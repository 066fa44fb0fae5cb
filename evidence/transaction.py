"""Verifying one transaction and its receipt from signed headers, with nothing but bytes and the genesis.

`verify_transaction` goes these steps:

1. Header h is what more than two thirds of the genesis validators signed.
2. The transaction stands in header h.
3. It decodes, is of this chain, and its signature names its sender.
4. Header h+1 is signed too and follows header h.
5. The receipt stands in header h+1.

What it does not prove: that the sender's credential was valid (that was the chain's to check when it
executed the transaction), and, with one validator, that the time is right. A validator set that changed
since genesis is refused: the history of changes is not part of this form of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.chain.commit import decode_commit, verify_commit
from node.chain.errors import ProofError, ShelianError
from node.chain.genesis import Genesis
from node.chain.header import Header, decode_header, header_hash
from node.chain.merkle import MerkleProof
from node.chain.proof import ReceiptProof, verify_receipt_proof, verify_transaction_proof
from node.chain.receipt import Receipt, decode_result
from node.chain.signing import sender_of
from node.chain.transaction import Address, Transaction, decode
from node.chain.validators import Validator, sort_validators, validators_hash


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """An encoded header and the encoded commit for it."""

    header: bytes
    commit: bytes


@dataclass(frozen=True, slots=True)
class TransactionEvidence:
    """Everything that proves a transaction: its bytes, its receipt's, and where both stand."""

    raw: bytes
    transaction_proof: MerkleProof
    receipt: bytes
    result: bytes
    result_proof: MerkleProof
    signed: SignedHeader
    next_signed: SignedHeader


@dataclass(frozen=True, slots=True)
class ProvenTransaction:
    """What was proved. `time_ns` is the header's time in nanoseconds since the epoch."""

    transaction: Transaction
    sender: Address
    receipt: Receipt
    height: int
    time_ns: int


def verify_transaction(evidence: TransactionEvidence, genesis: Genesis) -> ProvenTransaction:
    """Go the steps of the module. Raises ProofError, and nothing else on any input."""
    try:
        return _verify(evidence, genesis)
    except ProofError:
        raise
    except ShelianError as error:
        raise ProofError(error.code, error.message, error.got, error.expected) from error


def _verify(evidence: TransactionEvidence, genesis: Genesis) -> ProvenTransaction:
    validators = sort_validators(Validator(one.public_key, one.power) for one in genesis.validators)
    # 1
    header = _verify_signed(evidence.signed, genesis, validators)
    # 2
    verify_transaction_proof(header, evidence.raw, evidence.transaction_proof)
    # 3
    transaction = decode(evidence.raw)
    if transaction.chain_id != genesis.evm_chain_id:
        raise ProofError(
            "evidence.wrong_chain",
            "the transaction is of another chain",
            transaction.chain_id,
            genesis.evm_chain_id,
        )
    sender = sender_of(transaction)
    # 4
    next_header = _verify_signed(evidence.next_signed, genesis, validators)
    if next_header.last_block_id.hash != header_hash(header):
        raise ProofError(
            "evidence.not_next",
            "the second header does not follow the first",
            next_header.last_block_id.hash,
            header_hash(header),
        )
    # 5
    proof = ReceiptProof(
        header.height, evidence.receipt, decode_result(evidence.result), evidence.result_proof
    )
    if evidence.result_proof.index != evidence.transaction_proof.index:
        raise ProofError(
            "evidence.other_receipt",
            "the receipt is of another transaction of the block",
            evidence.result_proof.index,
            evidence.transaction_proof.index,
        )
    receipt = verify_receipt_proof(proof, next_header)
    return ProvenTransaction(transaction, sender, receipt, header.height, header.time_ns)


def _verify_signed(signed: SignedHeader, genesis: Genesis, validators: Sequence[Validator]) -> Header:
    header, commit = decode_header(signed.header), decode_commit(signed.commit)
    if header.chain_name != genesis.chain_name:
        raise ProofError(
            "evidence.wrong_chain",
            "the header is of another chain",
            header.chain_name,
            genesis.chain_name,
        )
    expected = validators_hash(validators)
    if header.validators_hash != expected:
        raise ProofError(
            "evidence.validators_changed",
            "the validators are not those of genesis any more",
            header.validators_hash,
            expected,
        )
    if commit.block_id.hash != header_hash(header):
        raise ProofError(
            "evidence.wrong_commit",
            "the commit signs another header",
            commit.block_id.hash,
            header_hash(header),
        )
    verify_commit(genesis.chain_name, validators, commit.block_id, header.height, commit)
    return header
