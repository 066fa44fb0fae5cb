"""Carries to CometBFT what has become executable here, so that other nodes get it too.

    pool's on_ready (any thread) -> lanes of hashes -> [a task for each lane: batch -> CometBFT's RPC]

* **What.** Transactions that came by JSON-RPC, and those that a closed gap has made executable. What CometBFT
  brings itself by CheckTx it keeps by the answer: `arriving` leaves it out.
* **Order.** A sender's transactions all go through one lane, in nonce order, one request at a time; senders
  are spread over a few lanes, so several requests are in flight.
* **Memory.** A lane holds hashes of what is in the pool, whose bounds are its own. Should more gather (a pool
  that is emptied and filled again while CometBFT is away), they are dropped and the pool is asked for
  everything that is ready.
* **While CometBFT is away or its mempool full** a lane rests, longer each time, and tries again. What has
  left the pool meanwhile is forgotten.
* **After a start of CometBFT** its mempool is empty: everything that is ready goes again.
* **Nothing stays behind.** A mempool may lose a transaction that our pool holds (one that was refused while
  it became ready, say). Then no node would make a block for it before the next heartbeat. So the next
  transaction of each sender that has not moved between two looks is handed over once more; known ones cost a
  refusal each.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import structlog

from node.chain.errors import ShelianError
from node.ledger import Admitted
from node.txpool import TransactionPool

_log = structlog.get_logger("network.comet.forwarding")

LANES: Final = 4
"""Requests in flight."""
BATCH_COUNT: Final = 100
BATCH_BYTES: Final = 256 << 10
"""Of one request; a larger transaction goes alone."""
MAX_WAITING: Final = 50_000
"""Hashes in a lane: the pool's default bound, which one sender cannot exceed."""
FIRST_REST_S: Final = 0.1
LONGEST_REST_S: Final = 2.0
LOOK_EVERY_S: Final = 5.0
LOOK_AT: Final = 64
"""Senders, those that have waited longest."""


class Broadcaster(Protocol):
    """CometBFT's RPC."""

    async def broadcast(self, raws: Sequence[bytes]) -> list[ShelianError | None]:
        """As `network.comet.client.CometClient.broadcast`."""
        ...


