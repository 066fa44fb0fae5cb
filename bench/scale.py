"""How one node behaves while its chain and its state grow.

One chain is grown through JSON-RPC (`bench.growth`) and looked at where it has 10³ … 10⁶ of what grows: a
fixed probe of ERC-20 transfers, latency at 20 transactions a second, memory, disk, and how long it takes to
stop and to be back. At the first and last point also where the time goes. Results are written after each
point, so an interrupted run keeps what it has.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.client import Client, LoadError, hash_of
from bench.erc20 import Terms, TokenHolders
from bench.growth import Kind, signed_chunks
from bench.load import measure_latency, measure_throughput, with_failures
from bench.scenarios import CONNECTIONS, LATENCY_CONNECTIONS
from bench.stages import Spent, spent_between
from bench.targets import Target, our_node

SIZES = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
REOPENINGS = 2
_SETTLE_S = 60.0
_IDLE_SHARE = 0.05
_SAMPLE = 20
"""One growing transaction in so many is asked whether it succeeded."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How much a point is looked at: transfers as fast as they go, at a rate, by stage."""

    transfers: int = 3_000
    rate_per_s: float = 20.0
    latency_transfers: int = 200
    stage_transfers: int = 2_000
    batch: int = 100


@dataclass(frozen=True, slots=True)
class Point:
    """The node at one size. Bytes, seconds, milliseconds, as the names say.

    Attributes:
        size: of what grows, when the probe began.
        transactions, height: of the chain after the probe.
        grown_per_s: transactions a second while growing up to here.
        settle_s: until the node was idle afterwards, for LevelDB merges what came in so fast.
        per_s, cpu_ms: the probe: transfers a second, CPU time of the node a transfer.
        generator_share: CPU time of the load generator in a second of the probe; 1.0 is one whole core.
        p50_ms, p95_ms, p99_ms: submit to receipt at the probe's rate.
        failed: transactions of both probes that failed or were refused.
        rss_bytes, rss_anonymous_bytes, rss_peak_bytes: the node before it was stopped; peak since its start.
        disk_bytes, log_bytes: of the stopped node's directory, and of LevelDB's log in it, which is replayed.
        stop_s: from the signal to the end of the process.
        reopen_s: each time, from the start of the process to the answer of eth_blockNumber.
        open_s: of that, from opening the ledger to listening.
        reopened_rss_bytes: right after.
        stages: seconds by stage of `bench.stages` over `stage_transfers` transfers; empty if not looked at.
    """

    size: int
    transactions: int
    height: int
    grown_per_s: float
    settle_s: float
    per_s: float
    cpu_ms: float
    generator_share: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failed: int
    rss_bytes: int
    rss_anonymous_bytes: int
    rss_peak_bytes: int
    disk_bytes: int
    log_bytes: int
    stop_s: float
    reopen_s: tuple[float, ...]
    open_s: tuple[float, ...]
    reopened_rss_bytes: int
    stage_transfers: int
    stages: Spent


@dataclass(slots=True)
class Curve:
    """The points so far.

    `history` is which old states the node keeps, as of `shelian node --history`; `empty_disk_bytes` what the
    directory took at genesis.
    """

    kind: Kind
    probe: Probe
    wanted: tuple[int, ...]
    history: str = "archive"
    empty_disk_bytes: int = 0
    points: list[Point] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        kept = "" if self.history == "archive" else f" ({self.history})"
        return {
            "grow": self.kind.name,
            "title": {"zh": self.kind.zh + kept, "en": self.kind.en + kept},
            "each": self.kind.each,
            "history": self.history,
            "probe": asdict(self.probe),
            "wanted": list(self.wanted),
            "empty_disk_bytes": self.empty_disk_bytes,
            "points": [asdict(point) for point in self.points],
        }


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """The points of a run to `largest`, itself the last."""
    return (*(size for size in SIZES if size < largest), largest)


async def grow(curve: Curve, console: Console, save: Callable[[], None]) -> None:
    """Fill `curve` point by point; `save` is called after each. Raises LoadError."""
    with tempfile.TemporaryDirectory(prefix="shelian-scale-") as name:
        run = _Run(curve, Path(name), console)
        for size in curve.wanted:
            curve.points.append(await run.point(size))
            save()


