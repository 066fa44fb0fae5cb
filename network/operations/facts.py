"""`NodeFacts`: how a node is, in figures and words; what every view of it shows.

Plain frozen data, made by `network.operations.compose.node_facts` from readings and the time. Lengths of time
are in seconds, sizes in bytes, ids in lower-case hex. None: not known, and nobody pretends it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChainFacts:
    name: str
    purpose: str
    genesis_hash: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class Minute:
    """What was committed in one minute of this node's clock."""

    blocks: int
    transactions: int


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """Where the ledger stands.

    Attributes:
        height: of the newest block, 0 before the first.
        time_ns: its header time; of the genesis before the first block.
        age_s: how long ago that was by this node's clock; negative if the block is from the future.
        best_height: the best one known of the network, at least `height`.
        lag: how many blocks this node is behind.
        heartbeat_s: a block comes at least that often.
        first_block: the oldest block held; 0: from the genesis on.
        proposer: address of the validator that proposed the newest block; empty before the first.
        minutes: the last whole minutes, oldest first; fewer after a start.
        transactions: committed since the node was started.
        blocks: likewise.
    """

    height: int
    time_ns: int
    age_s: float
    best_height: int
    lag: int
    heartbeat_s: float
    first_block: int
    proposer: str
    minutes: tuple[Minute, ...]
    blocks: int
    transactions: int


@dataclass(frozen=True, slots=True)
class MisbehaviourFacts:
    kind: str
    validator: str
    height: int


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """`failure` and `alarm` are sentences, their codes beside them; None: all is well."""

    name: str
    running: bool
    catching_up: bool
    failure_code: str | None
    failure: str | None
    alarm_code: str | None
    alarm: str | None
    misbehaviour: tuple[MisbehaviourFacts, ...]


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """A connected node. `organisation` 0: not in the contract, let in by this operator's own list."""

    id: str
    address: str
    organisation: int
    organisation_name: str
    is_outbound: bool
    connected_s: float


@dataclass(frozen=True, slots=True)
class MemberNode:
    """A node that the consortium lists."""

    id: str
    organisation: int
    organisation_name: str


@dataclass(frozen=True, slots=True)
class ValidatorFacts:
    """One of those who sign the next block.

    Attributes:
        address: of its key.
        missed: blocks of the last `counted` ones that it did not sign.
        proposed: how many of those it proposed.
        silent: it signed none of the last three, or no blocks come and none of its nodes is connected.
        clock_s: how far its clock is ahead of the others', by the times of its votes; None if unknown.
        is_own: this node signs with that key.
    """

    address: str
    organisation: int
    organisation_name: str
    power: int
    missed: int
    counted: int
    proposed: int
    silent: bool
    clock_s: float | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class QuorumFacts:
    """How many may fail.

    Attributes:
        total_power: of all validators.
        silent_power: of those that are silent now.
        may_fail: any so many of the validators may fail and blocks still come, were all of them well.
        may_fail_now: how many more may fail; -1: no blocks can come.
    """

    total_power: int
    silent_power: int
    may_fail: int
    may_fail_now: int


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """`kind`: agency_ca or tls. `days_left` None: `why` says why it is not known."""

    kind: str
    name: str
    organisation: int
    days_left: int | None
    why: str


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """Of the file system that the ledger is on. Growth is measured over days, so a new node has none."""

    path: str
    free_bytes: int
    total_bytes: int
    read_only: bool
    ledger_bytes: int
    comet_bytes: int
    growth_per_day: int | None
    days_left: int | None


@dataclass(frozen=True, slots=True)
class SavedFacts:
    """The last snapshot or backup; `height` 0 where it is not known."""

    height: int
    age_s: float


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """This machine's clock.

    Attributes:
        ahead_s: how far it is ahead of the other validators', negative: behind; None if there are none or no
            block has come since the start. Right to within the time a block takes.
        block_ahead_s: how far the newest block's time lies in this clock's future; 0: not.
    """

    ahead_s: float | None
    block_ahead_s: float


@dataclass(frozen=True, slots=True)
class PoolFacts:
    ready: int
    waiting: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One running program. `name`: node or cometbft; `restarts`: how often it ended by itself."""

    name: str
    pid: int
    memory_bytes: int
    open_files: int
    open_files_limit: int
    running_s: float
    restarts: int


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """`rules`: the version in force for the next block; `rules_unknown`: the first version in the chain's
    table that this program does not understand, 0: none.
    """

    shelian: str
    python: str
    cometbft: str
    leveldb: str
    rules: int
    rules_unknown: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node at one moment, `taken_ns` by its own clock."""

    taken_ns: int
    chain: ChainFacts
    block: BlockFacts
    engine: EngineFacts
    node_id: str
    is_member: bool | None
    """Whether the consortium lists this node; None where nodes have no peers, or its id is not known yet."""
    peers: tuple[PeerFacts, ...]
    missing: tuple[MemberNode, ...]
    """Nodes that the consortium lists and that are not connected, without this one."""
    bootstrap: int
    """How many other nodes the operator's list names."""
    validators: tuple[ValidatorFacts, ...]
    validator_address: str
    """Of the key that this node signs with, whether it is a validator or not; empty: not known."""
    signed_elsewhere: int | None
    """A height signed with this node's key that this node did not sign: the key is used twice."""
    quorum: QuorumFacts
    certificates: tuple[CertificateFacts, ...]
    disk: DiskFacts
    snapshot: SavedFacts | None
    backup: SavedFacts | None
    clock: ClockFacts
    pool: PoolFacts
    processes: tuple[ProcessFacts, ...]
    versions: VersionFacts

    own_organisation_signs: bool
    """The organisation that lists this node has validators for all of its nodes."""

    def as_dict(self) -> dict[str, Any]:
        """For /status.json."""
        return asdict(self)
