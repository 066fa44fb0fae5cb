"""Composition root of a node: one ledger, one pool, one engine, one JSON-RPC server, one operations port.

Start: open the ledger (its directory is locked from then on) -> server listens -> engine thread -> operations
port. Stop: the operations port ends -> the server takes no more calls -> the engine finishes its block ->
intake and pruning end -> the ledger is closed. Nothing acknowledged can be lost on the way: what is
acknowledged is on disk already.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog
import uvloop

from network.backfill import Backfill
from network.control import Control, ControlRefused, control_socket
from network.embedded import EmbeddedEngine, Pace, ValidatorKey
from network.engine import Engine, EngineStatus
from network.history_source import HistorySource
from network.intake import Intake, Outcome
from network.operations.card import NodeCard, save_card
from network.operations.config import require_at_home
from network.operations.notify import ALIVE, READY, STOPPING, notify, watchdog_interval_s
from network.operations.timings import TimedLedger
from network.pruning import Pruning
from network.snapshots import SnapshotMaking
from node.chain.errors import LedgerError, ShelianError
from node.chain.genesis import Genesis
from node.chain.transaction import Address
from node.execution.executor import Executor
from node.ledger import Admitted, FinalizedBlock, Ledger, LedgerSnapshot
from node.ledger.restore import finish_restore
from node.ledger.retention import ARCHIVE, Retention
from node.rpc.backend import NodeStatus, PendingTransaction, PoolStatus
from node.rpc.config import RefusedConfiguration, RpcConfig
from node.rpc.server import RpcServer
from node.txpool import PoolLimits, TransactionPool

if TYPE_CHECKING:
    from network.operations.operations import Operations

_SWITCH_SECONDS = 0.0002
"""How long a thread that waits for the interpreter lets another one run. The event loop gives the lock up
many times an answer, and so does every signature; at Python's 5 ms each time costs that much while a block is
executed. Measured with 5, 1, 0.5, 0.2 and 0.1 ms (bench.responsiveness): the p99 of reads beside full blocks
falls from 30 ms to 10 ms at 0.2 ms and rises again at 0.1 ms; CPU time a transaction stays the same.
"""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Of <malloc.h>."""

_log = structlog.get_logger("network.runner")


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """One machine, one validator.

    Attributes:
        key: the machine's consensus key.
        pace: when blocks come.
    """

    key: ValidatorKey
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class CometConfig:
    """A consortium's node: CometBFT as a child process.

    Attributes:
        home: its directory, made by `network.comet.home.make_home`; keys and settings lie in it.
    """

    home: Path