class _Run:
    """One chain from genesis on."""

    def __init__(self, curve: Curve, directory: Path, console: Console) -> None:
        self._curve = curve
        self._directory = directory
        self._console = console
        self._terms: Terms | None = None
        self._size = 0
        self._transactions = 0

    async def point(self, size: int) -> Point:
        """Grow to `size` and look at it."""
        probe = self._curve.probe
        async with self._node() as target, Client(target.url, CONNECTIONS + 1) as client:
            if self._terms is None:
                self._curve.empty_disk_bytes = directory_bytes(self._directory)
                self._terms = (await TokenHolders.create(client)).terms
            holders = TokenHolders(client, self._terms)
            grown_per_s = await self._grow_to(size, client, self._terms)
            settle_s = await _settle(target)
            at_start = self._size
            self._say(f"{at_start:,}: {probe.transfers:,} transfers")
            raws = await holders.sign_transfers(f"probe {size}", probe.transfers)
            cpu_before = target.cpu_seconds() or 0.0
            figures = await measure_throughput(client, [raws], probe.batch, CONNECTIONS)
            cpu_s = (target.cpu_seconds() or 0.0) - cpu_before
            figures = await with_failures(client, figures, [raws])
            self._say(f"{at_start:,}: {probe.latency_transfers} transfers at {probe.rate_per_s:.0f} a second")
            slow = await holders.sign_transfers(f"latency {size}", probe.latency_transfers)
            async with Client(target.url, LATENCY_CONNECTIONS) as many:
                latency = await measure_latency(many, slow, probe.rate_per_s)
            self._count(probe.transfers + probe.latency_transfers)
            height = int(await client.call("eth_blockNumber"), 16)
            memory = target.memory()
            stopping = time.perf_counter()
        stop_s = time.perf_counter() - stopping
        disk, log = directory_bytes(self._directory), directory_bytes(self._directory, "*.log")
        reopened = [await self._reopen() for _ in range(REOPENINGS)]
        at_an_end = size in (self._curve.wanted[0], self._curve.wanted[-1])
        return Point(
            size=at_start,
            transactions=self._transactions,
            height=height,
            grown_per_s=grown_per_s,
            settle_s=settle_s,
            per_s=figures.per_s,
            cpu_ms=1000 * cpu_s / probe.transfers,
            generator_share=figures.generator_cpu_s / figures.seconds,
            p50_ms=latency.p50_ms,
            p95_ms=latency.p95_ms,
            p99_ms=latency.p99_ms,
            failed=figures.failed + figures.refused + latency.failed,
            rss_bytes=memory.total,
            rss_anonymous_bytes=memory.anonymous,
            rss_peak_bytes=memory.peak,
            disk_bytes=disk,
            log_bytes=log,
            stop_s=stop_s,
            reopen_s=tuple(one.whole_s for one in reopened),
            open_s=tuple(one.open_s for one in reopened),
            reopened_rss_bytes=max(one.rss_bytes for one in reopened),
            stage_transfers=probe.stage_transfers if at_an_end else 0,
            stages=await self._stages(size) if at_an_end else {},
        )

    async def _grow_to(self, size: int, client: Client, terms: Terms) -> float:
        """Transactions a second on the way; 0 where there was none."""
        kind = self._curve.kind
        transactions = -(-max(0, size - self._size) // kind.each)
        nonces = [await client.nonce(key.address) for key in kind.senders]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        seconds = 0.0
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(f"{kind.en} {self._size:,} → {size:,}, transactions", total=transactions)
            async for raws in signed_chunks(kind, terms, nonces, f"grow {size}", transactions):
                figures = await measure_throughput(client, [raws], kind.batch, CONNECTIONS)
                seconds += figures.seconds
                failed = await client.count_failed([hash_of(raw) for raw in raws[::_SAMPLE]])
                if failed or figures.refused:
                    raise LoadError(f"growing transactions: {failed} failed, {figures.refused} refused")
                self._size += len(raws) * kind.each
                self._transactions += len(raws)
                progress.update(
                    task,
                    advance=len(raws),
                    description=f"{kind.en} {self._size:,} → {size:,}, {figures.per_s:,.0f} tx/s",
                )
        return transactions / seconds if seconds else 0.0

    async def _reopen(self) -> _Reopened:
        began = time.perf_counter()
        async with self._node() as target, Client(target.url, 1) as client:
            await client.call("eth_blockNumber")
            whole_s = time.perf_counter() - began
            return _Reopened(whole_s, target.open_s or 0.0, target.memory().total)

    async def _stages(self, size: int) -> Spent:
        """Seconds by stage of the probe's `stage_transfers`."""
        probe, terms = self._curve.probe, self._terms
        assert terms is not None  # noqa: S101 - made before the first point
        self._say(f"{size:,}: {probe.stage_transfers:,} transfers by stage")
        async with self._node(stages=True) as target, Client(target.url, CONNECTIONS + 1) as client:
            raws = await TokenHolders(client, terms).sign_transfers(f"stages {size}", probe.stage_transfers)
            before = await target.stages()
            await measure_throughput(client, [raws], probe.batch, CONNECTIONS)
            spent = spent_between(before, await target.stages())
        self._count(probe.stage_transfers)
        return spent

    def _node(self, *, stages: bool = False) -> AbstractAsyncContextManager[Target]:
        return our_node(self._directory, stages=stages, history=self._curve.history)

    def _count(self, transfers: int) -> None:
        """Transfers of a probe are transactions, and each has a holder of its own."""
        self._transactions += transfers
        if self._curve.kind.name == "holders":
            self._size += transfers

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False)


@dataclass(frozen=True, slots=True)
class _Reopened:
    whole_s: float
    open_s: float
    rss_bytes: int


async def _settle(target: Target) -> float:
    """Seconds until the node's process hardly used a core any more, or `_SETTLE_S`."""
    began = time.perf_counter()
    spent = target.cpu_seconds() or 0.0
    while (waited := time.perf_counter() - began) < _SETTLE_S:
        await asyncio.sleep(1.0)
        before, spent = spent, target.cpu_seconds() or 0.0
        if spent - before < _IDLE_SHARE:
            break
    return waited


def directory_bytes(directory: Path, pattern: str = "*") -> int:
    """Of the files below whose name matches."""
    return sum(file.stat().st_size for file in directory.rglob(pattern) if file.is_file())
