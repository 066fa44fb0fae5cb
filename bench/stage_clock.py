"""The clocks in the node's process: CPU and wall time of each stage of `bench.stages`.

The functions that bound a stage are wrapped for the run. Times are exclusive: what a stage calls that is a
stage itself counts there. CPU time is the thread's own, so waiting for the other thread, for the interpreter
lock or for the disk is in the wall time only. The clocks cost about a microsecond a call, so figures are made
without them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import node.ledger.admission
import node.ledger.finalize
from bench.stages import ABCI, REST, RPC, Spent
from network.comet.application import Application
from network.comet.headers import HeaderCursor
from network.embedded import EmbeddedEngine
from network.intake import Intake
from node.execution import PyEvmExecutor
from node.ledger import Ledger
from node.ledger.verification import Verification
from node.state.database import Database
from node.state.overlay import Overlay
from node.txpool import TransactionPool

_BOUNDS: tuple[tuple[str, Any, str], ...] = (
    ("decode", node.ledger.admission, "decode"),
    ("signature", node.ledger.admission, "check_form"),
    ("signature", node.ledger.admission, "sender_of"),
    ("signature", node.ledger.admission, "verify"),
    ("signature", Ledger, "verify_ahead"),
    ("signature", Verification, "verify_all"),
    ("signature", Verification, "_verify"),
    ("intake", Intake, "_take"),
    ("check", Ledger, "check"),
    ("check", Ledger, "recheck"),
    ("pool", TransactionPool, "add"),
    ("pool", TransactionPool, "ready"),
    ("pool", TransactionPool, "committed"),
    (ABCI, Application, "_attempt"),
    ("prepare", Ledger, "prepare"),
    ("process", Ledger, "process"),
    ("finalize", Ledger, "finalize"),
    ("execute", PyEvmExecutor, "execute"),
    ("receipts", node.ledger.finalize, "_record"),
    ("seal", Overlay, "seal"),
    ("encode", Ledger, "commit"),
    ("write", Database, "write"),
    ("block", EmbeddedEngine, "make_block"),
    ("headers", HeaderCursor, "_save"),
)
_COMET_THREAD = "comet"
"""Of `network.comet.engine`: its event loop."""


@dataclass(slots=True)
class _Thread:
    """Times of one thread, nanoseconds, and the stages it is in."""

    ident: int
    spent: dict[str, list[int]] = field(default_factory=dict)
    inside: list[list[int]] = field(default_factory=list)


class StageClock:
    """Wraps the functions of `_BOUNDS` for the life of the process; `totals` may be asked at any time."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._threads: list[_Thread] = []
        for stage, owner, name in _BOUNDS:
            function = getattr(owner, name, None)
            if function is None:
                raise LookupError(f"stage {stage}: {owner.__name__} has no {name} any more")
            setattr(owner, name, self._timed(stage, function))

    def totals(self) -> Spent:
        """Seconds by stage since the start: `{"cpu": …, "wall": …}`. Called in the thread of the event loop.

        `rpc` is that thread's CPU time outside the other stages, `abci` that of CometBFT's loop added to its
        own; `rest` what the process used beyond these.
        """
        totals: dict[str, list[int]] = {}
        for loop in threading.enumerate():
            if loop.name == _COMET_THREAD and loop.ident is not None:
                used = time.clock_gettime_ns(time.pthread_getcpuclockid(loop.ident))
                outside = used - sum(cpu for cpu, _ in self._spent_in(loop.ident))
                totals[ABCI] = [outside, outside]
        for thread in tuple(self._threads):
            for stage, spent in tuple(thread.spent.items()):
                total = totals.setdefault(stage, [0, 0])
                total[0] += spent[0]
                total[1] += spent[1]
        own = self._of_this_thread().spent
        rpc = time.thread_time_ns() - sum(cpu for cpu, _ in own.values())
        totals[RPC] = [rpc, rpc]
        rest = time.process_time_ns() - sum(cpu for cpu, _ in totals.values())
        totals[REST] = [rest, rest]
        return {stage: {"cpu": cpu / 1e9, "wall": wall / 1e9} for stage, (cpu, wall) in totals.items()}

    def _spent_in(self, ident: int) -> list[list[int]]:
        threads = [one for one in tuple(self._threads) if one.ident == ident]
        return [spent for one in threads for spent in tuple(one.spent.values())]

    def _of_this_thread(self) -> _Thread:
        thread: _Thread | None = getattr(self._here, "thread", None)
        if thread is None:
            thread = self._here.thread = _Thread(threading.get_ident())
            self._threads.append(thread)
        return thread

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        cpu_clock, wall_clock = time.thread_time_ns, time.perf_counter_ns
        of_this_thread = self._of_this_thread

        def timed(*arguments: Any, **named: Any) -> Any:
            thread = of_this_thread()
            inner = [0, 0]
            thread.inside.append(inner)
            wall, cpu = wall_clock(), cpu_clock()
            try:
                return function(*arguments, **named)
            finally:
                cpu, wall = cpu_clock() - cpu, wall_clock() - wall
                thread.inside.pop()
                spent = thread.spent.setdefault(stage, [0, 0])
                spent[0] += cpu - inner[0]
                spent[1] += wall - inner[1]
                if thread.inside:
                    outer = thread.inside[-1]
                    outer[0] += cpu
                    outer[1] += wall

        return timed
