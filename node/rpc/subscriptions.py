"""What the node announces: WebSocket subscriptions, and callers that wait for a receipt.

The node's listeners may be called from any thread; they only wake the hub, which works in the event loop. For
every committed height, in order, a head is built once and a block's logs are read once, whoever is
subscribed. A reader that does not keep up is disconnected: its messages are bounded, nobody else waits for
it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final

import orjson
import structlog

from node.chain.errors import ShelianError
from node.ledger import LedgerSnapshot
from node.rpc.backend import Backend
from node.rpc.blocks import header_of, logs_of_block
from node.rpc.errors import limited
from node.rpc.parameters import LogFilter
from node.rpc.roots import RootCache
from node.rpc.unsent import Unsent

_log = structlog.get_logger("rpc")
_MESSAGES_AT_ONCE: Final = 128
"""Notifications that are made before the event loop does something else."""
_LOGS_AT_ONCE: Final = 128
"""Logs of a block that are read at once; fewer than may wait for a reader."""


class Topic(Enum):
    HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"


@dataclass(slots=True)
class Subscription:
    identity: str
    topic: Topic
    connection: Connection
    query: LogFilter | None = None


@dataclass(slots=True)
class Connection:
    """One WebSocket connection: what it subscribed to, and the messages it has not been sent yet."""

    most_subscriptions: int
    most_messages: int
    unsent: Unsent
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    outbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    overrun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the reader does not keep up: the connection is given up."""

    def send(self, message: bytes) -> None:
        """Queue a message, unless the queue is full: then the connection is given up."""
        if self.overrun.is_set():
            return
        if self.outbox.qsize() >= self.most_messages or not self.unsent.take(len(message)):
            self.overrun.set()
        else:
            self.outbox.put_nowait(message)

    def close(self) -> None:
        """Forget what was not sent; nobody sends any more."""
        while not self.outbox.empty():
            self.unsent.give_back(len(self.outbox.get_nowait()))

    def notify(self, identity: str, result: object) -> None:
        self.send(
            orjson.dumps(
                {
                    "jsonrpc": "2.0",
                    "method": "eth_subscription",
                    "params": {"subscription": identity, "result": result},
                }
            )
        )


