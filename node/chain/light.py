"""Light client: from a height that is trusted to a later one, by headers, commits and validator sets alone.

A light block that holds by itself (`node.chain.light_block`) is true if what is trusted leads to it.
`advance` asks: 1. is it of the same chain, above the trusted height; 2. has trust not expired; 3. does time
move on, and not past the clock; 4. for the next height: is the set the one that the trusted header names for
it, and does the header follow the trusted one; 5. for a height further on: did *more than* `trust_level` (a
third) of the trusted set sign it.

Where 5 fails nothing is proved false: `NotYetTrusted` says that a block in between is needed. Every other
ProofError says that something is wrong. From set to set there is always a way by 4, so whoever has every
header gets everywhere; 5 only spares most of them.

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

from node.chain.errors import ProofError
from node.chain.genesis import Genesis
from node.chain.header import Header, header_hash
from node.chain.light_block import CheckedBlock, LightBlock, check_block, check_header
from node.chain.validators import Validator, sort_validators, validators_hash

ONE_THIRD: Final = Fraction(1, 3)
"""CometBFT's default: among more than a third of a set, one is honest if fewer than a third are not."""
DEFAULT_CLOCK_DRIFT_NS: Final = 10 * 1_000_000_000


class NotYetTrusted(ProofError):
    """The block may be true, but what is trusted does not reach it: a block in between is needed."""


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


def verify_previous(trusted: Header, header: Header) -> None:
    """`header` is of the height before a header that was proved, by the hash that stands in that one.

    No commit is needed. Raises ProofError: light.not_previous, light.other_block, light.malformed.
    """
    if header.chain_name != trusted.chain_name or header.height != trusted.height - 1:
        raise ProofError(
            "light.not_previous",
            "the header is not of the height before",
            [header.chain_name, header.height],
            [trusted.chain_name, trusted.height - 1],
        )
    check_header(header)
    hash = header_hash(header)
    if hash != trusted.last_block_id.hash:
        raise ProofError(
            "light.other_block",
            "the proved header follows another block",
            hash,
            trusted.last_block_id.hash,
        )


def advance(trusted: Trusted, checked: CheckedBlock, clock: Clock, trust_level: Fraction = ONE_THIRD) -> Step:
    """Go the steps of the module; no signature is verified again.

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
