"""What a running consortium's tables say, as values, and what a governing call makes of them.

`Governance` is read from a node (`network.consortium.reading`) and passed in everywhere else: preflight,
plain words and motions are functions of it. `apply_call` does to it what the Consortium and IdentityRegistry
contracts do to their tables when a vote is carried out; it refuses nothing, for the contract itself is asked
by a dry run. What is no part of `Governance` (relying parties, rules, deployers) stays unmodelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from contracts.bindings import consortium, identity_registry
from contracts.vocabulary import OrganisationKind
from node.chain.errors import ShelianError
from node.chain.rules import CONSORTIUM, IDENTITY_REGISTRY
from node.chain.transaction import Call
from node.chain.validators import Validator, sort_validators, validator_address

REQUIRED_REGISTRARS: Final = 2
"""Fewer cannot enrol anybody: each act of theirs needs a second person."""
IN_FORCE_AFTER: Final = 2
"""A change of validators in block h is in force from block h + 2."""


class MembershipError(ShelianError):
    """An act on a running consortium that is refused. Codes are listed in docs/errors/membership.md."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member organisation.

    Attributes:
        id: its number on the chain, 1 to 240.
        kind: number of its kind (`node.chain.genesis.ORGANISATION_KINDS`).
        is_active: not suspended: its votes count, its nodes may connect.
        registrars: how many can act now.
        voters: how many people may propose and vote for it now.
    """

    id: int
    kind: int
    is_active: bool
    encryption_key: bytes = b""
    certificate: bytes = b""
    registrars: int = 0
    voters: int = 0

    @property
    def can_vote(self) -> bool:
        """Somebody may vote for it, or two registrars can appoint somebody."""
        return self.is_active and (self.voters > 0 or self.registrars >= REQUIRED_REGISTRARS)


@dataclass(frozen=True, slots=True)
class Seat:
    """A validator in the contract's table: Ed25519 key of 32 bytes, voting power, whose machine it is."""

    public_key: bytes
    power: int
    organisation: int

    @property
    def address(self) -> bytes:
        return validator_address(self.public_key)


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A node on the list of those that may connect: 20 bytes of id, and whose it is."""

    node_id: bytes
    organisation: int


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who signed the blocks that were looked at: height and the addresses whose votes stand in its commit."""

    blocks: tuple[tuple[int, frozenset[bytes]], ...] = ()

    def signed(self, address: bytes) -> int:
        """In how many of the blocks that validator's signature stands."""
        return sum(address in signers for _, signers in self.blocks)

    @property
    def is_known(self) -> bool:
        return bool(self.blocks)


