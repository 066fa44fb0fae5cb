"""Commits: the precommits that made a block final, their bytes, their verification (CometBFT v0.40).

A precommit signs a *canonical vote*: type, height, round, block id, time and chain name, length-prefixed. A
commit holds one entry a validator, in the validator set's order; its hash stands in the next header.

`verify_commit` goes these steps: 1. the commit is of this height and block; 2. it has one entry a validator;
3. each entry is well-formed and names the validator at its place, none twice; 4. each vote, for the block or
for nil, is signed by that validator; 5. votes for the block carry more than two thirds of all power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import (
    decode_proto,
    decode_timestamp,
    encode_timestamp,
    encode_uvarint,
    field_bytes,
    field_integer,
    field_repeated,
    proto_bytes,
    proto_integer,
    proto_message,
    proto_sfixed64,
    require_canonical,
)
from node.chain.errors import DecodeError, ProofError, SignatureRefused
from node.chain.header import NIL_BLOCK_ID, BlockId, decode_block_id, encode_block_id
from node.chain.merkle import merkle_root
from node.chain.schemes.zip215 import verify_vote_signature
from node.chain.validators import Validator

FLAG_ABSENT: Final = 1
FLAG_COMMIT: Final = 2
FLAG_NIL: Final = 3
ZERO_TIME_NS: Final = -62_135_596_800 * 1_000_000_000
"""Go's zero time, 0001-01-01T00:00:00Z: the time of an absent vote."""
MAX_VALIDATORS: Final = 10_000

PREVOTE: Final = 1
PRECOMMIT: Final = 2
"""Kinds of votes; a commit is made of precommits."""


@dataclass(frozen=True, slots=True)
class CommitSignature:
    """One validator's part of a commit: FLAG_COMMIT, FLAG_NIL, or FLAG_ABSENT with everything else empty."""

    flag: int
    validator_address: bytes
    time_ns: int
    signature: bytes


ABSENT: Final = CommitSignature(FLAG_ABSENT, b"", ZERO_TIME_NS, b"")


