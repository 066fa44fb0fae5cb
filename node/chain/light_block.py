"""Light blocks: a header, the commit for it and the validators of its height; whether one holds by itself.

`check_block` goes these steps:
1. it is of this chain and of CometBFT's block protocol; 2. no number in header or commit is out of the range
that its bytes can hold; 3. the validators are a proper set, and the header names it; 4. the commit is of this
header; 5. more than two thirds of that set signed it (`node.chain.commit.verify_commit`).

Anybody can make such a block with keys of their own. Whether it is true, trust decides: `node.chain.light`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.commit import (
    FLAG_COMMIT,
    MAX_VALIDATORS,
    Commit,
    decode_commit,
    encode_commit,
    verify_commit,
)
from node.chain.encoding import decode_proto, field_bytes, field_repeated, proto_message, require_canonical
from node.chain.errors import DecodeError, ProofError
from node.chain.header import BLOCK_PROTOCOL, Header, decode_header, encode_header, header_hash
from node.chain.validators import (
    Validator,
    decode_validator,
    encode_validator,
    sort_validators,
    validators_hash,
)

MAX_TOTAL_POWER: Final = ((1 << 63) - 1) // 8
MIN_TIME_NS: Final = -(1 << 63) * 1_000_000_000
MAX_TIME_NS: Final = (1 << 63) * 1_000_000_000
"""Between these lie the times that a Timestamp's bytes can hold."""


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header, the commit for it, and the validators of its height in CometBFT's order."""

    header: Header
    commit: Commit
    validators: tuple[Validator, ...]


@dataclass(frozen=True, slots=True)
class CheckedBlock:
    """A light block that holds by itself; only `check_block` makes one. Whether it is true, trust decides."""

    block: LightBlock
    hash: bytes
    """The header's hash."""
    signers: frozenset[bytes]
    """Public keys whose votes for the block were verified."""


def check_block(block: LightBlock, chain_name: str) -> CheckedBlock:
    """Go the steps of the module.

    Raises ProofError: light.wrong_chain, light.block_protocol, light.malformed, light.set_size,
    light.bad_key, light.repeated_validator, light.bad_power, light.wrong_order, light.wrong_validators,
    light.wrong_commit, commit.*.
    """
    header, commit, validators = block.header, block.commit, block.validators
    # 1
    if header.chain_name != chain_name:
        raise ProofError("light.wrong_chain", "the header is of another chain", header.chain_name, chain_name)
    if header.block_version != BLOCK_PROTOCOL:
        raise ProofError(
            "light.block_protocol",
            "the header is of another block protocol",
            header.block_version,
            BLOCK_PROTOCOL,
        )
    # 2
    check_header(header)
    _check_commit(commit)
    # 3
    _check_set(validators)
    named = validators_hash(validators)
    if header.validators_hash != named:
        raise ProofError(
            "light.wrong_validators",
            "the header names another set of validators",
            named,
            header.validators_hash,
        )
    # 4
    hash = header_hash(header)
    if commit.block_id.hash != hash:
        raise ProofError("light.wrong_commit", "the commit is of another header", commit.block_id.hash, hash)
    # 5
    verify_commit(chain_name, validators, commit.block_id, header.height, commit)
    signers = frozenset(
        validator.public_key
        for validator, entry in zip(validators, commit.signatures, strict=True)
        if entry.flag == FLAG_COMMIT
    )
    return CheckedBlock(block, hash, signers)


def encode_light_block(block: LightBlock) -> bytes:
    """header (1), commit (2), validators (3)…, each as it stands elsewhere in a chain."""
    return (
        proto_message(1, encode_header(block.header))
        + proto_message(2, encode_commit(block.commit))
        + b"".join(proto_message(3, encode_validator(validator)) for validator in block.validators)
    )


def decode_light_block(data: bytes) -> LightBlock:
    """The light block that `data` is the only encoding of.

    Raises DecodeError proto.*, header.*, commit.*, validator.*.
    """
    fields = decode_proto(data, "light block", MAX_VALIDATORS + 2)
    block = LightBlock(
        decode_header(field_bytes(fields, 1, "header")),
        decode_commit(field_bytes(fields, 2, "commit")),
        tuple(decode_validator(item) for item in field_repeated(fields, 3, "validators")),
    )
    require_canonical(encode_light_block(block), data, "light block")
    return block


def check_header(header: Header) -> None:
    """The header is what its own bytes decode to. Raises ProofError light.malformed.

    Numbers are encoded modulo 2^64: without this, other numbers could stand under the same hash.
    """
    try:
        is_whole = decode_header(encode_header(header)) == header
    except DecodeError as error:
        raise ProofError("light.malformed", error.message, error.got, error.expected) from None
    if not is_whole:
        raise ProofError("light.malformed", "a number is out of the range that its bytes can hold")


def _check_commit(commit: Commit) -> None:
    """The same of what is signed; what `verify_commit` compares with header and set needs no look here."""
    if commit.block_id.part_count >> 32 or not 0 <= commit.round < 1 << 31:
        raise ProofError(
            "light.malformed", "parts or round out of range", [commit.block_id.part_count, commit.round]
        )
    for entry in commit.signatures:
        if not MIN_TIME_NS <= entry.time_ns < MAX_TIME_NS:
            raise ProofError("light.malformed", "a vote's time is out of range", entry.time_ns)


def _check_set(validators: Sequence[Validator]) -> None:
    if not 0 < len(validators) <= MAX_VALIDATORS:
        raise ProofError(
            "light.set_size",
            "a set has at least one validator, and not too many",
            len(validators),
            MAX_VALIDATORS,
        )
    if any(len(validator.public_key) != 32 for validator in validators):
        raise ProofError("light.bad_key", "an Ed25519 key has 32 bytes")
    if len({validator.public_key for validator in validators}) != len(validators):
        raise ProofError("light.repeated_validator", "a validator stands twice in the set")
    total = sum(validator.power for validator in validators)
    if min(validator.power for validator in validators) < 1 or total > MAX_TOTAL_POWER:
        raise ProofError(
            "light.bad_power", "a power is below 1, or the sum is too large", total, MAX_TOTAL_POWER
        )
    if sort_validators(validators) != tuple(validators):
        raise ProofError("light.wrong_order", "the validators do not stand in their order")