@dataclass(frozen=True, slots=True)
class Governance:
    """The tables at one height.

    Attributes:
        height, time_s: of the newest block; its time in seconds since the epoch.
        in_force: who signs block height + 1, in CometBFT's order; the table may be ahead of it.
        registrar_of: organisation of each registrar that is named by the calls looked at.
        names: what members are called, as far as files at hand tell; names are not on the chain.
    """

    chain_name: str
    purpose: str
    genesis_hash: bytes
    evm_chain_id: int
    height: int
    time_s: int
    members: tuple[Member, ...]
    validators: tuple[Seat, ...]
    peers: tuple[PeerRow, ...]
    in_force: tuple[Validator, ...]
    attendance: Attendance = Attendance()
    registrar_of: Mapping[bytes, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    def member(self, id: int) -> Member | None:
        return next((one for one in self.members if one.id == id), None)

    def seat(self, public_key: bytes) -> Seat | None:
        return next((one for one in self.validators if one.public_key == public_key), None)

    def seats_of(self, organisation: int) -> tuple[Seat, ...]:
        return tuple(one for one in self.validators if one.organisation == organisation)

    def peers_of(self, organisation: int) -> tuple[PeerRow, ...]:
        return tuple(one for one in self.peers if one.organisation == organisation)

    @property
    def active(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.is_active)

    @property
    def total_power(self) -> int:
        return sum(one.power for one in self.validators)

    @property
    def is_settled(self) -> bool:
        """The table is in force: no change of validators is on its way."""
        table = sort_validators(Validator(one.public_key, one.power) for one in self.validators)
        return table == sort_validators(self.in_force)

    def free_number(self) -> int:
        """The number for the next member: after the highest, which is never used again."""
        return max((one.id for one in self.members), default=0) + 1


def majority_of(topic: int) -> tuple[int, int]:
    """Numerator and denominator of what must be exceeded: two thirds for membership, validators and rules,
    else one half."""
    return (2, 3) if topic <= 3 else (1, 2)


def weight_of(topic: int, kind: int) -> int:
    """What a member of that kind counts on a topic: correction rules are the four offices' alone, points the
    community's (twice), the data bureau's and the auditor's; everything else everybody's."""
    if topic == 6:
        return int(kind <= OrganisationKind.JUSTICE)
    if topic == 7:
        weights = {
            OrganisationKind.COMMUNITY: 2,
            OrganisationKind.DATA_BUREAU: 1,
            OrganisationKind.AUDITOR: 1,
        }
        return weights.get(OrganisationKind(kind), 0)
    return 1


def apply_calls(governance: Governance, calls: Iterable[Call]) -> Governance:
    """The tables after the calls, one after the other."""
    for call in calls:
        governance = apply_call(governance, call)
    return governance


def apply_call(governance: Governance, call: Call) -> Governance:
    """The tables after one governing call. Raises DecodeError for data that is no call of its target."""
    if call.to == IDENTITY_REGISTRY:
        return _apply_registry(governance, identity_registry.decode_call(call.data)[1])
    if call.to != CONSORTIUM:
        return governance
    match consortium.decode_call(call.data)[1]:
        case consortium.AddOrganisationArgs() as one:
            new = Member(one.organisation, one.kind, True, one.encryption_key, one.certificate)
            return replace(governance, members=(*governance.members, new))
        case consortium.SuspendOrganisationArgs() as one:
            return _with_member(governance, one.organisation, is_active=False)
        case consortium.ResumeOrganisationArgs() as one:
            return _with_member(governance, one.organisation, is_active=True)
        case consortium.SetPeerArgs() as one:
            row = PeerRow(one.node_id, one.organisation)
            others = tuple(peer for peer in governance.peers if peer.node_id != one.node_id)
            return replace(governance, peers=(*others, row) if one.allowed else others)
        case consortium.ChangeValidatorsArgs() as one:
            given = zip(one.keys, one.powers, one.organisations, strict=False)
            seats = {seat.public_key: seat for seat in governance.validators}
            seats |= {key: Seat(key, power, owner) for key, power, owner in given}
            return replace(governance, validators=tuple(seat for seat in seats.values() if seat.power))
        case consortium.RotateValidatorKeyArgs() as one:
            return replace(
                governance,
                validators=tuple(
                    replace(seat, public_key=one.new_key) if seat.public_key == one.old_key else seat
                    for seat in governance.validators
                ),
            )
        case _:
            return governance


def _apply_registry(governance: Governance, args: identity_registry.CallArgs) -> Governance:
    if isinstance(args, identity_registry.InstallRegistrarArgs):
        organisation, change = args.organisation, 1
    elif isinstance(args, identity_registry.RemoveRegistrarArgs):
        organisation, change = governance.registrar_of.get(args.identity, 0), -1
    else:
        return governance
    member = governance.member(organisation)
    count = 0 if member is None else max(0, member.registrars + change)
    return _with_member(governance, organisation, registrars=count)


def _with_member(governance: Governance, id: int, **changes: object) -> Governance:
    return replace(
        governance,
        members=tuple(
            replace(one, **changes) if one.id == id else one  # type: ignore[arg-type]
            for one in governance.members
        ),
    )
