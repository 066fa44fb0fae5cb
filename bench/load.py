"""Load for any Ethereum JSON-RPC URL: what is signed already is sent, blocks are watched, figures reported.

Signing happens before the clock starts; senders, watcher and figures live in this process, apart from the
node's, and its own CPU time stands beside the figures. Two measures:

* *throughput*: transactions go out in batches over a few connections as fast as they are taken; the rate is
  what was **included**, from the first send to the header of the last block seen;
* *latency*: transactions go out one by one at a fixed rate; each one's receipt is polled until it is there.

`stages` are sent one after the other, each after the one before it was included: steps of one order cannot
overtake each other.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.client import PATIENCE_S, POLL_S, Client, LoadError, hash_of


@dataclass(frozen=True, slots=True)
class Throughput:
    """What became of transactions sent as fast as they were taken.

    `seconds` from the first send to the last block seen; `accepted_s` to the last answer of a send, all
    stages together; `failed` have a receipt of status 0; `refused` were not taken; `generator_cpu_s` is the
    CPU time of this process in `seconds`.
    """

    transactions: int
    batch: int
    seconds: float
    accepted_s: float
    failed: int
    refused: int
    blocks: int
    generator_cpu_s: float

    @property
    def per_s(self) -> float:
        """Transactions included with success a second."""
        return (self.transactions - self.refused - self.failed) / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Submit to receipt, milliseconds; `seconds` and `generator_cpu_s` as of `Throughput`."""

    transactions: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    failed: int
    seconds: float
    generator_cpu_s: float


class _Watcher:
    """Follows the chain block by block and crosses out what was included."""

    def __init__(self, client: Client, height: int) -> None:
        self._client = client
        self._height = height
        self.blocks = 0

    async def wait(self, hashes: set[str], refused: list[dict[str, Any]]) -> None:
        """Until all but the refused ones were in a block. Raises LoadError when nothing comes for long."""
        waiting = set(hashes)
        heard = time.monotonic()
        while len(waiting) > len(refused):
            block = await self._client.call("eth_getBlockByNumber", hex(self._height + 1), False)
            if block is not None:
                self._height += 1
                if block["transactions"]:
                    self.blocks += 1
                    waiting.difference_update(block["transactions"])
                    heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE_S:
                raise LoadError(f"{len(waiting)} transactions were never included; refused: {refused[:3]}")
            else:
                await asyncio.sleep(POLL_S)


async def measure_throughput(
    client: Client, stages: Sequence[Sequence[bytes]], batch: int, connections: int
) -> Throughput:
    """Send every stage as fast as the node takes it, `batch` transactions a request.

    Whether they failed is not asked yet: see `with_failures`. Raises LoadError.
    """
    watcher = _Watcher(client, int(await client.call("eth_blockNumber"), 16))
    hashes = [{hash_of(raw) for raw in stage} for stage in stages]
    requests = [client.requests(stage, batch) for stage in stages]
    refused: list[dict[str, Any]] = []
    accepted_s = 0.0
    started, cpu_started = time.perf_counter(), time.process_time()
    for stage, expected in zip(requests, hashes, strict=True):
        errors: list[dict[str, Any]] = []
        _, taken_s = await asyncio.gather(
            watcher.wait(expected, errors), _send_all(client, stage, connections, errors)
        )
        accepted_s += taken_s
        refused += errors
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    count = sum(map(len, hashes))
    return Throughput(count, batch, seconds, accepted_s, 0, len(refused), watcher.blocks, cpu_s)


async def with_failures(client: Client, figures: Throughput, stages: Sequence[Sequence[bytes]]) -> Throughput:
    """The figures with `failed` from the receipts."""
    failed = await client.count_failed([hash_of(raw) for stage in stages for raw in stage])
    return replace(figures, failed=failed - figures.refused)


async def _send_all(
    client: Client, requests: Sequence[Sequence[bytes]], connections: int, errors: list[dict[str, Any]]
) -> float:
    """Seconds until everything was answered; what was refused is added to `errors`."""
    queue = list(requests)[::-1]

    async def send_from_one_connection() -> None:
        while queue:
            errors.extend(await client.send(queue.pop()))

    began = time.perf_counter()
    await asyncio.gather(*(send_from_one_connection() for _ in range(connections)))
    return time.perf_counter() - began


async def measure_latency(client: Client, transactions: Sequence[bytes], rate_per_s: float) -> Latency:
    """Send one transaction every 1/rate seconds; time each until its receipt is there. Raises LoadError."""
    cpu_started = time.process_time()
    start = time.perf_counter() + 0.1

    async def one(number: int, raw: bytes) -> tuple[float, bool]:
        await asyncio.sleep(max(0.0, start + number / rate_per_s - time.perf_counter()))
        began = time.perf_counter()
        found = await client.receipt(await client.call("eth_sendRawTransaction", "0x" + raw.hex()))
        return (time.perf_counter() - began) * 1000, found["status"] == "0x1"

    measured = await asyncio.gather(*(one(number, raw) for number, raw in enumerate(transactions)))
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_started
    taken = [milliseconds for milliseconds, _ in measured]
    cut = statistics.quantiles(taken, n=100, method="inclusive")
    failed = sum(not succeeded for _, succeeded in measured)
    return Latency(len(taken), rate_per_s, cut[49], cut[94], cut[98], max(taken), failed, seconds, cpu_s)