@dataclass(frozen=True, slots=True)
class HistoryFrom:
    """Whom a node that begins at a snapshot asks for the blocks below.

    Attributes:
        urls: JSON-RPC of nodes that hold them, in the order in which they are asked.
        token: bearer token for all of them; empty: none.
        authority: certificates (PEM) that vouch for their TLS; without it the system's.
    """

    urls: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    authority: Path | None = None

    def sources(self) -> tuple[HistorySource, ...]:
        """Raises SourceUnavailable history.bad_source."""
        return tuple(HistorySource(url, self.token, self.authority) for url in self.urls)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What one node runs with.

    Attributes:
        directory: of the ledger.
        engine: what makes the blocks.
        rpc: where and for whom JSON-RPC listens.
        genesis: when given, the directory must be of that chain.
        pool: how much may wait for a block.
        retention: which old states stay.
        snapshot_every: a snapshot is made every so many blocks; 0: none.
        snapshots_kept: how many of them, newest first.
        history_from: where blocks below a snapshot come from.
        data: the data directory that the ledger's lies in (`node/ledger`), for the control socket and what it
            is asked for; None: there is no socket.
        operations: where and for whom the operations port listens; None: it does not.
        operations_required: a node whose operations port cannot listen does not start.
    """

    directory: Path
    engine: EmbeddedConfig | CometConfig
    rpc: RpcConfig = field(default_factory=RpcConfig)
    genesis: Genesis | None = None
    pool: PoolLimits = field(default_factory=PoolLimits)
    retention: Retention = ARCHIVE
    snapshot_every: int = 0
    snapshots_kept: int = 2
    history_from: HistoryFrom = HistoryFrom()
    data: Path | None = None
    operations: RpcConfig | None = None
    operations_required: bool = False

    @property
    def shelf(self) -> Path:
        """Where snapshots lie: beside the ledger."""
        return self.directory.parent / "snapshots"


class Node:
    """A running node; what JSON-RPC sees of it (`node.rpc.backend.Backend`)."""

    def __init__(self, config: NodeConfig, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._config = config
        finish_restore(config.directory)
        self._ledger = TimedLedger.open(config.directory, config.genesis, retention=config.retention)
        self._pending_listeners: list[Callable[[bytes], None]] = []
        try:
            self._drive(config)
            self._pruning = Pruning(self._ledger)
            self._snapshots = None
            if config.snapshot_every:
                self._snapshots = SnapshotMaking(
                    self._ledger, config.shelf, every=config.snapshot_every, keep=config.snapshots_kept
                )
            self._backfill = Backfill(self._ledger, config.history_from.sources())
            self._control: Control | None = None
            self._server = RpcServer(self, config.rpc)
            self._operations: Operations | None = None
            if config.operations is not None:
                require_at_home(config.operations, self._ledger.genesis)
        except BaseException:
            self._ledger.close()
            raise

    def _drive(self, config: NodeConfig) -> None:
        """Pool, intake and engine."""
        if isinstance(config.engine, EmbeddedConfig):
            self._pool = TransactionPool(self._ledger, config.pool)
            self._intake = Intake(self._ledger, self._pool, self._clock_ns, self._added)
            key, pace = config.engine.key, config.engine.pace
            self._engine: Engine = EmbeddedEngine(self._ledger, self._pool, key, self._clock_ns, pace)
            return
        # Imported where it is wanted: a node with the embedded engine needs nothing of it.
        from network.comet.engine import CometEngine
        from network.comet.forwarding import Forwarding
        from network.comet.home import CometPlace, load_settings

        place, forwarding = CometPlace(config.engine.home), Forwarding()
        self._pool = TransactionPool(self._ledger, config.pool, forwarding.ready)
        self._intake = Intake(self._ledger, self._pool, self._clock_ns, self._added)
        self._engine = CometEngine(
            place,
            load_settings(place),
            self._ledger,
            self._pool,
            self._intake.submit,
            forwarding,
            config.shelf,
            self._clock_ns,
        )

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def operations_url(self) -> str | None:
        """Where the operations port listens; None if it does not."""
        return None if self._operations is None else self._operations.url

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def engine_status(self) -> EngineStatus:
        return self._engine.status()

    async def start(self) -> None:
        """Make blocks and listen. Raises RefusedConfiguration `rpc.config.address`, `operations.address`."""
        try:
            await self._server.start()
        except BaseException:
            self._ledger.close()
            raise
        self._engine.start()
        self._pruning.start()
        self._backfill.start()
        if self._snapshots is not None:
            self._snapshots.start()
        try:
            self._start_operations()
            await self._start_control()
        except BaseException:
            await self.stop()
            raise
        tip = self._ledger.tip
        _log.info(
            "node started",
            url=self.url,
            operations=self.operations_url,
            height=tip.height,
            chain=self._ledger.genesis.chain_name,
        )

    def _start_operations(self) -> None:
        if self._config.operations is not None:
            operations = self._make_operations(self._config.operations)
            try:
                operations.start()
            except RefusedConfiguration as error:
                operations.close()
                if self._config.operations_required:
                    raise
                _log.warning("the node runs without its status page", code=error.code, error=str(error))
            else:
                self._operations = operations
        save_card(
            self._config.directory.parent,
            NodeCard(os.getpid(), self.url, self.operations_url, str(self._config.directory)),
        )

    def _make_operations(self, config: RpcConfig) -> Operations:
        # Imported while the engine starts: it is a third of a second, and a validator is waited for.
        from network.operations.operations import Operations

        engine, tls = self._config.engine, self._config.rpc.tls
        return Operations(
            self._ledger,
            self._engine.status,
            self._pool.status,
            config,
            engine.home if isinstance(engine, CometConfig) else None,
            None if tls is None else tls.certificate,
            self._clock_ns,
        )

    async def _start_control(self) -> None:
        data = self._config.data
        if data is None:
            return
        from network.backing_up import backup_command

        control = Control(
            control_socket(data / "node"), {"backup": backup_command(lambda: self._ledger, data)}
        )
        try:
            await control.start()
        except ControlRefused as error:
            _log.warning("the node runs without its control socket", code=error.code, error=str(error))
        else:
            self._control = control

    def is_alive(self) -> bool:
        """The ledger can be read. Raises LedgerError state.*."""
        with self._ledger.snapshot() as snapshot:
            return snapshot.block(snapshot.tip.height) is not None or not snapshot.tip.height

    async def stop(self) -> None:
        if self._control is not None:
            await self._control.stop()
        if self._operations is not None:
            await asyncio.to_thread(self._operations.stop)
        await self._server.stop()
        await asyncio.to_thread(self._engine.stop)
        await asyncio.to_thread(self._intake.stop)
        await asyncio.to_thread(self._pruning.stop)
        await asyncio.to_thread(self._backfill.stop)
        if self._snapshots is not None:
            await asyncio.to_thread(self._snapshots.stop)
        self._ledger.close()
        _log.info("node stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # ---- node.rpc.backend.Backend

    @property
    def genesis(self) -> Genesis:
        return self._ledger.genesis

    @property
    def executor(self) -> Executor:
        return self._ledger.executor

    def snapshot(self) -> LedgerSnapshot:
        return self._ledger.snapshot()

    async def submit(self, raw: bytes) -> bytes:
        """Check a transaction, put it into the pool, wake the engine. A known one gives its hash again.

        Raises what `Ledger.check` and the pool refuse with, and LedgerError ``engine.stopped``.
        """
        (outcome,) = await self.submit_many((raw,))
        if isinstance(outcome, ShelianError):
            raise outcome
        return outcome

    async def submit_many(self, raws: Sequence[bytes]) -> list[Outcome]:
        """`submit` of each, in order: its hash, or why it was refused. Raises LedgerError
        ``engine.stopped``.
        """
        began_s = time.perf_counter()
        failure = self._engine.status().failure
        if failure is not None:
            raise LedgerError(
                "engine.stopped", "this node makes no blocks any more", failure, "a running engine"
            )
        outcomes = await self._intake.submit(raws)
        if self._operations is not None:
            self._operations.submitted([one for one in outcomes if isinstance(one, bytes)], began_s)
        return outcomes

    def pending_nonce(self, sender: Address) -> int | None:
        return self._pool.pending_nonce(sender)

    def pending(self, transaction_hash: bytes) -> PendingTransaction | None:
        admitted = self._pool.pending(transaction_hash)
        return None if admitted is None else _pending(admitted)

    def dropped(self, transaction_hash: bytes) -> Mapping[str, object] | None:
        return self._pool.dropped(transaction_hash)

    def pool(self) -> PoolStatus:
        status = self._pool.status()
        return PoolStatus(status.ready, status.waiting, status.bytes)

    def status(self) -> NodeStatus:
        engine = self._engine.status()
        target = max(engine.target_height, engine.height)
        return NodeStatus(
            engine=engine.name,
            running=engine.running,
            failure=engine.failure,
            target_height=target,
            peers=engine.peers,
            catching_up=engine.catching_up,
            alarm=engine.alarm,
            misbehaviour=engine.misbehaviour,
            filling=self._backfill.status(),
        )

    def now_ns(self) -> int:
        return self._clock_ns()

    def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
        def committed(finalized: FinalizedBlock) -> None:
            listener(finalized.block.height)

        return self._ledger.add_listener(committed)

    def on_pending(self, listener: Callable[[bytes], None]) -> Callable[[], None]:
        self._pending_listeners.append(listener)
        return lambda: self._pending_listeners.remove(listener)

    def _added(self, transaction_hashes: Sequence[bytes]) -> None:
        self._engine.wake()
        for listener in tuple(self._pending_listeners):
            for transaction_hash in transaction_hashes:
                listener(transaction_hash)


def _give_memory_back() -> None:
    """Tell glibc to return large blocks to the system when they are freed, and threads to share two heaps.

    It would keep some of every large answer that any thread ever made: hundreds of megabytes after an hour of
    hostile searches. Other C libraries have no such call and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        mallopt(_M_ARENA_MAX, 2)


