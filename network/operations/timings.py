"""How long things take: a ledger that tells, and the histograms it tells."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from node.chain.commit import Commit
from node.chain.header import Header
from node.ledger import Admitted, DecidedBlock, FinalizedBlock, Ledger

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CHECK_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)


class Timings:
    """The histograms of one node, in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.execution = Histogram(
            "shelian_block_execution_seconds",
            "执行一个区块 executing one block",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.commit = Histogram(
            "shelian_block_commit_seconds",
            "写盘一个区块 writing one block to the disk, synced, and telling listeners",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.check = Histogram(
            "shelian_check_seconds",
            "检查一笔交易 checking one transaction; its signature was verified ahead",
            buckets=_CHECK_BUCKETS,
            registry=registry,
        )
        self.submission = Histogram(
            "shelian_submission_seconds",
            "从提交到入块 from a transaction's submission at this node to its block on this node's disk",
            buckets=_BUCKETS,
            registry=registry,
        )


class TimedLedger(Ledger):
    """A ledger whose steps are timed once `timings` is set; otherwise it is the same."""

    timings: Timings | None = None

    def check(self, raw: bytes, now_ns: int) -> Admitted:
        began = time.perf_counter()
        try:
            return super().check(raw, now_ns)
        finally:
            if self.timings is not None:
                self.timings.check.observe(time.perf_counter() - began)

    def finalize(self, block: DecidedBlock) -> FinalizedBlock:
        began = time.perf_counter()
        finalized = super().finalize(block)
        if self.timings is not None:
            self.timings.execution.observe(time.perf_counter() - began)
        return finalized

    def commit(
        self,
        finalized: FinalizedBlock,
        header: Header | None = None,
        commit: Commit | None = None,
        last_commit: Commit | None = None,
    ) -> None:
        began = time.perf_counter()
        super().commit(finalized, header, commit, last_commit)
        if self.timings is not None:
            self.timings.commit.observe(time.perf_counter() - began)
