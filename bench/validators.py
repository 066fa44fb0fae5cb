"""A network of validators on this machine: their directories, their processes, what these use.

    DIRECTORY/NUMBER/genesis.json, ledger/, comet/      as `bench.network_node` takes it

Node `number` counts from 1. All peers are in the settings of all; what an operator leaves alone stays as it
is by default. CometBFT's processes are children of the nodes'.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.cast import bench_genesis, node_key, validator_key
from bench.client import Client, LoadError
from bench.spread import SpreadClient
from bench.stages import Spent
from bench.targets import cpu_seconds_of
from network.comet.home import CometPlace, CometSettings, StateSync, load_settings, make_home, node_id
from node.chain.genesis import Genesis, encode_genesis
from node.ledger import Ledger

_ROOT = Path(__file__).parent.parent
_START_S = 120.0
_STOP_S = 30.0
_STEP_S = 0.01
_GENESIS_AGE_NS = 10_000_000_000


@dataclass
class Validator:
    """One node: its directory, and its process while it runs."""

    number: int
    directory: Path
    url: str = ""
    began: float = 0.0
    """When its process was started last, by the monotonic clock."""
    process: asyncio.subprocess.Process | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def place(self) -> CometPlace:
        return CometPlace(self.directory / "comet")

    @property
    def settings(self) -> CometSettings:
        return load_settings(self.place)

    def configure(self, settings: CometSettings) -> None:
        """In force when it is started next."""
        make_home(self.place, settings, node_key(self.number).secret, validator_key(self.number).secret)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self, *, stages: bool = False) -> None:
        """Returns when it listens; whether it is in step is another matter. Raises LoadError."""
        options = ["--stages"] if stages else []
        self.began = time.monotonic()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.network_node", str(self.directory), *options,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26,
            cwd=_ROOT, start_new_session=True,
        )  # fmt: skip
        self.url = (await self._line())["url"]

    async def stop(self) -> None:
        if self.process is not None and self.is_running:
            self.process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """kill -9; the kernel ends its CometBFT with it."""
        if self.process is not None and self.is_running:
            self.process.kill()
            await self.process.wait()

    async def ask(self, word: str) -> Any:
        """What the node answers to a word of `bench.network_node`. Raises LoadError."""
        assert self.process is not None  # noqa: S101 - for the type checker
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        async with self._asking:
            self.process.stdin.write(f"{word}\n".encode())
            return await self._line()

    async def _line(self) -> Any:
        assert self.process is not None  # noqa: S101 - for the type checker
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        try:
            async with asyncio.timeout(_START_S):
                line = await self.process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise LoadError(f"node {self.number} did not answer; its errors are above")
        return json.loads(line)

    @property
    def comet_pid(self) -> int | None:
        """Of its CometBFT; None while that does not run."""
        if self.process is None or not self.is_running:
            return None
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in children.read_text().split():
                    return int(pid)
        return None

    def cpu_seconds(self) -> tuple[float, float]:
        """Of the node's process and of its CometBFT so far."""
        assert self.process is not None  # noqa: S101 - for the type checker
        comet = self.comet_pid
        return cpu_seconds_of(self.process.pid), 0.0 if comet is None else cpu_seconds_of(comet)

    def disk(self) -> dict[str, int]:
        """Bytes of its files by part: the ledger, and CometBFT's block store, state, evidence and WAL."""
        data = self.place.directory / "data"
        return {
            "ledger": allocated_bytes(self.directory / "ledger"),
            "blocks": allocated_bytes(data / "blockstore.db"),
            "state": allocated_bytes(data / "state.db"),
            "evidence": allocated_bytes(data / "evidence.db"),
            "wal": allocated_bytes(data / "cs.wal"),
        }


def allocated_bytes(directory: Path) -> int:
    """Of the files below as far as they are written: a file that another process removes meanwhile counts
    nothing.
    """
    total = 0
    for file in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                total += file.stat().st_size
    return total