def run_node(config: NodeConfig, started: Callable[[Node], None] = lambda node: None) -> None:
    """Run a node until SIGINT or SIGTERM; `started` is called in its event loop once it listens.

    Raises what `Node` and `Node.start` raise.
    """

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with Node(config) as node:
            # What is there now stays for good; without it the garbage collector has little to walk through,
            # stops everybody for less time and comes in time for what large calls leave behind.
            gc.collect()
            gc.freeze()
            started(node)
            notify(READY, f"STATUS=height {node.ledger.tip.height}")
            watching = asyncio.create_task(_tell_alive(node))
            await stop.wait()
            watching.cancel()
            notify(STOPPING)

    sys.setswitchinterval(_SWITCH_SECONDS)
    _give_memory_back()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def _tell_alive(node: Node) -> None:
    """To systemd's watchdog, as long as this event loop turns and the ledger can be read; it ends with the
    loop. A node that stopped making blocks is alive: its readers are served, and a restart would not help.
    """
    interval_s = watchdog_interval_s()
    while interval_s is not None:
        try:
            if await asyncio.to_thread(node.is_alive):
                notify(ALIVE, f"STATUS=height {node.ledger.tip.height}")
        except ShelianError as error:
            _log.error("the ledger cannot be read", code=error.code, error=str(error))
        await asyncio.sleep(interval_s)


def _pending(admitted: Admitted) -> PendingTransaction:
    tx = admitted.transaction
    return PendingTransaction(tx.raw, tx.hash, admitted.sender, tx.nonce, admitted.gas_limit)
