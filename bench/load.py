"""Load for any Ethereum JSON-RPC URL: sign first, send, watch blocks, report.

Signing happens before the clock starts; senders, watcher and figures live in this process, apart from the
node's. Two measures:

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
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
import orjson

from node.chain.encoding import keccak256

POLL_S = 0.004


@dataclass(frozen=True, slots=True)
class Throughput:
    """Transactions a second, and what happened to them. Times in seconds."""

    transactions: int
    batch: int
    included_per_s: float
    accepted_per_s: float
    seconds: float
    failed: int
    refused: int
    blocks: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Latency:
    """Submit to receipt, milliseconds."""

    transactions: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Client:
    """A few keep-alive connections to one URL."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections + 1))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        body = orjson.dumps(
            [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
        )
        async with self._session.post(
            self._url, data=body, headers={"content-type": "application/json"}
        ) as response:
            answers = orjson.loads(await response.read())
        if isinstance(answers, dict):
            raise SystemExit(f"the node refused the batch: {answers}")
        return sorted(answers, key=lambda answer: int(answer["id"]))

    async def call(self, method: str, *params: Any) -> Any:
        answer = (await self.batch([(method, list(params))]))[0]
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    async def receipt(self, transaction_hash: str, timeout_s: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found: dict[str, Any] | None = await self.call("eth_getTransactionReceipt", transaction_hash)
            if found:
                return found
            await asyncio.sleep(POLL_S)
        raise SystemExit(f"no receipt of {transaction_hash} after {timeout_s} s")


async def measure_throughput(
    client: Client, stages: Sequence[Sequence[bytes]], batch: int, connections: int
) -> Throughput:
    """Send every stage as fast as the node takes it."""
    first_block = int(await client.call("eth_blockNumber"), 16)
    refused: list[Any] = []
    everything: list[str] = []
    started = time.perf_counter()
    accepted_s = 0.0
    blocks = 0
    watched = first_block
    for stage in stages:
        waiting = {"0x" + keccak256(raw).hex() for raw in stage}
        everything += waiting
        queue = [list(stage[i : i + batch]) for i in range(0, len(stage), batch)]
        queue.reverse()
        errors: list[dict[str, Any]] = []

        async def send(queue: list[list[bytes]] = queue, errors: list[dict[str, Any]] = errors) -> None:
            while queue:
                answers = await client.batch(
                    [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in queue.pop()]
                )
                errors += [answer["error"] for answer in answers if "error" in answer]

        began = time.perf_counter()
        senders = asyncio.gather(*(send() for _ in range(connections)))
        idle_since = time.perf_counter()
        while len(waiting) > len(errors):
            block = await client.call("eth_getBlockByNumber", hex(watched + 1), False)
            if block is None:
                if time.perf_counter() - idle_since > 30:
                    raise SystemExit(
                        f"{len(waiting)} transactions were never included; refused: {errors[:3]}"
                    )
                await asyncio.sleep(POLL_S)
                continue
            watched += 1
            hashes = block["transactions"]
            if hashes:
                idle_since = time.perf_counter()
                blocks += 1
                waiting.difference_update(hashes)
            if senders.done() and not accepted_s:
                accepted_s = time.perf_counter() - began
        await senders
        refused += errors
    seconds = time.perf_counter() - started
    failed = 0
    for i in range(0, len(everything), 200):
        answers = await client.batch([("eth_getTransactionReceipt", [h]) for h in everything[i : i + 200]])
        failed += sum(1 for answer in answers if (answer.get("result") or {}).get("status") != "0x1")
    count = len(everything)
    return Throughput(
        count,
        batch,
        (count - len(refused)) / seconds,
        count / (accepted_s or seconds),
        seconds,
        failed - len(refused),
        len(refused),
        blocks,
    )


async def measure_latency(client: Client, transactions: Sequence[bytes], rate_per_s: float) -> Latency:
    """Send one transaction every 1/rate seconds; time each until its receipt is there."""

    async def one(raw: bytes, at: float) -> float:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        began = time.perf_counter()
        await client.receipt(await client.call("eth_sendRawTransaction", "0x" + raw.hex()))
        return (time.perf_counter() - began) * 1000

    start = time.perf_counter() + 0.1
    taken = sorted(
        await asyncio.gather(*(one(raw, start + i / rate_per_s) for i, raw in enumerate(transactions)))
    )
    cut = statistics.quantiles(taken, n=100, method="inclusive")
    return Latency(len(taken), rate_per_s, cut[49], cut[94], cut[98], taken[-1])
