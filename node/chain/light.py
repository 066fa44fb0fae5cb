"""Light client: from a height that is trusted to a later one, by headers, commits and validator sets alone.

A *light block* is a header, the commit for it and the validators of its height. It is taken in two halves:

`check_block` asks whether it holds by itself:
1. it is of this chain and of CometBFT's block protocol; 2. header and commit are what their own bytes decode
to; 3. the validators are a proper set, and the header names it; 4. the commit is of this header;
5. more than two thirds of that set signed it (`node.chain.commit.verify_commit`).

`advance` asks whether what is trusted leads to it:
1. the same chain, a greater height; 2. what is trusted has not expired; 3. time moves on, and not past the
clock; 4. to the next height: the set is the one that the trusted header names for it, and the header follows
the trusted one; 5. to a height further on: of the trusted set *more than* `trust_level` (a third) signed.

Where 5 fails nothing is proved false: `NotYetTrusted` says that a block in between is needed. Every other
ProofError says that something is wrong. A set that signs can always be followed to the next one by 4, so
whoever has every header gets everywhere; 5 only spares most of them.

`Clock` says what is known about time. `Live` is CometBFT's rule: a set is believed for a trusting period,
shorter than the time in which its members can be held to account. `Archive` is for an auditor years later; it
believes sets of any age, and what that assumes stands in the results (`node.chain.light_chain`).

The rules are CometBFT's (spec/light-client/verification) and stricter in five places: every vote of a commit
must verify, not only as many as are enough; the validators must stand in CometBFT's order; keys are compared
whole, not by address; the header of the next height must name the trusted block as its last; the first header
of a chain has the genesis time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
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
from node.chain.genesis import Genesis
from node.chain.header import (
    BLOCK_PROTOCOL,
    Header,
    decode_block_id,
    decode_header,
    encode_block_id,
    encode_header,
    header_hash,
)
from node.chain.validators import (
    Validator,
    decode_validator,
    encode_validator,
    sort_validators,
    validators_hash,
)

ONE_THIRD: Final = Fraction(1, 3)
"""CometBFT's default: among more than a third of a set, one is honest if fewer than a third are not."""
MAX_TOTAL_POWER: Final = ((1 << 63) - 1) // 8
DEFAULT_CLOCK_DRIFT_NS: Final = 10 * 1_000_000_000
MIN_TIME_NS: Final = -(1 << 63) * 1_000_000_000
MAX_TIME_NS: Final = (1 << 63) * 1_000_000_000
"""Between these lie the times that a Timestamp's bytes can hold."""


class NotYetTrusted(ProofError):
    """The block may be true, but what is trusted does not reach it: a block in between is needed."""


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


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is believed about a chain at `height`, and so about all that follows.

    From a genesis: the height before the first, no hash, the genesis time, the genesis validators.
    """

    chain_name: str
    height: int
    hash: bytes
    """The header's hash; empty for a genesis."""
    time_ns: int
    validators: tuple[Validator, ...]
    next_validators_hash: bytes
    next_app_hash: bytes | None = None
    """The app hash that the next header must have, if it is known: from a genesis or a handover."""


@dataclass(frozen=True, slots=True)
class Live:
    """A clock is at hand: `now_ns` since the epoch; a set is believed for `trusting_period_ns`.

    A header's time may be ahead of the clock by less than `max_clock_drift_ns`.
    """

    now_ns: int
    trusting_period_ns: int
    max_clock_drift_ns: int = DEFAULT_CLOCK_DRIFT_NS


@dataclass(frozen=True, slots=True)
class Archive:
    """No clock: sets of any age are believed. Results say that old keys are assumed safe, time unproven."""


Clock = Live | Archive


class StepKind(StrEnum):
    NEXT = "next"
    """To the next height: the trusted header names the set."""
    SKIPPED = "skipped"
    """Further on: enough of the trusted set signed there too."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was verified, and what is trusted now.

    `signed_power` of `total_power` is the share that carried it: of the block's own set for the next height,
    of the set that was trusted before for a height further on.
    """

    kind: StepKind
    from_height: int
    trusted: Trusted
    signed_power: int
    total_power: int


def trust_genesis(genesis: Genesis, app_hash: bytes | None = None) -> Trusted:
    """What a genesis file says before the first block; `app_hash` if its state was computed."""
    validators = sort_validators(Validator(one.public_key, one.power) for one in genesis.validators)
    return Trusted(
        genesis.chain_name,
        genesis.initial_height - 1,
        b"",
        genesis.genesis_time_ns,
        validators,
        validators_hash(validators),
        app_hash,
    )


def trust_block(block: LightBlock, chain_name: str, hash: bytes) -> Trusted:
    """Trust a block whose hash is known from elsewhere: one's own earlier verification, another agency.

    Raises ProofError: light.wrong_hash, and those of `check_block`.
    """
    checked = check_block(block, chain_name)
    if checked.hash != hash:
        raise ProofError("light.wrong_hash", "this is not the block that is trusted", checked.hash, hash)
    return _trust(checked)


def verify_next(trusted: Trusted, block: LightBlock, clock: Clock) -> Step:
    """`block` is of the next height and follows. Raises ProofError light.*, commit.*."""
    if block.header.height != trusted.height + 1:
        raise ProofError(
            "light.not_next", "the block is not of the next height", block.header.height, trusted.height + 1
        )
    return advance(trusted, check_block(block, trusted.chain_name), clock)


