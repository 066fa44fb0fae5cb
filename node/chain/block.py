"""Blocks: header, transactions, evidence and the commit of the block before, as CometBFT v0.40 stores them.

A block's id is its header hash together with the Merkle root over the 65,536-byte parts of its encoding.
Decoding is strict: what `decode_block` returns re-encodes to the same bytes, so a stored block can be
verified again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.commit import Commit, commit_hash, decode_commit, encode_commit
from node.chain.encoding import (
    decode_proto,
    field_bytes,
    field_repeated,
    proto_message,
    require_canonical,
    sha256,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import BlockId, Header, decode_header, encode_header, header_hash
from node.chain.merkle import merkle_root

PART_BYTES: Final = 65_536
MAX_BLOCK_BYTES: Final = 104_857_600
MAX_TRANSACTIONS: Final = 1 << 20
MAX_EVIDENCE: Final = 1 << 12

DUPLICATE_VOTE: Final = 1
LIGHT_CLIENT_ATTACK: Final = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of a validator's misbehaviour, `encoded` as it came."""

    kind: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Block:
    header: Header
    transactions: tuple[bytes, ...]
    last_commit: Commit
    evidence: tuple[Evidence, ...] = ()


def data_hash(transactions: Sequence[bytes]) -> bytes:
    """The Merkle root over sha256 of each raw transaction."""
    return merkle_root([sha256(raw) for raw in transactions])


def evidence_hash(evidence: Sequence[Evidence]) -> bytes:
    """The Merkle root over each piece of evidence, without the wrapper that names its kind."""
    return merkle_root([item.encoded for item in evidence])


def encode_block(block: Block) -> bytes:
    data = b"".join(proto_message(1, raw) for raw in block.transactions)
    evidence = b"".join(proto_message(1, proto_message(item.kind, item.encoded)) for item in block.evidence)
    return (
        proto_message(1, encode_header(block.header))
        + proto_message(2, data)
        + proto_message(3, evidence)
        + proto_message(4, encode_commit(block.last_commit))
    )


def decode_block(encoded: bytes) -> Block:
    """The block that `encoded` is the only encoding of.

    Raises DecodeError: block.too_large, block.no_last_commit, block.bad_evidence, proto.*, header.*,
    commit.*.
    """
    if len(encoded) > MAX_BLOCK_BYTES:
        raise DecodeError("block.too_large", "the block is too large", len(encoded), MAX_BLOCK_BYTES)
    fields = decode_proto(encoded, "block")
    if 4 not in fields:
        raise DecodeError("block.no_last_commit", "the commit of the block before is missing")
    data = decode_proto(field_bytes(fields, 2, "data"), "data", MAX_TRANSACTIONS)
    evidence = decode_proto(field_bytes(fields, 3, "evidence"), "evidence", MAX_EVIDENCE)
    block = Block(
        decode_header(field_bytes(fields, 1, "header")),
        tuple(field_repeated(data, 1, "txs")),
        decode_commit(field_bytes(fields, 4, "last_commit")),
        tuple(_decode_evidence(item) for item in field_repeated(evidence, 1, "evidence")),
    )
    require_canonical(encode_block(block), encoded, "block")
    return block


def split_parts(encoded: bytes) -> list[bytes]:
    """The parts in which a block is gossiped: 65,536 bytes each, the last one shorter."""
    return [encoded[start : start + PART_BYTES] for start in range(0, len(encoded), PART_BYTES)]


def block_id_of(block: Block, encoded: bytes | None = None) -> BlockId:
    """The id of a block; `encoded` spares encoding it again."""
    parts = split_parts(encode_block(block) if encoded is None else encoded)
    return BlockId(header_hash(block.header), len(parts), merkle_root(parts))


def verify_block(block: Block) -> None:
    """The header's hashes are those of what the block holds.

    Raises ProofError: block.wrong_data_hash, block.wrong_last_commit_hash, block.wrong_evidence_hash.
    """
    header = block.header
    for code, claimed, computed in (
        ("block.wrong_data_hash", header.data_hash, data_hash(block.transactions)),
        ("block.wrong_last_commit_hash", header.last_commit_hash, commit_hash(block.last_commit)),
        ("block.wrong_evidence_hash", header.evidence_hash, evidence_hash(block.evidence)),
    ):
        if claimed != computed:
            raise ProofError(code, "the header's hash is not that of the block's content", claimed, computed)


def _decode_evidence(data: bytes) -> Evidence:
    fields = decode_proto(data, "evidence")
    if len(fields) != 1:
        raise DecodeError("block.bad_evidence", "a piece of evidence has one kind", sorted(fields), 1)
    kind = next(iter(fields))
    if kind not in (DUPLICATE_VOTE, LIGHT_CLIENT_ATTACK):
        raise DecodeError("block.bad_evidence", "no such kind of evidence", kind, [1, 2])
    return Evidence(kind, field_bytes(fields, kind, "evidence"))
