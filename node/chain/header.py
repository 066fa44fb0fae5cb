"""Block headers as CometBFT v0.40 hashes and stores them.

The header hash is the Merkle root over its fourteen fields, each in protobuf form. It is the block's hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.chain.encoding import (
    decode_proto,
    decode_timestamp,
    encode_timestamp,
    field_bytes,
    field_integer,
    proto_bytes,
    proto_integer,
    proto_message,
    require_canonical,
    sha256,
)
from node.chain.errors import DecodeError
from node.chain.merkle import merkle_root

BLOCK_PROTOCOL: Final = 11
"""`version.block` of CometBFT v0.40."""
MAX_CHAIN_NAME_BYTES: Final = 50


@dataclass(frozen=True, slots=True)
class BlockId:
    """A block's header hash, and the number and Merkle root of its parts. All empty: no block."""

    hash: bytes
    part_count: int
    parts_hash: bytes

    @property
    def is_nil(self) -> bool:
        return not self.hash and not self.part_count and not self.parts_hash


NIL_BLOCK_ID: Final = BlockId(b"", 0, b"")


@dataclass(frozen=True, slots=True)
class Header:
    """`time_ns` in nanoseconds since the epoch; hashes 32 bytes; docs/PROTOCOL.md says what each covers."""

    chain_name: str
    height: int
    time_ns: int
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    """The state root after the block before this one."""
    last_results_hash: bytes
    """The results of the block before this one."""
    evidence_hash: bytes
    proposer_address: bytes
    """20 bytes."""
    app_version: int
    """The version of the rules in force."""
    block_version: int = BLOCK_PROTOCOL


def header_hash(header: Header) -> bytes:
    return merkle_root(
        [
            encode_version(header),
            proto_bytes(1, header.chain_name.encode()),
            proto_integer(1, header.height),
            encode_timestamp(header.time_ns),
            encode_block_id(header.last_block_id),
            *(proto_bytes(1, value) for value in _hashes(header)),
        ]
    )


def consensus_hash(block_max_bytes: int, block_max_gas: int) -> bytes:
    """`consensus_hash` of a header: sha256 of HashedParams (the only two parameters it covers)."""
    return sha256(proto_integer(1, block_max_bytes) + proto_integer(2, block_max_gas))


def encode_version(header: Header) -> bytes:
    return proto_integer(1, header.block_version) + proto_integer(2, header.app_version)


def encode_block_id(block_id: BlockId) -> bytes:
    part_set_header = proto_integer(1, block_id.part_count) + proto_bytes(2, block_id.parts_hash)
    return proto_bytes(1, block_id.hash) + proto_message(2, part_set_header)


def decode_block_id(data: bytes) -> BlockId:
    """Raises DecodeError proto.*, header.bad_hash."""
    fields = decode_proto(data, "block_id")
    parts = decode_proto(field_bytes(fields, 2, "part_set_header"), "part_set_header")
    block_id = BlockId(
        field_bytes(fields, 1, "block_id.hash"),
        field_integer(parts, 1, "part_set_header.total", signed=False),
        field_bytes(parts, 2, "part_set_header.hash"),
    )
    _require_hash(block_id.hash, "block_id.hash")
    _require_hash(block_id.parts_hash, "part_set_header.hash")
    require_canonical(encode_block_id(block_id), data, "block_id")
    return block_id


def encode_header(header: Header) -> bytes:
    return b"".join(
        (
            proto_message(1, encode_version(header)),
            proto_bytes(2, header.chain_name.encode()),
            proto_integer(3, header.height),
            proto_message(4, encode_timestamp(header.time_ns)),
            proto_message(5, encode_block_id(header.last_block_id)),
            *(proto_bytes(field, value) for field, value in enumerate(_hashes(header), start=6)),
        )
    )


def decode_header(data: bytes) -> Header:
    """The header that `data` is the only encoding of.

    Raises DecodeError: proto.*, header.bad_chain_name, header.bad_height, header.bad_hash,
    header.bad_address.
    """
    fields = decode_proto(data, "header")
    version = decode_proto(field_bytes(fields, 1, "version"), "version")
    hashes = [field_bytes(fields, field, _HASH_NAMES[field - 6]) for field in range(6, 15)]
    for name, value in zip(_HASH_NAMES[:-1], hashes[:-1], strict=True):
        _require_hash(value, name)
    if len(hashes[-1]) != 20:
        raise DecodeError("header.bad_address", "the proposer's address has 20 bytes", len(hashes[-1]), 20)
    chain_name = field_bytes(fields, 2, "chain_id")
    if len(chain_name) > MAX_CHAIN_NAME_BYTES or not chain_name.isascii():
        raise DecodeError("header.bad_chain_name", "the chain's name is up to 50 ASCII bytes", chain_name)
    height = field_integer(fields, 3, "height")
    if height < 1:
        raise DecodeError("header.bad_height", "heights begin at 1", height)
    header = Header(
        chain_name=chain_name.decode("ascii"),
        height=height,
        time_ns=decode_timestamp(field_bytes(fields, 4, "time"), "time"),
        last_block_id=decode_block_id(field_bytes(fields, 5, "last_block_id")),
        last_commit_hash=hashes[0],
        data_hash=hashes[1],
        validators_hash=hashes[2],
        next_validators_hash=hashes[3],
        consensus_hash=hashes[4],
        app_hash=hashes[5],
        last_results_hash=hashes[6],
        evidence_hash=hashes[7],
        proposer_address=hashes[8],
        app_version=field_integer(version, 2, "version.app", signed=False),
        block_version=field_integer(version, 1, "version.block", signed=False),
    )
    require_canonical(encode_header(header), data, "header")
    return header


_HASH_NAMES: Final = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)


def _hashes(header: Header) -> tuple[bytes, ...]:
    return (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer_address,
    )


def _require_hash(value: bytes, name: str) -> None:
    # app_hash is the application's own: CometBFT leaves its length open, so does the decoder.
    if name != "app_hash" and len(value) not in (0, 32):
        raise DecodeError("header.bad_hash", f"{name} has the wrong length", len(value), 32)
