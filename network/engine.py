"""The boundary between consensus and the ledger.

A *node* owns one ledger, one pool and one engine. The flow is the same for every engine::

    submit -> ledger.check -> pool -> [engine: prepare -> header, commit] -> ledger.finalize -> ledger.commit
    -> listeners

What an engine gives: blocks in height order, each with a header whose hash the validators signed. What it
takes: the functions of :class:`node.ledger.Ledger`. An engine never touches the database and a ledger never
learns which engine drives it.

Invariants every engine keeps:

1. A transaction is acknowledged (its receipt can be seen) only after the block that holds it was synced to
   disk.
2. When ``app_hash`` changed at height h, height h+1 follows without waiting for a transaction, so that a
   proof of h is never more than a moment away (the *proof block*). Whatever uses up a nonce changes it. (The
   embedded engine makes one also where only ``last_results_hash`` changed: transactions that did nothing at
   all.)
3. While nothing happens a block still comes at least every heartbeat, so block time does not go stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.ledger import Misbehaviour


@dataclass(frozen=True, slots=True)
class ConnectedPeer:
    """Another node that this one is connected with.

    Attributes:
        id: 40 hex digits, proved by the connection's handshake.
        address: where it listens, as it says itself; its host is where the connection comes from.
        name: what it calls itself.
        is_outbound: this node dialed.
        connected_s: how long the connection has stood, seconds.
    """

    id: str
    address: str
    name: str
    is_outbound: bool
    connected_s: float


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """The program beside the node that the engine runs.

    Attributes:
        name: such as ``cometbft``.
        version: as it was built; empty before it was found.
        pid: None while it is down.
        restarts: how often it ended by itself and was started again.
    """

    name: str
    version: str
    pid: int | None
    restarts: int


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What an operator wants to know of an engine.

    Attributes:
        name: ``embedded`` or ``cometbft``.
        running: it can make blocks now.
        height: of the last committed block.
        last_block_ns: header time of that block, nanoseconds since the epoch.
        failure: why it stopped, or ``None``; it begins with `failure_code`.
        target_height: the best height known of the network; 0 if none is known.
        peers: other nodes it is connected to.
        catching_up: it fetches blocks that others have decided; it does not vote.
        alarm: something is wrong that does not stop it, but that somebody must look at; or ``None``.
        misbehaviour: proved since the node was started, newest last, at most a hundred.
        failure_code, alarm_code: the codes of the two.
        heartbeat_s: a block comes at least that often.
        node_id: what peers call this node, 40 hex digits; empty where there are no peers, or not known yet.
        validator_key: what this node signs blocks with, Ed25519, 32 bytes; empty while it is not known.
        connected: the nodes counted by `peers`.
        bootstrap: nodes it stays connected with, ``id@host:port``.
        child: its process, if it has one.
    """

    name: str
    running: bool
    height: int
    last_block_ns: int
    failure: str | None
    target_height: int = 0
    peers: int = 0
    catching_up: bool = False
    alarm: str | None = None
    misbehaviour: tuple[Misbehaviour, ...] = ()
    failure_code: str | None = None
    alarm_code: str | None = None
    heartbeat_s: float = 60.0
    node_id: str = ""
    validator_key: bytes = b""
    connected: tuple[ConnectedPeer, ...] = ()
    bootstrap: tuple[str, ...] = ()
    child: ChildProcess | None = None


class Engine(Protocol):
    """Drives a ledger from block to block."""

    def start(self) -> None:
        """Begin to make blocks; returns at once."""

    def wake(self) -> None:
        """A transaction was added to the pool."""

    def stop(self) -> None:
        """Finish the block in hand and stop; returns when no block can follow."""

    def status(self) -> EngineStatus: ...
