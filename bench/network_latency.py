"""How long a transaction takes in a network: until its own node has it, and until the last one has.

A transaction goes to its sender's node at a fixed rate by `shelian_sendRawTransactionSync`, which answers
with the receipt; every node's `newHeads` tells when that node has the block. So nothing is polled, which on a
machine that runs all the nodes would be most of the load.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
import orjson

from bench.client import PATIENCE_S, LoadError
from bench.moments import COMMITTED, FINALIZED, FINALIZING, PREPARED
from bench.spread import SpreadClient

PHASES = {
    "propose": ("到提案", "submitted until the proposer begins its block"),
    "decide": ("到决定", "until FinalizeBlock comes: gossip, two votes, their signatures"),
    "execute": ("执行", "FinalizeBlock"),
    "commit": ("落盘", "Commit: one synced batch"),
    "receipt": ("回执", "until the sender has read its receipt"),
}
"""What a latency is made of, in order."""

Moments = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds of many waits."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def spread_of(seconds: Sequence[float]) -> Spread:
    """Of at least two."""
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return Spread(*(1000 * value for value in (cut[49], cut[94], cut[98], max(seconds))))


@dataclass(frozen=True, slots=True)
class Sent:
    """One transaction: who took it, when (monotonic seconds) it was sent and its receipt read, its block."""

    home: int
    sent: float
    read: float
    height: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Waits:
    """Figures of one measure.

    Attributes:
        own: submitted until the receipt was read on the node it was sent to.
        everywhere: until the last node had the block.
        failed: transactions of status 0.
        blocks: in which they were.
        seconds: the whole measure.
        sent: each of them.
    """

    own: Spread
    everywhere: Spread
    failed: int
    blocks: int
    seconds: float
    sent: tuple[Sent, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe; without the single transactions."""
        return {
            **asdict(self.own),
            "everywhere": asdict(self.everywhere),
            "transactions": len(self.sent),
            "failed": self.failed,
            "blocks": self.blocks,
            "seconds": self.seconds,
        }


class _Heads:
    """When each node had which block."""

    def __init__(self, nodes: int) -> None:
        self._arrived: list[dict[int, float]] = [{} for _ in range(nodes)]
        self._news = asyncio.Event()

    def arrived(self, node: int, height: int) -> None:
        self._arrived[node].setdefault(height, time.monotonic())
        self._news.set()

    async def wait_everywhere(self, height: int) -> float:
        """When the last node had it. Raises LoadError when one never has."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not all(height in arrived for arrived in self._arrived):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise LoadError(f"not every node tells of block {height}") from None
        return max(arrived[height] for arrived in self._arrived)


@contextlib.asynccontextmanager
async def _listening(urls: Sequence[str]) -> AsyncIterator[_Heads]:
    heads = _Heads(len(urls))
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(re.sub("^http", "ws", url)) for url in urls]
        for socket in sockets:
            await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}')
            await socket.receive()

        async def listen(node: int, socket: aiohttp.ClientWebSocketResponse) -> None:
            async for message in socket:
                head = orjson.loads(message.data)["params"]["result"]
                heads.arrived(node, int(head["number"], 16))

        tasks = [asyncio.create_task(listen(node, socket)) for node, socket in enumerate(sockets)]
        try:
            yield heads
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for socket in sockets:
                await socket.close()


async def measure_waits(
    client: SpreadClient, urls: Sequence[str], transactions: Sequence[bytes], rate_per_s: float
) -> Waits:
    """Send one every 1/rate seconds, each to its node; `urls` of all nodes that must have it.

    Raises LoadError.
    """
    homes = [client.home(raw) for raw in transactions]
    async with _listening(urls) as heads:
        start = time.monotonic() + 0.1

        async def one(number: int, raw: bytes) -> tuple[Sent, float]:
            await asyncio.sleep(max(0.0, start + number / rate_per_s - time.monotonic()))
            home, sent = homes[number], time.monotonic()
            receipt = await client.nodes[home].call("shelian_sendRawTransactionSync", "0x" + raw.hex())
            read, height = time.monotonic(), int(receipt["blockNumber"], 16)
            everywhere = max(read, await heads.wait_everywhere(height))
            return Sent(home, sent, read, height, receipt["status"] == "0x1"), everywhere - sent

        measured = await asyncio.gather(*(one(number, raw) for number, raw in enumerate(transactions)))
    sent = tuple(one for one, _ in measured)
    return Waits(
        own=spread_of([one.read - one.sent for one in sent]),
        everywhere=spread_of([seconds for _, seconds in measured]),
        failed=sum(not one.succeeded for one in sent),
        blocks=len({one.height for one in sent}),
        seconds=time.monotonic() - start,
        sent=sent,
    )


def phases_of(sent: Sequence[Sent], moments: Sequence[Moments]) -> dict[str, float]:
    """Mean milliseconds of each of PHASES; `moments` of each node, as `bench.moments.Moments.take` has them.

    A block may have been proposed more than once: what counts is the last proposal before the decision.
    """
    totals = dict.fromkeys(PHASES, 0.0)
    counted = 0
    for one in sent:
        height = str(one.height)
        own = moments[one.home].get(height, {})
        if not {FINALIZING, FINALIZED, COMMITTED} <= own.keys():
            continue
        begun = [
            node[height][PREPARED]
            for node in moments
            if PREPARED in node.get(height, {}) and node[height][PREPARED] <= own[FINALIZING]
        ]
        if not begun:
            continue
        marks = (one.sent, max(begun), own[FINALIZING], own[FINALIZED], own[COMMITTED], one.read)
        for phase, first, last in zip(PHASES, marks, marks[1:], strict=False):
            totals[phase] += 1000 * (last - first)
        counted += 1
    return {phase: total / counted for phase, total in totals.items()} if counted else {}