def verify_skipping(
    trusted: Trusted, block: LightBlock, clock: Clock, trust_level: Fraction = ONE_THIRD
) -> Step:
    """`block` is further on than the next height, and enough of the trusted set signed it.

    Raises NotYetTrusted light.need_between, ProofError light.*, commit.*.
    """
    if block.header.height == trusted.height + 1:
        raise ProofError("light.is_next", "the next height is verified without skipping", trusted.height + 1)
    return advance(trusted, check_block(block, trusted.chain_name), clock, trust_level)


def check_block(block: LightBlock, chain_name: str) -> CheckedBlock:
    """The first half of the module's steps.

    Raises ProofError: light.wrong_chain, light.block_protocol, light.malformed, light.set_size,
    light.bad_key, light.repeated_validator, light.bad_power, light.wrong_order, light.wrong_validators, light.wrong_commit,
    commit.*.
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
    _check_form(header, commit)
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


def advance(trusted: Trusted, checked: CheckedBlock, clock: Clock, trust_level: Fraction = ONE_THIRD) -> Step:
    """The second half of the module's steps; no signature is verified again.

    Raises NotYetTrusted: light.need_between. Raises ProofError: light.trust_level, light.wrong_chain,
    light.not_above, light.expired, light.genesis_time, light.time_not_above, light.from_future,
    light.other_validators, light.fork, light.wrong_app_hash.
    """
    if not ONE_THIRD <= trust_level <= 1:
        raise ProofError(
            "light.trust_level", "a trust level lies between a third and one", str(trust_level), "1/3 to 1"
        )
    header = checked.block.header
    # 1
    if header.chain_name != trusted.chain_name:
        raise ProofError(
            "light.wrong_chain", "the header is of another chain", header.chain_name, trusted.chain_name
        )
    if header.height <= trusted.height:
        raise ProofError(
            "light.not_above", "the height is not above the trusted one", header.height, trusted.height + 1
        )
    is_next = header.height == trusted.height + 1
    # 2 and 3
    _check_times(trusted, header, is_next, clock)
    # 4
    if is_next:
        _check_follows(trusted, header)
        own = checked.block.validators
        signed, total = _power_of(own, checked.signers)
        return Step(StepKind.NEXT, trusted.height, _trust(checked), signed, total)
    # 5
    signed, total = _power_of(trusted.validators, checked.signers)
    if signed * trust_level.denominator <= total * trust_level.numerator:
        raise NotYetTrusted(
            "light.need_between",
            f"too few of the validators of height {trusted.height} signed height {header.height}: "
            "a block in between is needed",
            signed,
            f"more than {trust_level} of {total}",
        )
    return Step(StepKind.SKIPPED, trusted.height, _trust(checked), signed, total)


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


def _check_form(header: Header, commit: Commit) -> None:
    """Numbers are encoded modulo 2^64: without this, other numbers could stand under the same hash or vote.

    What `verify_commit` compares with the header and the validators needs no look here.
    """
    try:
        block_id = decode_block_id(encode_block_id(commit.block_id))
        is_whole = decode_header(encode_header(header)) == header and block_id == commit.block_id
    except DecodeError as error:
        raise ProofError("light.malformed", error.message, error.got, error.expected) from None
    times = [entry.time_ns for entry in commit.signatures]
    if (
        not is_whole
        or not 0 <= commit.round < 1 << 31
        or any(not MIN_TIME_NS <= time_ns < MAX_TIME_NS for time_ns in times)
    ):
        raise ProofError("light.malformed", "a number is out of the range that its bytes can hold")


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


def _check_times(trusted: Trusted, header: Header, is_next: bool, clock: Clock) -> None:
    if isinstance(clock, Live):
        expires = trusted.time_ns + clock.trusting_period_ns
        if expires <= clock.now_ns:
            raise ProofError(
                "light.expired", "what is trusted is older than the trusting period", clock.now_ns, expires
            )
    if is_next and not trusted.hash:
        if header.time_ns != trusted.time_ns:
            raise ProofError(
                "light.genesis_time", "the first header has the genesis time", header.time_ns, trusted.time_ns
            )
    elif header.time_ns <= trusted.time_ns:
        raise ProofError(
            "light.time_not_above",
            "the time is not after the trusted one",
            header.time_ns,
            trusted.time_ns + 1,
        )
    if isinstance(clock, Live) and header.time_ns >= clock.now_ns + clock.max_clock_drift_ns:
        raise ProofError(
            "light.from_future",
            "the header's time is ahead of the clock",
            header.time_ns,
            clock.now_ns + clock.max_clock_drift_ns,
        )


def _check_follows(trusted: Trusted, header: Header) -> None:
    if header.validators_hash != trusted.next_validators_hash:
        raise ProofError(
            "light.other_validators",
            "the trusted header names another set for this height",
            header.validators_hash,
            trusted.next_validators_hash,
        )
    if header.last_block_id.hash != trusted.hash:
        raise ProofError(
            "light.fork",
            "the header follows another block of the trusted height",
            header.last_block_id.hash,
            trusted.hash,
        )
    if trusted.next_app_hash is not None and header.app_hash != trusted.next_app_hash:
        raise ProofError(
            "light.wrong_app_hash",
            "the first header has another state than the genesis",
            header.app_hash,
            trusted.next_app_hash,
        )


def _power_of(validators: Sequence[Validator], signers: frozenset[bytes]) -> tuple[int, int]:
    """The power of those who signed, and of all."""
    signed = total = 0
    for validator in validators:
        total += validator.power
        if validator.public_key in signers:
            signed += validator.power
    return signed, total


def _trust(checked: CheckedBlock) -> Trusted:
    header = checked.block.header
    return Trusted(
        header.chain_name,
        header.height,
        checked.hash,
        header.time_ns,
        checked.block.validators,
        header.next_validators_hash,
    )
