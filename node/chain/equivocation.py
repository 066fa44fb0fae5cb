"""Equivocation: one validator, two votes of the same kind at one height and round for different blocks.

An honest validator never does that; whoever has both votes can prove it to anyone, without the chain. Votes
for different blocks in *different* rounds are no equivocation: a validator may change its mind when more than
two thirds of the others have.

Also read are the pieces of evidence that CometBFT puts into blocks (DuplicateVoteEvidence).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.block import DUPLICATE_VOTE, Evidence
from node.chain.commit import FLAG_ABSENT, FLAG_COMMIT, PRECOMMIT, PREVOTE, Commit, vote_sign_bytes
from node.chain.encoding import (
    ProtoFields,
    decode_proto,
    decode_timestamp,
    encode_timestamp,
    field_bytes,
    field_integer,
    proto_bytes,
    proto_integer,
    proto_message,
    require_canonical,
)
from node.chain.errors import DecodeError, ProofError, SignatureRefused
from node.chain.header import NIL_BLOCK_ID, BlockId, decode_block_id, encode_block_id
from node.chain.schemes.zip215 import verify_vote_signature
from node.chain.validators import Validator

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Vote:
    """A signed vote: `kind` PREVOTE or PRECOMMIT; a nil block id is a vote for no block."""

    public_key: bytes
    kind: int
    height: int
    round: int
    block_id: BlockId
    time_ns: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two votes that exclude each other, with all that it takes to check them; the lower block id first."""

    chain_name: str
    first: Vote
    second: Vote


def votes_of(commit: Commit, validators: Iterable[Validator]) -> tuple[Vote, ...]:
    """The votes of a commit by validators whose keys are known; not verified."""
    keys = {validator.address: validator.public_key for validator in validators}
    return tuple(
        Vote(
            keys[entry.validator_address],
            PRECOMMIT,
            commit.height,
            commit.round,
            commit.block_id if entry.flag == FLAG_COMMIT else NIL_BLOCK_ID,
            entry.time_ns,
            entry.signature,
        )
        for entry in commit.signatures
        if entry.flag != FLAG_ABSENT and entry.validator_address in keys
    )


def find_equivocation(
    chain_name: str, votes: Sequence[Vote], others: Sequence[Vote]
) -> tuple[Equivocation, ...]:
    """What `votes` and `others` prove together, one a validator and place, ordered by key.

    Votes that do not verify prove nothing and are passed over. For two commits: of `votes_of` each.
    """
    others_at: dict[tuple[bytes, int, int, int], list[Vote]] = {}
    for other in others:
        others_at.setdefault(_place(other), []).append(other)
    found: dict[tuple[bytes, int, int, int], Equivocation] = {}
    for vote in votes:
        place = _place(vote)
        for other in others_at.get(place, ()):
            if other.block_id == vote.block_id or place in found:
                continue
            first, second = sorted((vote, other), key=_block_order)
            evidence = Equivocation(chain_name, first, second)
            try:
                verify_equivocation(evidence)
            except ProofError:
                continue
            found[place] = evidence
    return tuple(found[place] for place in sorted(found))


def verify_equivocation(evidence: Equivocation, validators: Iterable[Validator] | None = None) -> None:
    """One key signed both votes; with `validators` (of that height) also: it is one of theirs.

    Raises ProofError: equivocation.malformed, equivocation.other_place, equivocation.wrong_order,
    equivocation.bad_signature, equivocation.no_validator.
    """
    try:
        if decode_equivocation(encode_equivocation(evidence)) != evidence:
            raise ProofError("equivocation.other_place", "the votes are not of one validator, kind and round")
    except DecodeError as error:
        raise ProofError("equivocation.malformed", error.message, error.got, error.expected) from None
    if _block_order(evidence.first) >= _block_order(evidence.second):
        raise ProofError(
            "equivocation.wrong_order",
            "the votes are for one block, or the lower block id does not stand first",
            evidence.first.block_id.hash,
            evidence.second.block_id.hash,
        )
    for vote in (evidence.first, evidence.second):
        message = vote_sign_bytes(
            vote.kind, evidence.chain_name, vote.height, vote.round, vote.block_id, vote.time_ns
        )
        try:
            verify_vote_signature(vote.public_key, message, vote.signature)
        except SignatureRefused as error:
            raise ProofError("equivocation.bad_signature", error.message, vote.public_key) from None
    if validators is not None and all(one.public_key != evidence.first.public_key for one in validators):
        raise ProofError(
            "equivocation.no_validator", "the key is none of the validators'", evidence.first.public_key
        )


