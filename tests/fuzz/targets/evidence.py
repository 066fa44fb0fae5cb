"""Evidence of a transaction: ProofError and nothing else; what is accepted is what the chain holds.

An input is a byte and the evidence as RLP. Kind 0 is checked as it is: accepted evidence must be of a
transaction of the real chain, with its receipt. In kinds 1 to 3 a dishonest validator helps: 1 signs the
changed headers, 2 also links them, 3 also puts the roots into them to which the paths lead, so that every
step behind the signatures decides on changed bytes; then what is accepted must hold by a plain reading.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import rlp
from rlp.exceptions import RLPException

from evidence.transaction import SignedHeader, TransactionEvidence, verify_transaction
from node.chain.commit import Commit, encode_commit, sign_precommit
from node.chain.encoding import keccak256, sha256
from node.chain.errors import DecodeError, ProofError
from node.chain.genesis import Genesis
from node.chain.header import BlockId, Header, decode_header, encode_header, header_hash
from node.chain.merkle import MerkleProof, merkle_proof
from node.chain.receipt import decode_result, encode_receipt, encode_result
from node.chain.signing import ED25519
from node.chain.validators import validator_address
from tests.fuzz.mutators import mutate_rlp as mutate
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import Chain, person, transfer, validator_key

__all__ = ["mutate", "one_input", "seeds"]


@dataclass(frozen=True)
class Recorded:
    genesis: Genesis
    evidence: tuple[TransactionEvidence, ...]


@cache
def recorded() -> Recorded:
    """A chain of a few blocks, and the evidence of every transaction in it."""
    with tempfile.TemporaryDirectory() as directory:
        # People whose signatures are deterministic, so that kept inputs are of this chain in every process.
        others = [person(f"evidence {number}", ED25519) for number in (1, 2)]
        chain = Chain.create(Path(directory) / "ledger", more_people=others)
        to = chain.resident.address
        chain.add_block([chain.sign(who, [transfer(to, 1)]) for who in (chain.clerk, *others)])
        chain.add_block([chain.sign(chain.service, [transfer(to, 1)])])
        chain.add_block()
        found = []
        with chain.ledger.snapshot() as ledger:
            for height in (1, 2):
                raws, receipts = ledger.transactions(height), ledger.receipts(height)
                results = [encode_result(one.result) for one in receipts]
                signed = [
                    SignedHeader(ledger.header(at) or b"", ledger.commit(at) or b"")
                    for at in (height, height + 1)
                ]
                leaves = [sha256(raw) for raw in raws]
                found += [
                    TransactionEvidence(
                        raw, merkle_proof(leaves, index), receipts[index].encoded, results[index],
                        merkle_proof(results, index), signed[0], signed[1],
                    )
                    for index, raw in enumerate(raws)
                ]  # fmt: skip
        genesis = chain.ledger.genesis
        chain.close()
    return Recorded(genesis, tuple(found))


def one_input(data: bytes) -> None:
    given = _decode(data[1:])
    if given is None:
        return
    chain, kind = recorded(), data[0] % 4
    if kind:
        given = _helped(given, chain.genesis, kind)
    try:
        proven = verify_transaction(given, chain.genesis)
    except ProofError as error:
        check_refusal(error)
        return
    assert proven.transaction.raw == given.raw
    assert encode_receipt(proven.receipt) == given.receipt
    if not kind:
        assert (given.raw, given.receipt) in {(one.raw, one.receipt) for one in chain.evidence}
    header, following = decode_header(given.signed.header), decode_header(given.next_signed.header)
    result = decode_result(given.result)
    assert following.height == header.height + 1 == proven.height + 1
    assert following.last_block_id.hash == header_hash(header)
    assert (result.code, result.data) == (0, keccak256(given.receipt))
    assert header.data_hash == _root(sha256(given.raw), given.transaction_proof)
    assert following.last_results_hash == _root(given.result, given.result_proof)
    assert given.result_proof.index == given.transaction_proof.index


def _helped(given: TransactionEvidence, genesis: Genesis, kind: int) -> TransactionEvidence:
    try:
        header, following = decode_header(given.signed.header), decode_header(given.next_signed.header)
    except DecodeError:
        return given
    if kind > 2:
        header = replace(
            header, data_hash=_root(sha256(given.raw), given.transaction_proof) or header.data_hash
        )
        following = replace(
            following,
            last_results_hash=_root(given.result, given.result_proof) or following.last_results_hash,
        )
    if kind > 1:
        following = replace(following, last_block_id=BlockId(header_hash(header), 1, bytes(32)))
    return replace(given, signed=_sign(header, genesis), next_signed=_sign(following, genesis))


def _sign(header: Header, genesis: Genesis) -> SignedHeader:
    key = validator_key()
    block_id = BlockId(header_hash(header), 1, bytes(32))
    vote = sign_precommit(
        genesis.chain_name, header.height, 0, block_id, header.time_ns,
        validator_address(bytes(key.verify_key)), lambda message: key.sign(message).signature,
    )  # fmt: skip
    return SignedHeader(encode_header(header), encode_commit(Commit(header.height, 0, block_id, (vote,))))


def _root(leaf: bytes, proof: MerkleProof) -> bytes | None:
    """RFC 9162, section 2.1.3.2, read plainly: where the path leads; None if it cannot be one."""
    digest = hashlib.sha256(b"\x00" + leaf).digest()
    first, last = proof.index, proof.total - 1
    if not 0 <= first <= last:
        return None
    for aunt in proof.aunts:
        if last == 0:
            return None
        if first & 1 or first == last:
            digest = hashlib.sha256(b"\x01" + aunt + digest).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + aunt).digest()
        first, last = first >> 1, last >> 1
    return digest if last == 0 else None


def _encode(one: TransactionEvidence) -> bytes:
    return rlp.encode(
        [
            one.raw, _path(one.transaction_proof), one.receipt, one.result, _path(one.result_proof),
            [one.signed.header, one.signed.commit], [one.next_signed.header, one.next_signed.commit],
        ]
    )  # fmt: skip


def _path(proof: MerkleProof) -> list[object]:
    return [proof.index, proof.total, list(proof.aunts)]


def _decode(data: bytes) -> TransactionEvidence | None:
    try:
        raw, path, receipt, result, result_path, signed, following = rlp.decode(data, strict=True)
        return TransactionEvidence(
            _bytes(raw), _proof(path), _bytes(receipt), _bytes(result), _proof(result_path),
            SignedHeader(*map(_bytes, signed)), SignedHeader(*map(_bytes, following)),
        )  # fmt: skip
    except (RLPException, ValueError, TypeError):
        return None


def _proof(path: Any) -> MerkleProof:
    index, total, aunts = path
    if isinstance(aunts, bytes):
        raise TypeError
    index, total = (int.from_bytes(_bytes(number), "big") for number in (index, total))
    return MerkleProof(index, total, tuple(map(_bytes, aunts)))


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return value


def seeds() -> Iterator[bytes]:
    for number, one in enumerate(recorded().evidence):
        for kind in (0, 3) if number % 2 else (1, 2, 3):
            yield bytes((kind,)) + _encode(one)
    first, second, third = recorded().evidence[:3]
    for mixed in (
        replace(first, receipt=second.receipt, result=second.result, result_proof=second.result_proof),
        replace(first, result_proof=replace(first.result_proof, index=1)),
        replace(first, next_signed=first.signed),
        replace(third, transaction_proof=replace(third.transaction_proof, total=4)),
    ):
        for kind in (0, 1, 2, 3):
            yield bytes((kind,)) + _encode(mixed)
