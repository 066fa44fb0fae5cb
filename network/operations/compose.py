"""From readings to facts: pure. Whatever is shown of a node is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from network.engine import EngineStatus
from network.operations.activity import ActivityReading, Committed
from network.operations.facts import (
    BlockFacts,
    CertificateFacts,
    ChainFacts,
    ClockFacts,
    DiskFacts,
    EngineFacts,
    MemberNode,
    MisbehaviourFacts,
    NodeFacts,
    PeerFacts,
    PoolFacts,
    ProcessFacts,
    QuorumFacts,
    SavedFacts,
    ValidatorFacts,
    VersionFacts,
)
from network.operations.growth import Size, days_left, growth_per_day
from network.operations.machine import FileSystem
from network.operations.members import Membership
from network.operations.signing import SignedBlock, quorum_left, signer_of
from node.chain.genesis import Genesis
from node.chain.validators import validator_address
from node.ledger import Tip
from node.txpool import PoolStatus

_SECOND_NS: Final = 1_000_000_000
STALLED_HEARTBEATS: Final = 3
"""After so many without a block something is wrong."""
_ENOUGH_MOMENTS: Final = 3
"""Blocks by which a node that does not vote can tell its clock from the others'."""


@dataclass(frozen=True, slots=True)
class DiskReading:
    """`sizes`: ledger and CometBFT together, noted before now."""

    path: str
    file_system: FileSystem
    ledger_bytes: int
    comet_bytes: int
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read, all within one moment.

    Attributes:
        first_block: the oldest one held; 0: from the genesis on.
        proposer: of the newest block; empty before the first.
        signed: the last blocks whose commits are there, oldest first.
        last_signed: the height that this node's CometBFT signed last; None where no file tells.
    """

    genesis: Genesis
    tip: Tip
    first_block: int
    proposer: bytes
    engine: EngineStatus
    membership: Membership
    signed: tuple[SignedBlock, ...]
    last_signed: int | None
    activity: ActivityReading
    pool: PoolStatus
    disk: DiskReading
    certificates: tuple[CertificateFacts, ...]
    snapshot: SavedFacts | None
    backup: SavedFacts | None
    processes: tuple[ProcessFacts, ...]
    versions: VersionFacts


def node_facts(read: Readings, now_ns: int) -> NodeFacts:
    """The facts at `now_ns` of this machine's clock."""
    missing = _missing(read.engine, read.membership)
    validators = _validators(read, _unreachable(read, missing, now_ns))
    own = validator_address(read.engine.validator_key) if read.engine.validator_key else b""
    membership, engine = read.membership, read.engine
    return NodeFacts(
        taken_ns=now_ns,
        chain=ChainFacts(
            read.genesis.chain_name, read.genesis.purpose, read.genesis.hash.hex(), read.genesis.evm_chain_id
        ),
        block=_block(read, now_ns),
        engine=_engine(engine),
        node_id=engine.node_id,
        is_member=engine.node_id in membership.nodes if engine.node_id and membership.nodes else None,
        peers=_peers(engine, membership),
        missing=missing,
        bootstrap=sum(one.partition("@")[0] != engine.node_id for one in engine.bootstrap),
        validators=validators,
        validator_address=own.hex(),
        signed_elsewhere=_signed_elsewhere(own, read.signed, read.last_signed),
        quorum=_quorum(validators),
        certificates=read.certificates,
        disk=_disk(read.disk, now_ns),
        snapshot=read.snapshot,
        backup=read.backup,
        clock=ClockFacts(
            clock_ahead_s(own, read.signed, read.activity.moments),
            max(0.0, (read.tip.time_ns - now_ns) / _SECOND_NS) if read.tip.height else 0.0,
        ),
        pool=PoolFacts(read.pool.ready, read.pool.waiting, read.pool.bytes),
        processes=read.processes,
        versions=read.versions,
        own_organisation_signs=_own_organisation_signs(engine, membership),
    )


def _own_organisation_signs(engine: EngineStatus, membership: Membership) -> bool:
    """Whether one of the validators of the organisation whose node this is should be this node."""
    own = membership.nodes.get(engine.node_id)
    signers = sum(owner == own for owner in membership.validators.values())
    nodes = sum(owner == own for owner in membership.nodes.values())
    return own is not None and signers >= nodes


def _block(read: Readings, now_ns: int) -> BlockFacts:
    tip = read.tip
    best = max(tip.height, read.engine.target_height)
    return BlockFacts(
        height=tip.height,
        time_ns=tip.time_ns,
        age_s=(now_ns - tip.time_ns) / _SECOND_NS,
        best_height=best,
        lag=best - tip.height,
        heartbeat_s=read.engine.heartbeat_s,
        first_block=read.first_block,
        proposer=read.proposer.hex(),
        minutes=read.activity.minutes,
        blocks=read.activity.blocks,
        transactions=read.activity.transactions,
    )


def _engine(engine: EngineStatus) -> EngineFacts:
    return EngineFacts(
        name=engine.name,
        running=engine.running,
        catching_up=engine.catching_up,
        failure_code=engine.failure_code,
        failure=engine.failure,
        alarm_code=engine.alarm_code,
        alarm=engine.alarm,
        misbehaviour=tuple(
            MisbehaviourFacts(one.kind, one.validator.hex(), one.height) for one in engine.misbehaviour
        ),
    )