def encode_equivocation(evidence: Equivocation) -> bytes:
    """version (1) = 1, chain_name (2), public_key (3), kind (4), height (5), round (6), first (7) and second
    (8): block_id (1), time (2), signature (3)."""
    vote = evidence.first
    return (
        proto_integer(1, VERSION)
        + proto_bytes(2, evidence.chain_name.encode("utf-8", "surrogatepass"))
        + proto_bytes(3, vote.public_key)
        + proto_integer(4, vote.kind)
        + proto_integer(5, vote.height)
        + proto_integer(6, vote.round)
        + proto_message(7, _encode_half(evidence.first))
        + proto_message(8, _encode_half(evidence.second))
    )


def decode_equivocation(data: bytes) -> Equivocation:
    """The evidence that `data` is the only encoding of; not verified.

    Raises DecodeError: equivocation.unknown_version, equivocation.bad_field, proto.*, header.bad_hash.
    """
    fields = decode_proto(data, "equivocation")
    version = field_integer(fields, 1, "version")
    if version != VERSION:
        raise DecodeError("equivocation.unknown_version", "no such version of evidence", version, VERSION)
    try:
        chain_name = field_bytes(fields, 2, "chain_name").decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("equivocation.bad_field", "the chain's name is not ASCII") from None
    evidence = Equivocation(
        chain_name, _decode_half(fields, 7, "first vote"), _decode_half(fields, 8, "second vote")
    )
    _check_range(evidence.first)
    require_canonical(encode_equivocation(evidence), data, "equivocation")
    return evidence


def read_block_evidence(evidence: Evidence, chain_name: str, validators: Iterable[Validator]) -> Equivocation:
    """The equivocation that a piece of DuplicateVoteEvidence in a block shows, verified.

    `validators` are those of the votes' height. Raises ProofError: equivocation.*, proto.*, header.*.
    """
    if evidence.kind != DUPLICATE_VOTE:
        raise ProofError("equivocation.other_kind", "the evidence is of another kind", evidence.kind, 1)
    keys = {validator.address: validator.public_key for validator in validators}
    try:
        fields = decode_proto(evidence.encoded, "duplicate vote evidence")
        votes = [
            _decode_vote(field_bytes(fields, number, name), keys)
            for number, name in ((1, "vote_a"), (2, "vote_b"))
        ]
    except DecodeError as error:
        raise ProofError(error.code, error.message, error.got, error.expected) from None
    first, second = sorted(votes, key=_block_order)
    found = Equivocation(chain_name, first, second)
    verify_equivocation(found)
    return found


def _decode_vote(data: bytes, keys: dict[bytes, bytes]) -> Vote:
    """CometBFT's Vote: type (1), height (2), round (3), block_id (4), timestamp (5), validator_address (6),
    validator_index (7), signature (8); extensions are not looked at."""
    fields = decode_proto(data, "vote")
    address = field_bytes(fields, 6, "validator_address")
    if address not in keys:
        raise DecodeError("equivocation.no_validator", "the address is none of the validators'", address)
    return Vote(
        keys[address],
        field_integer(fields, 1, "type"),
        field_integer(fields, 2, "height"),
        field_integer(fields, 3, "round"),
        decode_block_id(field_bytes(fields, 4, "block_id")),
        decode_timestamp(field_bytes(fields, 5, "timestamp"), "timestamp"),
        field_bytes(fields, 8, "signature"),
    )


def _encode_half(vote: Vote) -> bytes:
    return (
        proto_message(1, encode_block_id(vote.block_id))
        + proto_message(2, encode_timestamp(vote.time_ns))
        + proto_bytes(3, vote.signature)
    )


def _decode_half(fields: ProtoFields, field: int, name: str) -> Vote:
    half = decode_proto(field_bytes(fields, field, name), name)
    return Vote(
        field_bytes(fields, 3, "public_key"),
        field_integer(fields, 4, "kind"),
        field_integer(fields, 5, "height"),
        field_integer(fields, 6, "round"),
        decode_block_id(field_bytes(half, 1, name)),
        decode_timestamp(field_bytes(half, 2, name), name),
        field_bytes(half, 3, name),
    )


def _check_range(vote: Vote) -> None:
    if vote.kind not in (PREVOTE, PRECOMMIT) or vote.height < 1 or not 0 <= vote.round < 1 << 31:
        raise DecodeError(
            "equivocation.bad_field",
            "kind, height or round is out of range",
            [vote.kind, vote.height, vote.round],
        )


def _place(vote: Vote) -> tuple[bytes, int, int, int]:
    return vote.public_key, vote.height, vote.round, vote.kind


def _block_order(vote: Vote) -> bytes:
    return encode_block_id(vote.block_id)
