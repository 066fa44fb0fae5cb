"""The network between a scenario's machines: an Ethernet switch in user space.

Every machine's interface is a TAP device; this process holds the other ends. It carries frames from one to
the other and does to them what a scenario says: late, later still by chance, lost by chance, not at all
across a partition. Nobody is told: frames vanish, as they do on a real line. (The kernel's `netem` is a
module that many machines do not have, and it knows no partitions; so there is one way to do all of it, here.)

    python -m tests.network.scenarios.switch SEED NUMBER:DESCRIPTOR …

A line of JSON on stdin is a new state of affairs (`State`); the answer is a line with what was carried. It
ends with its stdin.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import selectors
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

_FRAME = 2_048
_LONGEST_QUEUE = 2_000
"""Frames on their way on one line; more are lost, as in a router."""
_BURST = 64


@dataclass(frozen=True)
class Line:
    """What happens to frames in one direction. Seconds; `loss` 0 to 1."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class State:
    """`lines`: those that are not plain, by (from, to). `islands`: who still reaches whom; nobody on two; one
    who is on none reaches nobody. Without any, all reach all.
    """

    lines: Mapping[tuple[int, int], Line] = field(default_factory=dict)
    islands: tuple[frozenset[int], ...] = ()

    def encode(self) -> str:
        lines = [[one, other, asdict(line)] for (one, other), line in self.lines.items()]
        return json.dumps({"lines": lines, "islands": [sorted(island) for island in self.islands]})

    @classmethod
    def decode(cls, text: str) -> State:
        plain: dict[str, Any] = json.loads(text)
        return cls(
            {(one, other): Line(**line) for one, other, line in plain["lines"]},
            tuple(frozenset(island) for island in plain["islands"]),
        )

    def reaches(self, one: int, other: int) -> bool:
        return not self.islands or any(one in island and other in island for island in self.islands)


@dataclass
class Switch:
    """Decides when a frame arrives, if it does. Frames on one line never overtake each other."""

    chance: random.Random
    numbers: frozenset[int]
    state: State = field(default_factory=State)
    carried: int = 0
    lost: int = 0
    _free: dict[tuple[int, int], float] = field(default_factory=dict)
    _on_the_way: dict[tuple[int, int], int] = field(default_factory=dict)

    def route(self, source: int, frame: bytes, now: float) -> list[tuple[float, int]]:
        """(when, to whom) of one frame; a time that is not after `now` means at once."""
        if frame[0] & 1:  # to everybody
            targets: Iterable[int] = sorted(self.numbers - {source})
        else:  # hardware addresses end in the machine's number
            targets = [frame[5]] if frame[5] in self.numbers else []
        arrivals = []
        for target in targets:
            line = self.state.lines.get((source, target))
            if not self.state.reaches(source, target) or (
                line is not None and line.loss and self.chance.random() < line.loss
            ):
                self.lost += 1
                continue
            due = now
            if line is not None:
                due = max(
                    now + line.delay + line.jitter * (2 * self.chance.random() - 1),
                    self._free.get((source, target), now),
                )
                if self._on_the_way.get((source, target), 0) >= _LONGEST_QUEUE:
                    self.lost += 1
                    continue
                self._free[source, target] = due
                self._on_the_way[source, target] = self._on_the_way.get((source, target), 0) + 1
            self.carried += 1
            arrivals.append((due, target))
        return arrivals

    def arrived(self, source: int, target: int) -> None:
        """A frame that was late has arrived."""
        if (source, target) in self._on_the_way:
            self._on_the_way[source, target] -= 1


def _serve(switch: Switch, taps: Mapping[int, int]) -> None:
    selector = selectors.EpollSelector()
    for number, descriptor in taps.items():
        selector.register(descriptor, selectors.EVENT_READ, number)
    os.set_blocking(0, False)
    selector.register(0, selectors.EVENT_READ, 0)
    waiting: list[tuple[float, int, int, int, bytes]] = []
    order = count()
    said = b""
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(timeout):
            if key.data == 0:
                more = os.read(0, 1 << 16)
                if not more:
                    return
                *lines, said = (said + more).split(b"\n")
                for line in lines:
                    switch.state = State.decode(line.decode())
                    print(json.dumps({"carried": switch.carried, "lost": switch.lost}), flush=True)
                continue
            for _ in range(_BURST):
                try:
                    frame = os.read(key.fd, _FRAME)
                except BlockingIOError:
                    break
                now = time.monotonic()
                for due, target in switch.route(key.data, frame, now):
                    if due > now or (key.data, target) in switch.state.lines:
                        heapq.heappush(waiting, (due, next(order), key.data, target, frame))
                    else:
                        _hand_over(taps[target], frame)
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, source, target, frame = heapq.heappop(waiting)
            switch.arrived(source, target)
            if switch.state.reaches(source, target):
                _hand_over(taps[target], frame)


def _hand_over(tap: int, frame: bytes) -> None:
    try:
        os.write(tap, frame)
    except OSError:  # its queue is full, or it is gone: lost
        return


if __name__ == "__main__":
    ends = {int(number): int(descriptor) for number, descriptor in (one.split(":") for one in sys.argv[2:])}
    _serve(Switch(random.Random(int(sys.argv[1])), frozenset(ends)), ends)
