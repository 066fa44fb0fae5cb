"""One machine of a scenario: a directory, a network of its own, and `shelian node` with its CometBFT."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cli.layout import Layout
from network.comet.home import CometPlace, CometSettings, make_home, node_id, write_configuration
from node.chain.genesis import Genesis
from tests.network.comet.small_network import public_key, seed
from tests.network.scenarios.worlds import MACHINES, Place, address_of

P2P, RPC, METRICS, JSON_RPC = 26_656, 26_657, 26_660, 8_545
"""The same ports everywhere: each machine has addresses of its own."""
_ANSWER_S = 20.0

Answer = dict[str, Any]


class NoAnswer(Exception):
    """It does not listen, or does not answer in time."""


@dataclass(frozen=True)
class Alteration:
    """How a member's program differs from everybody else's; see `altered_node`."""

    proposes: str = ""
    executes_wrongly_from: int = 0
    clock_s: int = 0
    cometbft: str = ""

    @property
    def is_none(self) -> bool:
        return self == Alteration()

    @property
    def is_honest(self) -> bool:
        return not self.proposes and not self.executes_wrongly_from


@dataclass
class Member:
    """`number` from 1. `signs_as`: whose validator key it has."""

    number: int
    layout: Layout
    place: Place
    genesis: Genesis
    settings: CometSettings
    signs_as: int
    alteration: Alteration = Alteration()
    options: tuple[str, ...] = ()
    is_suspect: bool = False
    """What it has on the disk may differ from the others', and it may not answer rightly."""
    process: subprocess.Popen[bytes] | None = None
    _local: threading.local = field(default_factory=threading.local)

    @property
    def id(self) -> str:
        return _node_id(self.number)

    def write_home(self) -> None:
        place = CometPlace(self.layout.comet)
        make_home(place, self.settings, seed(f"node {self.number}"), seed(f"validator {self.signs_as}"))
        write_configuration(place, self.settings, self.genesis)

    @property
    def log_file(self) -> Path:
        return self.layout.data.parent / f"{self.layout.data.name}.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def comet_pids(self) -> list[int]:
        """Of its CometBFT: none while it is down."""
        if not self.is_running or self.process is None:
            return []
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def start(self) -> None:
        """Returns at once."""
        assert not self.is_running, f"{self.number} runs already"
        program = ["cli.main"]
        environment = {"ETH_HASH_BACKEND": "pysha3"}
        if not self.alteration.is_none:
            program = ["tests.network.scenarios.altered_node", json.dumps(self.alteration.__dict__)]
        if self.alteration.cometbft:
            environment["SHELIAN_COMETBFT"] = self.alteration.cometbft
            (self.layout.comet / "clock").write_text(str(self.alteration.clock_s))
        arguments = ("node", "--data", str(self.layout.data), "--port", str(JSON_RPC), "--log-json")
        with self.log_file.open("ab") as log, self.place:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *program, *arguments, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | environment,
            )

    def stop(self, seconds: float = 60) -> None:
        """As an operator does: SIGTERM; returns when it is gone."""
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"node {self.number} does not stop:\n{self.log[-4_000:]}") from None

    def kill(self) -> None:
        """kill -9 of the node; its CometBFT goes with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            deadline = time.monotonic() + 20
            while any(_has_home(pid, self.layout.comet) for pid in _processes()):
                assert time.monotonic() < deadline, "CometBFT lives on"
                time.sleep(0.02)

    def kill_cometbft(self) -> None:
        for pid in self.comet_pids:
            os.kill(pid, signal.SIGKILL)

    # ---- speaking to it, from any thread

    def ask(self, method: str, *params: object, seconds: float = _ANSWER_S) -> Answer:
        """The whole answer. Raises NoAnswer."""
        if not self.is_running:
            raise NoAnswer(f"{self.number} does not run")
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        held = getattr(self._local, "connection", None)
        if held is not None and held.sock is not None:
            try:
                return self._exchange(held, body, seconds)
            except (OSError, http.client.HTTPException, ValueError):
                held.close()  # it was idle too long, or is of the process before
                self._local.connection = None
        connection = http.client.HTTPConnection("127.0.0.1", JSON_RPC, timeout=seconds)
        try:
            with self.place:  # a socket stays in the network it was made in
                connection.connect()
            answer = self._exchange(connection, body, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise NoAnswer(f"{self.number}: {error}") from None
        self._local.connection = connection
        return answer

    @staticmethod
    def _exchange(connection: http.client.HTTPConnection, body: str, seconds: float) -> Answer:
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        connection.request("POST", "/", body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer: Answer = json.loads(response.read())
        return answer

    def call(self, method: str, *params: object) -> Any:
        """The result. Raises NoAnswer; fails on an error."""
        answer = self.ask(method, *params)
        assert "error" not in answer, f"node {self.number}: {answer}"
        return answer["result"]

    @property
    def height(self) -> int:
        """0 before the first block and while it does not answer."""
        try:
            return int(self.call("eth_blockNumber"), 16)
        except NoAnswer:
            return 0

    @property
    def status(self) -> Answer:
        """shelian_status; empty while it does not answer."""
        try:
            answer: Answer = self.call("shelian_status")
        except NoAnswer:
            return {}
        return answer


def make_settings(number: int, peers: list[int], rpc_for_members: bool = False, **more: Any) -> CometSettings:
    """Of machine `number`, that stays connected with `peers`."""
    address = address_of(number)
    settings = CometSettings(
        f"{address}:{P2P}",
        f"{address if rpc_for_members else '127.0.0.1'}:{RPC}",
        f"127.0.0.1:{METRICS}",
        tuple(f"{_node_id(peer)}@{address_of(peer)}:{P2P}" for peer in peers),
        name=f"node{number}",
        rpc_for_members=rpc_for_members,
    )
    return replace(settings, **more)


def _node_id(number: int) -> str:
    assert 1 <= number <= MACHINES
    return node_id(public_key(seed(f"node {number}")))


def _processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]


def _has_home(pid: int, home: Path) -> bool:
    try:
        return str(home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