class Forwarding:
    """See the module. `ready` and `arriving` are for any thread, the rest for the event loop that runs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes = tuple(_Lane() for _ in range(LANES))
        self._arriving: Counter[bytes] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_waking = False

    def ready(self, admitted: Sequence[Admitted]) -> None:
        """These, of one sender and in nonce order, can go into a block from now on. The pool calls it with
        its lock held.
        """
        with self._lock:
            lane = self._lanes[_lane_of(admitted[0])]
            for one in admitted:
                if one.transaction.hash not in self._arriving:
                    lane.add(one.transaction.hash)
        self._wake()

    @contextmanager
    def arriving(self, hashes: Iterable[bytes]) -> Iterator[None]:
        """Within: these come from CometBFT, which keeps what is ready by our answer; so they are not
        forwarded.

        Ask whether they are ready after it: what becomes ready from then on is forwarded.
        """
        coming = Counter(list(hashes))
        with self._lock:
            self._arriving.update(coming)
        try:
            yield
        finally:
            with self._lock:
                self._arriving -= coming

    @property
    def waiting(self) -> int:
        """Transactions not handed over yet; some may have left the pool."""
        return sum(len(lane) for lane in self._lanes)

    async def run(self, pool: TransactionPool, comet: Broadcaster) -> None:
        """Forward until cancelled, beginning with all that is ready."""
        self._loop = asyncio.get_running_loop()
        self.forward_everything()
        async with asyncio.TaskGroup() as tasks:
            for number, lane in enumerate(self._lanes):
                tasks.create_task(self._serve(number, lane, pool, comet))
            tasks.create_task(self._look_for_lost(pool))

    def forward_everything(self) -> None:
        """CometBFT was started, with an empty mempool: what is ready goes again."""
        with self._lock:
            for lane in self._lanes:
                lane.want_everything()
        self._wake_lanes()

    # All below: in the event loop, but for `_wake`

    def _wake(self) -> None:
        """Once for many: a hop into the loop costs more than all the rest."""
        loop = self._loop
        if loop is not None and not self._is_waking:
            self._is_waking = True
            with suppress(RuntimeError):  # the loop has ended: nothing is forwarded any more
                loop.call_soon_threadsafe(self._wake_lanes)

    def _wake_lanes(self) -> None:
        self._is_waking = False
        for lane in self._lanes:
            if lane.has_work:
                lane.woken.set()

    async def _serve(self, number: int, lane: _Lane, pool: TransactionPool, comet: Broadcaster) -> None:
        rest_s = FIRST_REST_S
        while await lane.woken.wait():
            lane.woken.clear()
            while lane.has_work:
                if await self._forward_batch(number, lane, pool, comet):
                    rest_s = FIRST_REST_S
                else:
                    await asyncio.sleep(rest_s)
                    rest_s = min(2 * rest_s, LONGEST_REST_S)

    async def _forward_batch(
        self, number: int, lane: _Lane, pool: TransactionPool, comet: Broadcaster
    ) -> bool:
        """Hand the next ones over; False if CometBFT did not take them all: those go again."""
        if lane.wants_everything:
            lane.wants_everything = False
            # The pool's lock comes before ours, so never within it.
            everything = [one.transaction.hash for one in pool.all_ready() if _lane_of(one) == number]
            with self._lock:
                lane.put_back(everything)
        with self._lock:
            hashes = lane.take(BATCH_COUNT)
        batch, later = _batch(hashes, pool)
        refused = await _hand_over(batch, comet)
        with self._lock:
            lane.put_back([*refused, *later])
        return not refused

    async def _look_for_lost(self, pool: TransactionPool) -> None:
        before: set[bytes] = set()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            heads = pool.next_of_senders(LOOK_AT)
            for admitted in heads:
                if admitted.transaction.hash in before:
                    self.ready((admitted,))
            before = {admitted.transaction.hash for admitted in heads}


class _Lane:
    """Hashes that wait, each once, in the order they came. Touched with `Forwarding`'s lock held only, but
    for the flags.
    """

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.wants_everything = False
        self._waiting: deque[bytes] = deque()
        self._known: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_work(self) -> bool:
        return self.wants_everything or bool(self._waiting)

    def add(self, transaction_hash: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.want_everything()
        elif transaction_hash not in self._known:
            self._known.add(transaction_hash)
            self._waiting.append(transaction_hash)

    def want_everything(self) -> None:
        """All that the pool has ready, instead of what waits here."""
        self._waiting.clear()
        self._known.clear()
        self.wants_everything = True

    def take(self, count: int) -> list[bytes]:
        taken = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self._known.difference_update(taken)
        return taken

    def put_back(self, hashes: Sequence[bytes]) -> None:
        """To the front, in their order."""
        fresh = [one for one in hashes if one not in self._known]
        self._waiting.extendleft(reversed(fresh))
        self._known.update(fresh)


def _lane_of(admitted: Admitted) -> int:
    return admitted.sender[-1] % LANES


def _batch(hashes: Sequence[bytes], pool: TransactionPool) -> tuple[dict[bytes, bytes], Sequence[bytes]]:
    """Those still ready, hash to bytes, as many as a request may have; and the hashes of the rest."""
    batch: dict[bytes, bytes] = {}
    size = 0
    for place, transaction_hash in enumerate(hashes):
        admitted = pool.pending(transaction_hash)
        if admitted is None or not pool.is_ready(transaction_hash):
            continue  # it left the pool, or waits again and will be told of anew
        raw = admitted.transaction.raw
        if batch and size + len(raw) > BATCH_BYTES:
            return batch, hashes[place:]
        batch[transaction_hash] = raw
        size += len(raw)
    return batch, ()


async def _hand_over(batch: dict[bytes, bytes], comet: Broadcaster) -> list[bytes]:
    """The hashes of those that are to go again."""
    if not batch:
        return []
    try:
        outcomes = await comet.broadcast(list(batch.values()))
    except ShelianError as error:
        _log.debug("transactions wait for CometBFT", code=error.code, count=len(batch))
        return list(batch)
    again = []
    for transaction_hash, outcome in zip(batch, outcomes, strict=True):
        if outcome is None:
            continue
        if outcome.code == "comet.mempool_full":
            again.append(transaction_hash)
        else:
            # It stays in our pool: this node can still propose it.
            _log.warning(
                "CometBFT does not carry a transaction",
                code=outcome.code,
                transaction=transaction_hash.hex(),
                error=str(outcome),
            )
    return again
