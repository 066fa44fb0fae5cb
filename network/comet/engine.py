"""CometBFT as a node's engine: the ABCI server, the supervised process, and what runs beside them.

All of it lives in an event loop of its own, on a thread of its own, so JSON-RPC and ABCI hold each other up
only where they share the interpreter::

    thread "comet":  AbciServer <-> CometBFT (child process)
                     Forwarding  -> its RPC
                     HeaderCursor <- its RPC
                     a look at its status once a second
    thread "consensus": what decides and commits, one after the other (`network.comet.application`)

Start: configuration written -> socket listens -> CometBFT starts and replays what the ledger lacks.
Stop: CometBFT ends first, so that it loses no connection in the middle of a block -> the socket closes -> the
last commit is finished.

What a restart heals, the supervisor restarts. What it does not (the ledger cannot be written, CometBFT's data
is of another chain) is the engine's `failure`; reads go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
import uvloop

from network.comet.application import Application
from network.comet.client import CometClient, CometStatus, Peer
from network.comet.faults import CometFault
from network.comet.forwarding import Forwarding
from network.comet.headers import HeaderCursor
from network.comet.home import CometPlace, CometSettings, write_configuration
from network.comet.peers import PeerFilter
from network.comet.process import CometProcess
from network.comet.retracing import Retracing
from network.comet.server import AbciServer
from network.comet.state_sync import StateSync
from network.comet.wal import WalPruning
from network.engine import ChildProcess, ConnectedPeer, EngineStatus
from network.intake import Outcome
from node.chain.errors import ShelianError
from node.ledger import Ledger
from node.ledger.shelf import Shelf
from node.txpool import TransactionPool

_log = structlog.get_logger("network.comet")

LOOK_EVERY_S: Final = 1.0
"""How old a status may be."""
LOOK_AGAIN_S: Final = 0.1
"""While CometBFT does not answer, as after a start."""
ALONE_S: Final = 20.0
LONGEST_ALONE_S: Final = 120.0
"""How long a node is cut off before CometBFT is started anew; doubles each time. CometBFT dials a lost peer
every 5 to 11 seconds at first, but after 100 to 220 seconds ever more seldom, with pauses of minutes and of
hours: so the longest is shorter than that.
"""


class CometEngine:
    """Drives a ledger by CometBFT (`network.engine.Engine`). See the module."""

    def __init__(
        self,
        place: CometPlace,
        settings: CometSettings,
        ledger: Ledger,
        pool: TransactionPool,
        submit: Callable[[Sequence[bytes]], Awaitable[list[Outcome]]],
        forwarding: Forwarding,
        shelf: Path,
        clock_ns: Callable[[], int],
    ) -> None:
        """`submit` puts transactions into the pool; `forwarding` is the one that `pool` tells what has become
        ready; `shelf` is where the node's snapshots lie.
        """
        self._place = place
        self._settings = settings
        self._ledger = ledger
        self._pool = pool
        self._forwarding = forwarding
        self._client = CometClient(settings.rpc_address)
        self._headers = HeaderCursor(ledger, self._client)
        self._wal = WalPruning(place.wal_directory)
        self._peers = PeerFilter(ledger, settings.bootstrap)
        self._application = Application(
            ledger,
            pool,
            submit,
            forwarding,
            self._headers,
            self._peers,
            StateSync(ledger, Shelf(shelf), self._headers),
            clock_ns,
            Retracing.begin(place.directory, ledger),
        )
        self._process = CometProcess(place, lambda: self._application.failure)
        self._seen: CometStatus | None = None
        self._known: CometStatus | None = None  # the last one ever seen: who this node is does not change
        self._failure: ShelianError | None = None
        self._cut_off_since_s: float | None = None
        self._patience_s = ALONE_S
        self._height, self._rose_s = 0, 0.0  # CometBFT's, and when it was seen to rise
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="comet", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Nothing to do: the pool tells `forwarding` itself."""

    def stop(self) -> None:
        self._stopping.set()
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(stop.set)
        if self._thread.is_alive():
            self._thread.join()
        self._application.stop()

    def status(self) -> EngineStatus:
        tip, seen, known, process = self._ledger.tip, self._seen, self._known, self._process
        failure = self._failure or self._application.failure or self._process.failure
        catching_up = seen is not None and seen.catching_up
        alarm = self._alarm(seen)
        return EngineStatus(
            name="cometbft",
            running=failure is None and seen is not None and not catching_up,
            height=tip.height,
            last_block_ns=tip.time_ns,
            failure=None if failure is None else str(failure),
            target_height=max(tip.height, 0 if seen is None else seen.height),
            peers=0 if seen is None else len(seen.peers),
            catching_up=catching_up,
            alarm=None if alarm is None else str(alarm),
            misbehaviour=self._application.misbehaviour,
            failure_code=None if failure is None else failure.code,
            alarm_code=None if alarm is None else alarm.code,
            heartbeat_s=self._settings.heartbeat_ms / 1000,
            node_id="" if known is None else known.node_id,
            validator_key=b"" if known is None else known.validator_key,
            connected=() if seen is None else tuple(map(_connected, seen.peers)),
            bootstrap=self._settings.bootstrap,
            child=ChildProcess("cometbft", process.version, process.pid, process.restarts),
        )

    # All below: in the engine's thread

    def _alarm(self, seen: CometStatus | None) -> ShelianError | None:
        if self._headers.alarm is not None:
            return self._headers.alarm
        if seen is not None and seen.earliest_height > self._headers.next_height:
            return CometFault(
                "comet.header_gone",
                "CometBFT has forgotten blocks whose headers the ledger does not hold yet",
                seen.earliest_height,
                self._headers.next_height,
            )
        return self._process.trouble

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception as error:
            known = isinstance(error, ShelianError)
            self._failure = (
                error if isinstance(error, ShelianError) else CometFault("comet.failed", type(error).__name__)
            )
            _log.error("engine stopped", code=self._failure.code, error=str(error), exc_info=not known)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopping.is_set():
            return
        write_configuration(self._place, self._settings, self._ledger.genesis)
        server = AbciServer(self._application, self._place.abci_socket, _report)
        await server.start()
        try:
            await self._process.start()
            beside = asyncio.gather(
                self._forwarding.run(self._pool, self._client), self._headers.run(), self._look()
            )
            stop = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait((beside, stop), return_when=asyncio.FIRST_COMPLETED)
                if beside.done():
                    beside.result()  # none of them ends but by a fault of ours
            finally:
                await self._process.stop()
                stop.cancel()
                beside.cancel()
                await asyncio.gather(beside, stop, return_exceptions=True)
        finally:
            self._seen = None
            await server.stop()
            await self._client.close()

    async def _look(self) -> None:
        """CometBFT's status, once a second; and what follows from a new start, and from peers struck off."""
        born: int | None = None
        is_ours = False
        while True:
            if self._process.pid != born:
                born = self._process.pid
                self._seen = None
                self._forwarding.forward_everything()
            try:
                if not is_ours:
                    await self._client.check_genesis(self._ledger.genesis)
                    is_ours = True
                self._seen = self._known = await self._client.status()
            except CometFault as fault:
                if fault.code == "comet.wrong_chain":
                    raise
                self._seen = None
                _log.debug("CometBFT's status is not known", code=fault.code)
            else:
                if not self._seen.catching_up:
                    self._wal.look(self._ledger.tip.height)
                await self._cut_off_strangers(self._seen)
                await self._dial_again(self._seen)
            await asyncio.sleep(LOOK_EVERY_S if self._seen is not None else LOOK_AGAIN_S)

    async def _cut_off_strangers(self, status: CometStatus) -> None:
        """A node that was struck off keeps its connection, and CometBFT has no call to end one: a restart
        does, and the filter keeps it out from then on.
        """
        strangers = [peer.id for peer in status.peers if not self._peers.allows_id(peer.id)]
        if strangers:
            _log.warning(
                "nodes that are no members any more are cut off", code="comet.peers_cut_off", peers=strangers
            )
            await self._process.restart("a connected node is no member any more")

    async def _dial_again(self, status: CometStatus) -> None:
        """CometBFT may give up a peer that once refused it, dials lost ones ever more seldom, and gives up
        everybody after some hours; it dials them all when it starts. So it is started anew where that cannot
        do harm: when it has nobody, or when somebody is missing and no block has come for longer than the
        heartbeat. Thus a node that was started before it was a member comes in, and two halves of a network
        find each other again, however long they were apart.
        """
        now_s = asyncio.get_running_loop().time()
        if status.height != self._height or not self._rose_s:
            self._height, self._rose_s = status.height, now_s
        others = {peer.partition("@")[0] for peer in self._settings.bootstrap} - {status.node_id}
        missing = sorted(others - {peer.id for peer in status.peers})
        stands_still = now_s - self._rose_s > self._settings.heartbeat_ms / 1000
        if not missing or (status.peers and not stands_still):
            self._cut_off_since_s, self._patience_s = None, ALONE_S
        elif self._cut_off_since_s is None:
            self._cut_off_since_s = now_s
        elif now_s - self._cut_off_since_s >= self._patience_s:
            self._cut_off_since_s = None
            self._patience_s = min(2 * self._patience_s, LONGEST_ALONE_S)
            _log.warning(
                "members are missing and nothing is decided; they are dialled anew",
                code="comet.dialled_anew",
                missing=missing,
            )
            await self._process.restart("members are missing and nothing is decided")


def _connected(peer: Peer) -> ConnectedPeer:
    """Its port as it says itself, its host as the connection says."""
    port = peer.address.rpartition(":")[2]
    host = f"[{peer.remote_ip}]" if ":" in peer.remote_ip else peer.remote_ip
    return ConnectedPeer(peer.id, f"{host}:{port}", peer.name, peer.is_outbound, peer.connected_s)


def _report(what: str, error: Exception) -> None:
    """A request that could not be answered, or a connection that broke."""
    if isinstance(error, ShelianError):
        _log.error("ABCI request failed", request=what, code=error.code, error=str(error))
    elif isinstance(error, OSError):
        _log.info("ABCI connection lost", request=what, error=str(error))
    else:
        _log.error("ABCI request failed", request=what, code="comet.failed", exc_info=error)