class Network:
    """N validators with one genesis; a chain that load can be sent to (`bench.scenarios.Chain`)."""

    def __init__(self, genesis: Genesis, validators: Sequence[Validator], spread: bool) -> None:
        """`spread`: whether the load goes to all nodes, a sender's to one of them, or all to the first."""
        self.genesis = genesis
        self.validators = tuple(validators)
        self.has_stages = False
        self._spread = spread
        self._looks: list[list[tuple[float, float]]] = []

    # ---- bench.scenarios.Chain

    @property
    def name(self) -> str:
        return f"shelian × {len(self.validators)}"

    @property
    def transport(self) -> str:
        return "http"

    @property
    def running(self) -> tuple[Validator, ...]:
        return tuple(one for one in self.validators if one.is_running)

    @property
    def entries(self) -> tuple[Validator, ...]:
        """Who takes the load."""
        return self.running if self._spread else self.running[:1]

    def client(self, connections: int) -> Client:
        return SpreadClient([one.url for one in self.entries], connections)

    def cpu_seconds(self) -> float:
        self._looks = [*self._looks[-1:], self.cpu_of_each()]
        return sum(map(sum, self._looks[-1]))

    def cpu_between_looks(self) -> dict[str, float]:
        """As `cpu_between` of the two last answers of `cpu_seconds`."""
        return cpu_between(*self._looks)

    def cpu_of_each(self) -> list[tuple[float, float]]:
        """Of each running node: its process, its CometBFT."""
        return [one.cpu_seconds() for one in self.running]

    async def stages(self) -> Spent:
        """Of all nodes together."""
        if not self.has_stages:
            return {}
        total: Spent = {}
        for one in self.running:
            for stage, clocks in (await one.ask("stages")).items():
                sums = total.setdefault(stage, {})
                for clock, seconds in clocks.items():
                    sums[clock] = sums.get(clock, 0.0) + seconds
        return total

    # ---- its life

    async def start(self, *, stages: bool = False) -> None:
        """All of them; returns when they make blocks together. Raises LoadError."""
        self.has_stages = stages
        await asyncio.gather(*(one.start(stages=stages) for one in self.validators))
        await self.wait_in_step()

    async def stop(self) -> None:
        await asyncio.gather(*(one.stop() for one in self.validators))

    async def wait_in_step(self) -> None:
        """Until every running node votes and has the first block. Raises LoadError."""
        for one in self.running:
            async with Client(one.url, 1) as client:
                deadline = time.monotonic() + _START_S
                while not await is_in_step(client, 1):
                    if time.monotonic() > deadline:
                        raise LoadError(f"node {one.number} does not come into step")
                    await asyncio.sleep(_STEP_S)

    def configure(self, **changes: Any) -> None:
        """Change settings of all; in force when they are started next."""
        for one in self.validators:
            one.configure(replace(one.settings, **changes))

    def add_observer(self, trusted: tuple[int, bytes]) -> Validator:
        """A further node, of no vote, that joins by state sync trusting this header; the validators, none of
        which may be running, know it from now on.
        """
        number = len(self.validators) + 1
        directory = self.validators[0].directory.parent / str(number)
        first = self.validators[0].settings
        ports = free_ports(3)
        bootstrap = (*first.bootstrap, peer_of(number, ports[0]))
        self.configure(bootstrap=bootstrap)
        servers = tuple(f"http://{one.settings.rpc_address}" for one in self.validators[:2])
        addresses = settings_of(number, ports, bootstrap)
        height, header_hash = trusted
        observer = make_validator(number, directory, self.genesis)
        observer.configure(replace(addresses, state_sync=StateSync(servers, height, header_hash)))
        return observer


def cpu_between(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> dict[str, float]:
    """CPU seconds that went by, of all nodes' processes and of all their CometBFTs."""
    node, comet = (
        sum(last[which] - first[which] for first, last in zip(before, after, strict=True)) for which in (0, 1)
    )
    return {"node_s": node, "comet_s": comet}


async def is_in_step(client: Client, height: int) -> bool:
    """Whether a node votes, or could, and has this block."""
    status = await client.call("shelian_status")
    return bool(status["running"]) and int(status["height"], 16) >= height


def make_network(directory: Path, count: int, spread: bool = True, **settings: Any) -> Network:
    """Genesis, keys and directories of `count` validators, 1 to 7; nothing runs yet.

    `settings`: of CometSettings, for all.
    """
    genesis = bench_genesis(time.time_ns() - _GENESIS_AGE_NS, count)
    ports = free_ports(3 * count)
    numbers = range(1, count + 1)
    bootstrap = tuple(peer_of(number, ports[3 * number - 3]) for number in numbers)
    first = make_validator(1, directory / "1", genesis)
    # Genesis takes its time to run; the ledgers begin alike.
    copies = (copy_validator(first, number, directory / str(number)) for number in numbers[1:])
    validators = (first, *copies)
    for one in validators:
        own = settings_of(one.number, ports[3 * one.number - 3 : 3 * one.number], bootstrap)
        one.configure(replace(own, **settings))
    return Network(genesis, validators, spread)


def make_validator(number: int, directory: Path, genesis: Genesis) -> Validator:
    directory.mkdir(parents=True)
    (directory / "genesis.json").write_bytes(encode_genesis(genesis))
    Ledger.create(directory / "ledger", genesis).close()
    return Validator(number, directory)


def copy_validator(first: Validator, number: int, directory: Path) -> Validator:
    shutil.copytree(first.directory, directory)
    return Validator(number, directory)


def settings_of(number: int, ports: Sequence[int], bootstrap: tuple[str, ...]) -> CometSettings:
    p2p, rpc, metrics = (f"127.0.0.1:{port}" for port in ports)
    return CometSettings(p2p, rpc, metrics, bootstrap, name=f"bench{number}", one_machine=True)


def peer_of(number: int, port: int) -> str:
    return f"{node_id(node_key(number).public_key)}@127.0.0.1:{port}"


def free_ports(count: int) -> list[int]:
    """Of loopback; held together, so that none comes twice."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
