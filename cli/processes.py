"""Child processes of one `up`: started in order, watched, started again where that is wanted, stopped in
reverse order.

Each child logs to its own file; a child that dies is named with the end of its log. Children get their own
process group, so that Ctrl-C reaches only the supervisor, which then stops them cleanly one after the
other. Should the supervisor itself be killed, the kernel asks each of them to stop (`follow_supervisor`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import IO, Literal

from cli.system import SystemFault

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
_SUPERVISOR = "SHELIAN_SUPERVISOR"
_PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


@dataclass(frozen=True, slots=True)
class Child:
    """One program to run.

    Attributes:
        name: shown to the operator, and the log file's name.
        arguments: of ``shelian``.
    """

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """When a child that died is started again. Seconds.

    Attributes:
        first_pause: before the first new start; twice as long before each further one.
        longest_pause: the bound of that.
        proven: a child that lived so long works: pauses are short again, and its deaths are counted anew.
        deaths: so many in a row, and it is given up.
    """

    first_pause: float = 1.0
    longest_pause: float = 30.0
    proven: float = 60.0
    deaths: int = 6


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a child.

    Attributes:
        status: with which it ended; negative: the signal that killed it.
        pause: seconds until it is started again, where it died.
    """

    child: str
    what: Literal["died", "started", "given up"]
    status: int = 0
    pause: float = 0.0


@dataclass(slots=True)
class _Running:
    child: Child
    log: IO[bytes]
    process: subprocess.Popen[bytes]
    born: float
    deaths: int = 0
    again_at: float | None = None
    given_up: bool = False


@dataclass(slots=True)
class Supervisor:
    """Owns the children of one `up`; ``healthy`` tells whether a child is ready for work; ``program`` is what
    takes their arguments.
    """

    logs: Path
    healthy: Callable[[Child], bool]
    program: tuple[str, ...] = (sys.executable, "-m", "cli.main")
    start_timeout_s: float = START_TIMEOUT_S
    patience: Patience = Patience()
    _waves: list[list[_Running]] = field(default_factory=list)

    def start(self, children: Sequence[Child], ready: Callable[[Child], None]) -> None:
        """Start all at once, then wait until each is healthy.

        Raises: SystemFault ``system.child_died`` or ``system.child_slow`` (after everything was stopped
        again).
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        wave: list[_Running] = []
        self._waves.append(wave)
        try:
            for child in children:
                log = self.log_of(child.name).open("ab")
                wave.append(_Running(child, log, self._spawn(child, log), time.monotonic()))
            for one in wave:
                self._wait_ready(one.child, one.process)
                ready(one.child)
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise SystemFault(
                    "system.child_died",
                    f"{child.name} stopped while starting",
                    got=self.tail(child.name),
                    expected="a running process",
                )
            if self.healthy(child):
                return
            time.sleep(0.1)
        raise SystemFault(
            "system.child_slow",
            f"{child.name} was not ready in time",
            got=self.tail(child.name),
            expected=f"ready within {self.start_timeout_s:.0f} s",
        )

    def dead(self) -> str | None:
        """The name of a child that is gone, or ``None``."""
        return next((one.child.name for one in self._running if one.process.poll() is not None), None)

    def revive(self) -> list[Change]:
        """Start again what died and has waited long enough; what happened since the last look.

        A child that keeps dying is given up: it stays stopped, everything else goes on.
        """
        now = time.monotonic()
        return [change for one in self._running for change in self._look_at(one, now)]

    def _look_at(self, one: _Running, now: float) -> Sequence[Change]:
        status = one.process.poll()
        if status is None or one.given_up:
            return ()
        if one.again_at is None:
            one.deaths = 1 if now - one.born >= self.patience.proven else one.deaths + 1
            if one.deaths >= self.patience.deaths:
                one.given_up = True
                return (Change(one.child.name, "given up", status),)
            pause = min(self.patience.first_pause * 2 ** (one.deaths - 1), self.patience.longest_pause)
            one.again_at = now + pause
            return (Change(one.child.name, "died", status, pause),)
        if now < one.again_at:
            return ()
        one.process, one.born, one.again_at = self._spawn(one.child, one.log), now, None
        return (Change(one.child.name, "started"),)

    def _spawn(self, child: Child, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.program, *child.arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ
            | {"ETH_HASH_BACKEND": "pysha3", "PYTHONUNBUFFERED": "1", _SUPERVISOR: str(os.getpid())},
        )

    def pids(self) -> Mapping[str, int]:
        """Of the children that run."""
        return {one.child.name: one.process.pid for one in self._running if one.process.poll() is None}

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def tail(self, name: str, lines: int = 12) -> str:
        path = self.log_of(name)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self) -> None:
        """Ask every child to stop, those started last first, so that nobody loses what they ask; kill what
        does not listen.
        """
        while self._waves:
            wave = self._waves[-1]
            for one in wave:
                if one.process.poll() is None:
                    one.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            for one in wave:
                try:
                    one.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    one.process.kill()
                    one.process.wait()
                one.log.close()
            self._waves.pop()

    @property
    def _running(self) -> Iterator[_Running]:
        return chain.from_iterable(self._waves)


class StopRequest:
    """SIGINT and SIGTERM: while the system starts they end the start at once; afterwards they ask for a clean
    stop, and the second one ends that too.
    """

    def __init__(self) -> None:
        self.asked = False
        self._starting = True
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._ask)

    def started(self) -> None:
        self._starting = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again = self.asked
        self.asked = True
        if again or self._starting:
            raise KeyboardInterrupt


def follow_supervisor() -> None:
    """In a child: have the kernel send SIGTERM when the supervisor is gone, so that nothing outlives it.

    Linux only, like everything here.
    """
    supervisor = os.environ.pop(_SUPERVISOR, None)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor ended first")
