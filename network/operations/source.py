"""The facts for whoever asks: gathered at most once a second, in a thread of their own, with patience.

A ledger that does not answer does not hold up who asks: they get the last facts, with their age, and a
finding that says so. The gathering goes on in its thread until it ends by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from network.operations.facts import NodeFacts
from network.operations.findings import Finding, by_weight, stale
from network.operations.judgement import findings_of
from node.chain.errors import ShelianError

_log = structlog.get_logger("network.operations")

FRESH_S: Final = 1.0
PATIENCE_S: Final = 3.0
OLD_S: Final = 10.0
"""Facts of that age are a fault."""


@dataclass(frozen=True, slots=True)
class Report:
    """`facts` None: none were ever gathered. `age_s`: how old they are; `took_s`: how long gathering took."""

    facts: NodeFacts | None
    findings: tuple[Finding, ...]
    age_s: float
    took_s: float = 0.0


class FactSource:
    """See the module. `report` belongs to one event loop; `close` it when that has ended."""

    def __init__(self, gather: Callable[[], NodeFacts], patience_s: float = PATIENCE_S) -> None:
        self._gather = gather
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="operations-facts")
        self._running: Future[tuple[NodeFacts, float, float]] | None = None
        self._facts: NodeFacts | None = None
        self._taken_s = self._born_s = time.monotonic()
        self._took_s = 0.0
        self._why = ""

    async def report(self) -> Report:
        """The facts and what is wrong; not older than a second, if the ledger answers."""
        if self._facts is None or time.monotonic() - self._taken_s >= FRESH_S:
            await self._refresh()
        age_s = time.monotonic() - (self._born_s if self._facts is None else self._taken_s)
        findings = () if self._facts is None else findings_of(self._facts)
        if self._facts is None or age_s >= OLD_S or self._why:
            findings = by_weight((stale(age_s, self._why), *findings))
        return Report(self._facts, findings, age_s, self._took_s)

    def close(self) -> None:
        """Returns when the gathering has ended, so the ledger may be closed."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _refresh(self) -> None:
        if self._running is None:
            self._running = self._thread.submit(self._timed)
        running = self._running
        try:
            async with asyncio.timeout(self._patience_s):
                facts, taken_s, took_s = await asyncio.shield(asyncio.wrap_future(running))
        except TimeoutError:
            return
        except (ShelianError, OSError) as error:
            self._fail(str(error), getattr(error, "code", "operations.unreadable"))
        except Exception as error:
            # A fault of ours in one figure may not take the whole page away.
            self._fail(type(error).__name__, "operations.failed", error)
        else:
            self._facts, self._taken_s, self._took_s, self._why = facts, taken_s, took_s, ""
        if self._running is running:
            self._running = None

    def _timed(self) -> tuple[NodeFacts, float, float]:
        began_s = time.monotonic()
        facts = self._gather()
        return facts, began_s, time.monotonic() - began_s

    def _fail(self, why: str, code: str, error: Exception | None = None) -> None:
        if why != self._why:
            _log.error("the node's figures cannot be gathered", code=code, error=why, exc_info=error)
        self._why = why
