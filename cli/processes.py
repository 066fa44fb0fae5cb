"""Child processes of ``shelian up``: started in order, watched, stopped in reverse order.

Each child logs to its own file; a child that dies is named with the end of its log. Children get their own
process group, so that Ctrl-C reaches only the supervisor, which then stops them cleanly one after the
other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cli.system import SystemFault

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Child:
    """One program to run.

    Attributes:
        name: shown to the operator, and the log file's name.
        arguments: of ``shelian``.
    """

    name: str
    arguments: tuple[str, ...]


@dataclass(slots=True)
class Supervisor:
    """Owns the children of one ``shelian up``; ``healthy`` tells whether a child is ready for work."""

    logs: Path
    healthy: Callable[[Child], bool]
    _running: list[tuple[Child, subprocess.Popen[bytes], IO[bytes]]] = field(default_factory=list)

    def start(self, children: Sequence[Child], ready: Callable[[Child], None]) -> None:
        """Start all at once, then wait until each is healthy.

        Raises: SystemFault ``system.child_died`` or ``system.child_slow`` (after everything was stopped
        again).
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            for child in children:
                log = (self.logs / f"{child.name}.log").open("ab")
                process = subprocess.Popen(
                    [sys.executable, "-m", "cli.main", *child.arguments],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    env=os.environ | {"ETH_HASH_BACKEND": "pysha3", "PYTHONUNBUFFERED": "1"},
                )
                self._running.append((child, process, log))
            for child, process, _ in self._running[-len(children) :]:
                self._wait_ready(child, process)
                ready(child)
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
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
            expected=f"ready within {START_TIMEOUT_S:.0f} s",
        )

    def dead(self) -> str | None:
        """The name of a child that is gone, or ``None``."""
        return next((child.name for child, process, _ in self._running if process.poll() is not None), None)

    def tail(self, name: str, lines: int = 12) -> str:
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self) -> None:
        """Ask every child to stop, last started first; kill what does not listen."""
        for _, process, _ in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for _, process, log in reversed(self._running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()
        self._running.clear()