def _peers(engine: EngineStatus, membership: Membership) -> tuple[PeerFacts, ...]:
    """By organisation, those that the consortium does not list last."""
    peers = []
    for one in engine.connected:
        owner = membership.nodes.get(one.id, 0)
        peers.append(
            PeerFacts(one.id, one.address, owner, membership.name_of(owner), one.is_outbound, one.connected_s)
        )
    return tuple(sorted(peers, key=lambda peer: (peer.organisation == 0, peer.organisation, peer.id)))


def _missing(engine: EngineStatus, membership: Membership) -> tuple[MemberNode, ...]:
    there = {one.id for one in engine.connected} | {engine.node_id}
    if not engine.node_id:
        return ()
    missing = [
        MemberNode(id, owner, membership.name_of(owner))
        for id, owner in membership.nodes.items()
        if id not in there
    ]
    return tuple(sorted(missing, key=lambda one: (one.organisation, one.id)))


def _unreachable(read: Readings, missing: Sequence[MemberNode], now_ns: int) -> frozenset[int]:
    """Organisations none of whose nodes is connected, while no blocks come: without blocks the commits do
    not tell who has fallen silent.
    """
    age_s = (now_ns - read.tip.time_ns) / _SECOND_NS
    if age_s <= STALLED_HEARTBEATS * read.engine.heartbeat_s:
        return frozenset()
    gone = {one.id for one in missing}
    there = {owner for id, owner in read.membership.nodes.items() if id not in gone}
    return frozenset(read.membership.nodes.values()) - there


def _validators(read: Readings, unreachable: frozenset[int]) -> tuple[ValidatorFacts, ...]:
    validators = []
    for one in read.tip.validators:
        address = validator_address(one.public_key)
        owner = read.membership.validators.get(one.public_key, 0)
        signer = signer_of(address, read.signed)
        validators.append(
            ValidatorFacts(
                address=address.hex(),
                organisation=owner,
                organisation_name=read.membership.name_of(owner),
                power=one.power,
                missed=signer.missed,
                counted=signer.counted,
                proposed=signer.proposed,
                silent=signer.silent or owner in unreachable,
                clock_s=signer.clock_s,
                is_own=one.public_key == read.engine.validator_key,
            )
        )
    return tuple(sorted(validators, key=lambda one: (one.organisation, one.address)))


def _quorum(validators: Sequence[ValidatorFacts]) -> QuorumFacts:
    silent = sum(one.power for one in validators if one.silent)
    return QuorumFacts(
        total_power=sum(one.power for one in validators),
        silent_power=silent,
        may_fail=quorum_left([one.power for one in validators], 0),
        may_fail_now=quorum_left([one.power for one in validators if not one.silent], silent),
    )


def _signed_elsewhere(own: bytes, signed: Iterable[SignedBlock], last_signed: int | None) -> int | None:
    """CometBFT notes what it signs before it sends it, so nothing above that can be this node's."""
    if not own or last_signed is None:
        return None
    return max((one.height for one in signed if own in one.votes and one.height > last_signed), default=None)


def clock_ahead_s(own: bytes, signed: Iterable[SignedBlock], moments: Iterable[Committed]) -> float | None:
    """How far this machine's clock is ahead of the other validators'; None if that cannot be known.

    A block is on this disk a moment after the others voted for it: by their clocks and this one, the shortest
    such moment tells, right to within that moment. Where this node votes, its votes tell too, and better:
    theirs and its own are of one moment.
    """
    blocks = {one.height: one for one in signed}
    delays, distances = [], []
    for block in blocks.values():
        others = [at for who, at in block.votes.items() if who != own and at is not None]
        mine = block.votes.get(own)
        if others and mine is not None:
            distances.append((mine - median(others)) / _SECOND_NS)
    for moment in moments:
        voted = blocks.get(moment.height)
        others = [] if voted is None else [at for who, at in voted.votes.items() if who != own and at]
        if others:
            delays.append((moment.moment_ns - median(others)) / _SECOND_NS)
    by_votes = median(distances) if distances else None
    by_delay = min(delays, default=None)
    if by_delay is not None and by_delay < 0:
        return by_delay
    if by_votes is not None:
        return by_votes if by_delay is None else min(by_votes, by_delay)
    return by_delay if len(delays) >= _ENOUGH_MOMENTS else None


def _disk(disk: DiskReading, now_ns: int) -> DiskFacts:
    size = disk.ledger_bytes + disk.comet_bytes
    growth = growth_per_day(disk.sizes, Size(now_ns // _SECOND_NS, size))
    free = disk.file_system.free_bytes
    return DiskFacts(
        path=disk.path,
        free_bytes=free,
        total_bytes=disk.file_system.total_bytes,
        read_only=disk.file_system.read_only,
        ledger_bytes=disk.ledger_bytes,
        comet_bytes=disk.comet_bytes,
        growth_per_day=growth,
        days_left=days_left(free, growth),
    )
