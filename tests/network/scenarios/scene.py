"""What a scenario has before it: machines, the lines between them, the load, and what it found out so far."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cli.layout import Layout
from node.chain.genesis import Genesis, encode_genesis
from node.chain.transaction import Call
from node.ledger import Ledger
from tests.network.scenarios.language import Machines
from tests.network.scenarios.load import Acknowledged, Load
from tests.network.scenarios.member import Member, NoAnswer, make_settings
from tests.network.scenarios.people import PROBES, scenario_genesis
from tests.network.scenarios.switch import Line, State
from tests.network.scenarios.worlds import Place, small_disk

STEP_S = 0.05
PATIENCE_S = 300.0
"""Four nodes on a busy machine with two cores take their time; nothing here says how fast something is."""
SPARE = 2
"""Machines beside the validators, for those who join and for twins."""
HEARTBEAT_MS = 15_000
SEED = 20_261_123


@dataclass(frozen=True)
class Recovery:
    """After `after`, every node that should run acknowledged a transaction of its own, `seconds` later."""

    after: str
    seconds: float


@dataclass
class Network:
    """`begun`: monotonic; `last_act`: the last command that did something, and when it was done."""

    path: Path
    genesis: Genesis
    members: dict[int, Member]
    places: dict[int, Place]
    load: Load
    switch: subprocess.Popen[str]
    lines: State = field(default_factory=State)
    last_act: tuple[str, float] = ("", 0.0)
    recoveries: list[Recovery] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ballast: dict[int, Path] = field(default_factory=dict)
    rejections: dict[int, int] = field(default_factory=dict)
    """What each had rejected when a program was changed."""
    per_second: float = 0.0

    # ---- who

    def of(self, machines: Machines) -> list[Member]:
        """Those, or everybody."""
        missing = [number for number in machines if number not in self.members]
        assert not missing, f"no such machines: {missing}"
        return [self.members[number] for number in machines or sorted(self.members)]

    @property
    def serving(self) -> list[Member]:
        """Those an honest user would ask."""
        return [one for one in self.members.values() if one.is_running and not one.is_suspect]

    # ---- the lines between them

    def set_lines(self, state: State) -> None:
        """In force when this returns."""
        self.lines = state
        assert self.switch.stdin is not None
        assert self.switch.stdout is not None
        self.switch.stdin.write(state.encode() + "\n")
        self.switch.stdin.flush()
        assert self.switch.stdout.readline(), "the switch ended"

    # ---- waiting

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> float:
        """Until it holds: the seconds it took. Where a node does not answer it does not hold."""
        began = time.monotonic()

        def holds() -> bool:
            try:
                return condition()
            except NoAnswer:
                return False

        while not holds():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not in {seconds:.0f} s: {what}")
            time.sleep(STEP_S)
        return time.monotonic() - began

    def highest(self) -> int:
        return max((member.height for member in self.serving), default=0)

    def probe(self, members: Sequence[Member], seconds: float) -> list[float]:
        """When each acknowledged a transaction sent to it alone (monotonic). Fails if one does not."""
        times: dict[int, float] = {}

        def ask(member: Member) -> None:
            self.load.deliver_to(member, PROBES[member.number - 1], [Call(bytes(19) + b"\x99", b"")])
            times[member.number] = time.monotonic()

        threads = [threading.Thread(target=ask, args=(member,), daemon=True) for member in members]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        late = [member.number for member in members if member.number not in times]
        assert not late, f"no transaction through {late} in {seconds:.0f} s"
        return list(times.values())

    def acknowledged(self) -> list[Acknowledged]:
        return list(self.load.acknowledged)

    # ---- machines

    def add(self, number: int, *, signs_as: int, peers: Sequence[int], **settings: Any) -> Member:
        """A machine with an empty directory; it does not run. The ledger is a copy of the genesis'."""
        layout = Layout(self.path / f"node{number}")
        layout.node.mkdir(parents=True, exist_ok=True)
        layout.genesis.write_bytes(encode_genesis(self.genesis))
        shutil.copytree(self.path / "genesis-ledger", layout.ledger)
        settings = {"heartbeat_ms": HEARTBEAT_MS} | settings
        member = Member(
            number,
            layout,
            self.places[number],
            self.genesis,
            make_settings(number, list(peers), **settings),
            signs_as,
        )
        member.write_home()
        self.members[number] = member
        return member

    def close(self) -> None:
        """End everything, at once."""
        self.load._end.set()
        for member in self.members.values():
            if member.is_running:
                member.kill()
        self.switch.kill()


def make_network(
    path: Path, validators: int, small: tuple[int, int] | None = None, **settings: Any
) -> Network:
    """Directories and keys; nothing runs but the switch. `small`: (machine, megabytes of its disk)."""
    genesis = scenario_genesis(validators)
    # Genesis takes its time to run; the directories are alike.
    Ledger.create(path / "genesis-ledger", genesis).close()
    places = {number: Place(number) for number in range(1, validators + SPARE + 1)}
    taps = [place.tap for place in places.values()]
    switch = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.network.scenarios.switch", str(SEED)),
            *(f"{number}:{place.tap}" for number, place in places.items()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=taps,
        text=True,
    )
    members: dict[int, Member] = {}

    def serving() -> list[Member]:
        return [one for one in members.values() if one.is_running and not one.is_suspect]

    network = Network(path, genesis, members, places, Load(genesis.evm_chain_id, serving), switch)
    network.set_lines(State())
    if small is not None:
        small_disk(path / f"node{small[0]}", small[1])
    for number in range(1, validators + 1):
        network.add(number, signs_as=number, peers=range(1, validators + 1), **settings)
    return network


def with_lines(state: State, ends: Sequence[tuple[int, int]], line: Line) -> State:
    """Both directions of each."""
    both = {pair: line for one, other in ends for pair in ((one, other), (other, one))}
    return replace(state, lines={**state.lines, **both})
