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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import aiohttp
import orjson

from bench.sending import Sender
from node.chain.encoding import keccak256

T = TypeVar("T")

_POLL_S = 0.004
_PATIENCE_S = 60.0
_RECEIPTS_AT_ONCE = 200
_SETUP_BATCH = 50


class LoadError(Exception):
    """The chain does not do what a benchmark needs; there are no figures."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What became of transactions sent as fast as they were taken.

    `seconds` from the first send to the last block seen; `accepted_s` to the last answer of a send, all
    stages together; `failed` have a receipt of status 0; `refused` were not taken.
    """

    transactions: int
    batch: int
    seconds: float
    accepted_s: float
    failed: int
    refused: int
    blocks: int

    @property
    def per_s(self) -> float:
        """Transactions included with success a second."""
        return (self.transactions - self.refused - self.failed) / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Submit to receipt, milliseconds."""

    transactions: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    failed: int


class Client:
    """A few keep-alive connections to one URL."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=_PATIENCE_S),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """The answers, in the order of the calls; a single one goes out as such. Raises LoadError."""
        bodies = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
        body = orjson.dumps(bodies if len(bodies) > 1 else bodies[0])
        headers = {"content-type": "application/json"}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                answers = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise LoadError(f"{self._url}: {error!r}") from error
        if isinstance(answers, dict):
            if len(bodies) > 1 or "id" not in answers:
                raise LoadError(f"the node refused the request: {answers}")
            return [answers]
        return sorted(answers, key=lambda answer: int(answer["id"]))

    async def call(self, method: str, *params: Any) -> Any:
        """One result. Raises LoadError where there is an error instead."""
        answer = (await self.batch([(method, list(params))]))[0]
        if "error" in answer:
            raise LoadError(f"{method}: {answer['error']}")
        return answer["result"]

    async def nonce(self, address: bytes) -> int:
        return int(await self.call("eth_getTransactionCount", "0x" + address.hex(), "latest"), 16)

    async def load_nonces(self, senders: Iterable[Sender]) -> None:
        """Set every sender's nonce to what the chain expects."""
        for sender in senders:
            sender.nonce = await self.nonce(sender.address)

    async def send(self, transactions: Sequence[bytes]) -> list[dict[str, Any]]:
        """Submit in one request; the answers that are errors."""
        calls = [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in transactions]
        return [answer["error"] for answer in await self.batch(calls) if "error" in answer]

    async def receipt(self, transaction_hash: str) -> dict[str, Any]:
        """Poll until it is there. Raises LoadError when it does not come."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            found: dict[str, Any] | None = await self.call("eth_getTransactionReceipt", transaction_hash)
            if found:
                return found
            await asyncio.sleep(_POLL_S)
        raise LoadError(f"no receipt of {transaction_hash} after {_PATIENCE_S} s")

    async def include(self, raw: bytes) -> dict[str, Any]:
        """Submit one and wait for its receipt. Raises LoadError when it fails."""
        found = await self.receipt(await self.call("eth_sendRawTransaction", "0x" + raw.hex()))
        if found["status"] != "0x1":
            raise LoadError(f"a transaction that prepares the benchmark failed: {found}")
        return found

    async def include_all(self, transactions: Sequence[bytes]) -> None:
        """Submit many and wait for them. Raises LoadError when one is refused or fails."""
        for batch in _slices(transactions, _SETUP_BATCH):
            if errors := await self.send(batch):
                raise LoadError(f"a transaction that prepares the benchmark was refused: {errors[0]}")
        for raw in transactions:
            if (await self.receipt(_hash(raw)))["status"] != "0x1":
                raise LoadError(f"a transaction that prepares the benchmark failed: {_hash(raw)}")

    async def count_failed(self, hashes: Sequence[str]) -> int:
        """How many have no receipt, or one of status 0."""
        failed = 0
        for some in _slices(hashes, _RECEIPTS_AT_ONCE):
            answers = await self.batch([("eth_getTransactionReceipt", [one]) for one in some])
            failed += sum((answer.get("result") or {}).get("status") != "0x1" for answer in answers)
        return failed


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
            elif time.monotonic() - heard > _PATIENCE_S:
                raise LoadError(f"{len(waiting)} transactions were never included; refused: {refused[:3]}")
            else:
                await asyncio.sleep(_POLL_S)


async def measure_throughput(
    client: Client, stages: Sequence[Sequence[bytes]], batch: int, connections: int
) -> Throughput:
    """Send every stage as fast as the node takes it, `batch` transactions a request.

    Whether they failed is not asked yet: see `with_failures`. Raises LoadError.
    """
    watcher = _Watcher(client, int(await client.call("eth_blockNumber"), 16))
    hashes = [{_hash(raw) for raw in stage} for stage in stages]
    refused: list[dict[str, Any]] = []
    accepted_s = 0.0
    started = time.perf_counter()
    for stage, expected in zip(stages, hashes, strict=True):
        began = time.perf_counter()
        errors: list[dict[str, Any]] = []
        watching = asyncio.create_task(watcher.wait(expected, errors))
        queue = list(_slices(stage, batch))[::-1]
        await asyncio.gather(*(_send_from(client, queue, errors) for _ in range(connections)))
        accepted_s += time.perf_counter() - began
        await watching
        refused += errors
    seconds = time.perf_counter() - started
    count = sum(map(len, hashes))
    return Throughput(count, batch, seconds, accepted_s, 0, len(refused), watcher.blocks)


async def with_failures(client: Client, figures: Throughput, stages: Sequence[Sequence[bytes]]) -> Throughput:
    """The figures with `failed` from the receipts."""
    failed = await client.count_failed([_hash(raw) for stage in stages for raw in stage])
    return replace(figures, failed=failed - figures.refused)


async def _send_from(client: Client, queue: list[Sequence[bytes]], errors: list[dict[str, Any]]) -> None:
    """One connection: takes the next batch when the last one is answered."""
    while queue:
        errors += await client.send(queue.pop())


async def measure_latency(client: Client, transactions: Sequence[bytes], rate_per_s: float) -> Latency:
    """Send one transaction every 1/rate seconds; time each until its receipt is there. Raises LoadError."""
    start = time.perf_counter() + 0.1

    async def one(number: int, raw: bytes) -> tuple[float, bool]:
        await asyncio.sleep(max(0.0, start + number / rate_per_s - time.perf_counter()))
        began = time.perf_counter()
        found = await client.receipt(await client.call("eth_sendRawTransaction", "0x" + raw.hex()))
        return (time.perf_counter() - began) * 1000, found["status"] == "0x1"

    measured = await asyncio.gather(*(one(number, raw) for number, raw in enumerate(transactions)))
    taken = [milliseconds for milliseconds, _ in measured]
    cut = statistics.quantiles(taken, n=100, method="inclusive")
    failed = sum(not succeeded for _, succeeded in measured)
    return Latency(len(taken), rate_per_s, cut[49], cut[94], cut[98], max(taken), failed)


def _hash(raw: bytes) -> str:
    return "0x" + keccak256(raw).hex()


def _slices(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[i : i + size] for i in range(0, len(items), size))