@dataclass(frozen=True, slots=True)
class Commit:
    """The precommits for `block_id` at `height`, in the order of the validator set."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSignature, ...]


EMPTY_COMMIT: Final = Commit(0, 0, NIL_BLOCK_ID, ())
"""`last_commit` of the first block."""


def precommit_sign_bytes(chain_name: str, height: int, round: int, block_id: BlockId, time_ns: int) -> bytes:
    """What a validator signs that takes part in a commit."""
    return vote_sign_bytes(PRECOMMIT, chain_name, height, round, block_id, time_ns)


def vote_sign_bytes(
    kind: int, chain_name: str, height: int, round: int, block_id: BlockId, time_ns: int
) -> bytes:
    """CanonicalVote, length-prefixed; without a block id for a vote for nil."""
    vote = (
        proto_integer(1, kind)
        + proto_sfixed64(2, height)
        + proto_sfixed64(3, round)
        + (b"" if block_id.is_nil else proto_message(4, encode_block_id(block_id)))
        + proto_message(5, encode_timestamp(time_ns))
        + proto_bytes(6, chain_name.encode())
    )
    return encode_uvarint(len(vote)) + vote


def sign_precommit(
    chain_name: str,
    height: int,
    round: int,
    block_id: BlockId,
    time_ns: int,
    validator_address: bytes,
    sign: Callable[[bytes], bytes],
) -> CommitSignature:
    """A vote for the block; `sign` makes the raw Ed25519 signature of 64 bytes over a message."""
    signature = sign(precommit_sign_bytes(chain_name, height, round, block_id, time_ns))
    return CommitSignature(FLAG_COMMIT, validator_address, time_ns, signature)


def commit_hash(commit: Commit) -> bytes:
    """`last_commit_hash` of the next header: the Merkle root over the encoded signatures only."""
    return merkle_root([encode_commit_signature(signature) for signature in commit.signatures])


def encode_commit_signature(signature: CommitSignature) -> bytes:
    return (
        proto_integer(1, signature.flag)
        + proto_bytes(2, signature.validator_address)
        + proto_message(3, encode_timestamp(signature.time_ns))
        + proto_bytes(4, signature.signature)
    )


def decode_commit_signature(data: bytes) -> CommitSignature:
    """Raises DecodeError proto.*, commit.bad_flag."""
    fields = decode_proto(data, "commit signature")
    signature = CommitSignature(
        field_integer(fields, 1, "block_id_flag"),
        field_bytes(fields, 2, "validator_address"),
        decode_timestamp(field_bytes(fields, 3, "timestamp"), "timestamp"),
        field_bytes(fields, 4, "signature"),
    )
    if signature.flag not in (FLAG_ABSENT, FLAG_COMMIT, FLAG_NIL):
        raise DecodeError("commit.bad_flag", "no such kind of vote", signature.flag, [1, 2, 3])
    require_canonical(encode_commit_signature(signature), data, "commit signature")
    return signature


def encode_commit(commit: Commit) -> bytes:
    return (
        proto_integer(1, commit.height)
        + proto_integer(2, commit.round)
        + proto_message(3, encode_block_id(commit.block_id))
        + b"".join(proto_message(4, encode_commit_signature(signature)) for signature in commit.signatures)
    )


def decode_commit(data: bytes) -> Commit:
    """The commit that `data` is the only encoding of. Raises DecodeError proto.*, commit.*, header.*."""
    fields = decode_proto(data, "commit", MAX_VALIDATORS + 3)
    commit = Commit(
        field_integer(fields, 1, "height"),
        field_integer(fields, 2, "round"),
        decode_block_id(field_bytes(fields, 3, "block_id")),
        tuple(decode_commit_signature(item) for item in field_repeated(fields, 4, "signatures")),
    )
    if commit.height < 0 or not 0 <= commit.round < 1 << 31:
        raise DecodeError(
            "commit.bad_position", "height or round out of range", [commit.height, commit.round]
        )
    require_canonical(encode_commit(commit), data, "commit")
    return commit


def verify_commit(
    chain_name: str, validators: Sequence[Validator], block_id: BlockId, height: int, commit: Commit
) -> None:
    """More than two thirds of `validators` (in CometBFT's order) signed `block_id` at `height`.

    Raises ProofError: commit.no_validators, commit.wrong_height, commit.wrong_block, commit.wrong_count,
    commit.bad_entry, commit.wrong_validator, commit.repeated_validator, commit.bad_signature,
    commit.no_quorum.
    """
    if not validators:
        raise ProofError("commit.no_validators", "there are no validators to ask")
    # 1
    if commit.height != height:
        raise ProofError("commit.wrong_height", "the commit is of another height", commit.height, height)
    if commit.block_id != block_id or block_id.is_nil:
        raise ProofError(
            "commit.wrong_block", "the commit is of another block", commit.block_id.hash, block_id.hash
        )
    # 2
    if len(commit.signatures) != len(validators):
        raise ProofError(
            "commit.wrong_count", "one entry a validator is wanted", len(commit.signatures), len(validators)
        )
    power = 0
    seen: set[bytes] = set()
    for validator, entry in zip(validators, commit.signatures, strict=True):
        # 3
        if entry.flag == FLAG_ABSENT:
            if entry != ABSENT:
                raise ProofError(
                    "commit.bad_entry", "an absent vote carries nothing", entry.validator_address
                )
            continue
        if entry.flag not in (FLAG_COMMIT, FLAG_NIL):
            raise ProofError("commit.bad_entry", "no such kind of vote", entry.flag, [1, 2, 3])
        if entry.validator_address != validator.address:
            raise ProofError(
                "commit.wrong_validator",
                "the entry names another validator",
                entry.validator_address,
                validator.address,
            )
        if validator.public_key in seen:
            raise ProofError("commit.repeated_validator", "a validator stands twice", validator.address)
        seen.add(validator.public_key)
        # 4
        voted_for = block_id if entry.flag == FLAG_COMMIT else NIL_BLOCK_ID
        message = precommit_sign_bytes(chain_name, height, commit.round, voted_for, entry.time_ns)
        try:
            verify_vote_signature(validator.public_key, message, entry.signature)
        except SignatureRefused as error:
            raise ProofError("commit.bad_signature", error.message, validator.address) from None
        if entry.flag == FLAG_COMMIT:
            power += validator.power
    # 5
    total = sum(validator.power for validator in validators)
    if power * 3 <= total * 2:
        raise ProofError(
            "commit.no_quorum", "votes for the block are too few", power, f"more than two thirds of {total}"
        )