class Hub:
    """Turns commits and admitted transactions into notifications."""

    def __init__(self, backend: Backend, roots: RootCache) -> None:
        self._backend = backend
        self._roots = roots
        self._subscriptions: dict[Topic, dict[str, Subscription]] = {topic: {} for topic in Topic}
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._committed = asyncio.Event()
        self._published = 0
        self._task: asyncio.Task[None] | None = None
        self._endings: list[Callable[[], None]] = []
        self.on_pending: list[Callable[[bytes], None]] = []
        """Called in the event loop with the hash of every transaction that the pool takes."""

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        with self._backend.snapshot() as ledger:
            self._published = ledger.tip.height
        self._endings = [
            self._backend.on_commit(lambda height: _call_soon(loop, self._committed.set)),
            self._backend.on_pending(lambda hash: _call_soon(loop, lambda: self._announce_pending(hash))),
        ]
        self._task = asyncio.create_task(self._publish())

    async def stop(self) -> None:
        for end in self._endings:
            end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for futures in self._waiting.values():
            for future in futures:
                future.cancel()

    # ---- subscriptions

    def subscribe(self, connection: Connection, topic: Topic, query: LogFilter | None) -> str:
        """Raises RpcError `rpc.too_many_subscriptions`."""
        if len(connection.subscriptions) >= connection.most_subscriptions:
            raise limited(
                "rpc.too_many_subscriptions",
                "unsubscribe first",
                len(connection.subscriptions),
                connection.most_subscriptions,
            )
        identity = "0x" + secrets.token_hex(16)
        subscription = Subscription(identity, topic, connection, query)
        connection.subscriptions[identity] = self._subscriptions[topic][identity] = subscription
        return identity

    def unsubscribe(self, connection: Connection, identity: str) -> bool:
        subscription = connection.subscriptions.pop(identity, None)
        if subscription is None:
            return False
        del self._subscriptions[subscription.topic][identity]
        return True

    def drop(self, connection: Connection) -> None:
        """Forget everything a closed connection had subscribed to."""
        for identity in list(connection.subscriptions):
            self.unsubscribe(connection, identity)

    # ---- receipts waited for

    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def wait_for(self, transaction_hash: bytes, seconds: float) -> bool:
        """Whether the transaction was in a block, or left the pool, before the time was over."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(transaction_hash, []).append(future)
        try:
            # It may have been committed before the future was there to be told.
            with self._backend.snapshot() as ledger:
                if self._is_settled(ledger, transaction_hash):
                    return True
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            futures = self._waiting[transaction_hash]
            futures.remove(future)
            if not futures:
                del self._waiting[transaction_hash]
        return True

    # ---- the loop

    async def _publish(self) -> None:
        while True:
            await self._committed.wait()
            self._committed.clear()
            try:
                with self._backend.snapshot() as ledger:
                    await self._publish_to(ledger)
            except ShelianError:
                # The database refused a read: calls will say so too; the next commit tries again.
                _log.exception("publishing a block failed")

    async def _publish_to(self, ledger: LedgerSnapshot) -> None:
        tip = ledger.tip.height
        self._tell_waiting(ledger)
        while self._published < tip:
            heads = self._subscriptions[Topic.HEADS]
            logs = self._subscriptions[Topic.LOGS]
            if not heads and not logs:
                self._published = tip
                return
            height = self._published + 1
            if heads:
                head = await asyncio.to_thread(self._head, ledger, height)
                for count, subscription in enumerate(list(heads.values())):
                    subscription.connection.notify(subscription.identity, head)
                    if not count % _MESSAGES_AT_ONCE:
                        await asyncio.sleep(0)
            if logs:
                await self._publish_logs(ledger, height)
            self._published = height
            await asyncio.sleep(0)

    def _head(self, ledger: LedgerSnapshot, height: int) -> orjson.Fragment:
        return orjson.Fragment(orjson.dumps(header_of(ledger, self._roots, height)))

    async def _publish_logs(self, ledger: LedgerSnapshot, height: int) -> None:
        """A block's logs, a few at a time: readers that keep up take theirs meanwhile."""
        entries = logs_of_block(ledger, height)
        while some := await asyncio.to_thread(lambda: list(islice(entries, _LOGS_AT_ONCE))):
            count = 0
            for subscription in list(self._subscriptions[Topic.LOGS].values()):
                assert subscription.query is not None  # noqa: S101 - for the type checker
                for log, text in some:
                    if matches(subscription.query, log.address, log.topics):
                        subscription.connection.notify(subscription.identity, orjson.Fragment(text))
                        count += 1
                if count >= _MESSAGES_AT_ONCE:
                    count = 0
                    await asyncio.sleep(0)

    def _tell_waiting(self, ledger: LedgerSnapshot) -> None:
        for transaction_hash, futures in self._waiting.items():
            if self._is_settled(ledger, transaction_hash):
                for future in futures:
                    if not future.done():
                        future.set_result(None)

    def _is_settled(self, ledger: LedgerSnapshot, transaction_hash: bytes) -> bool:
        if ledger.locate(transaction_hash) is not None:
            return True
        return self._backend.dropped(transaction_hash) is not None

    def _announce_pending(self, transaction_hash: bytes) -> None:
        for listener in self.on_pending:
            listener(transaction_hash)
        subscriptions = self._subscriptions[Topic.PENDING]
        if subscriptions:
            text = "0x" + transaction_hash.hex()
            for subscription in list(subscriptions.values()):
                subscription.connection.notify(subscription.identity, text)


def matches(query: LogFilter, address: bytes, topics: tuple[bytes, ...]) -> bool:
    """Whether a log has one of the addresses and, place by place, one of the topics asked for."""
    if query.addresses and address not in query.addresses:
        return False
    # A place that takes anything also takes nothing.
    if any(choice is not None for choice in query.topics[len(topics) :]):
        return False
    return all(choice is None or topic in choice for choice, topic in zip(query.topics, topics, strict=False))


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Run in the loop; nothing if the loop is closed already, as when the node stops."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
