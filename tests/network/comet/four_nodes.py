"""A real network on one machine: N validators, each `shelian node` with CometBFT, directory and ports.

    with running_network(tmp_path, 4, heartbeat_ms=5_000) as network:
        receipt = network.nodes[0].send(network.transaction(1))
        network.wait_height(int(receipt["blockNumber"], 16))
        network.nodes[3].kill()

However the block ends, every process is gone afterwards; what they said is in `Node.log`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from cli.layout import Layout
from network.operations.card import load_card
from node.chain.genesis import Genesis, encode_genesis
from node.chain.transaction import Call, build_imi
from node.ledger import Ledger
from tests.network.comet.small_network import Home, free_ports, make_genesis, make_homes, registrar

STEP_S = 0.05
PATIENCE_S = 180.0
"""Four nodes on a busy machine with two cores take their time to start."""


@dataclass
class Node:
    """One member's node. `number` from 1."""

    number: int
    layout: Layout
    home: Home
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def operations_url(self) -> str:
        """Of the node that runs, or ran last."""
        card = load_card(self.layout.node)
        assert card is not None
        assert card.operations_url is not None
        return card.operations_url

    @property
    def log_file(self) -> Path:
        return self.layout.data / "log"

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
        """Returns at once; `wait_up` waits for its answers."""
        assert not self.is_running
        arguments = ("node", "--data", str(self.layout.data), "--port", str(self.port), "--log-json")
        arguments += ("--operations", "127.0.0.1:0")
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"ETH_HASH_BACKEND": "pysha3"},
            )

    def stop(self, seconds: float = 30) -> None:
        """As an operator does: SIGTERM; returns when it is gone."""
        if self.process is not None:
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

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, *params: object) -> dict[str, Any]:
        """The whole answer. Raises httpx.TransportError while it does not listen."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = self._http.post(self.url, json=body).json()
        return answer

    def call(self, method: str, *params: object) -> Any:
        answer = self.ask(method, *params)
        assert "error" not in answer, f"node {self.number}: {answer}"
        return answer["result"]

    @property
    def height(self) -> int:
        """0 before the first block and while it does not answer."""
        try:
            return int(self.call("eth_blockNumber"), 16)
        except httpx.TransportError:
            return 0

    def block(self, height: int) -> dict[str, Any]:
        result: dict[str, Any] = self.call("eth_getBlockByNumber", hex(height), False)
        return result

    def nonce(self, address: bytes) -> int:
        return int(self.call("eth_getTransactionCount", "0x" + address.hex(), "latest"), 16)

    def send(self, raw: bytes) -> dict[str, Any]:
        """Submit and wait for the receipt."""
        receipt: dict[str, Any] = self.call("shelian_sendRawTransactionSync", "0x" + raw.hex())
        return receipt

    def submit(self, raw: bytes) -> str:
        """Submit: the hash."""
        transaction_hash: str = self.call("eth_sendRawTransaction", "0x" + raw.hex())
        return transaction_hash


@dataclass
class Network:
    genesis: Genesis
    nodes: tuple[Node, ...]
    _nonces: dict[bytes, int] = field(default_factory=dict)

    @property
    def running(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.is_running)

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def wait(
        self,
        condition: Callable[[Node], bool],
        what: str,
        nodes: Sequence[Node] | None = None,
        seconds: float = PATIENCE_S,
    ) -> float:
        """Until it holds for each of the nodes (by default those that run): the seconds it took.

        Fails, with the ends of the logs, when it takes too long or a node ends.
        """
        began = time.monotonic()
        for node in self.running if nodes is None else nodes:
            while not condition(node):
                assert node.is_running, f"node {node.number} ended:\n{node.log[-4_000:]}"
                if time.monotonic() - began > seconds:
                    tails = "\n".join(f"-- {one.number}\n{one.log[-3_000:]}" for one in self.nodes)
                    raise AssertionError(f"not in {seconds} s: {what} (node {node.number})\n{tails}")
                time.sleep(STEP_S)
        return time.monotonic() - began

    def wait_height(
        self, height: int, nodes: Sequence[Node] | None = None, seconds: float = PATIENCE_S
    ) -> float:
        return self.wait(lambda node: node.height >= height, f"height {height}", nodes, seconds)

    def transaction(self, member: int = 1, calls: Sequence[Call] = ()) -> bytes:
        """The next one of a member's first registrar; without calls it changes nothing but the nonce."""
        sender = registrar(member, 1)
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        unsigned = build_imi(
            chain_id=self.genesis.evm_chain_id,
            nonce=nonce,
            valid_until=int(time.time()) + 3_600,
            gas_limit=500_000,
            calls=tuple(calls) or (Call(bytes.fromhex("00" * 18 + "7001"), b""),),
            scheme=sender.scheme,
            public_key=sender.public_key,
        )
        return unsigned.with_signature(sender.sign(unsigned.signing_hash)).raw

    def close(self) -> None:
        for node in self.nodes:
            if node.process is not None and node.is_running:
                node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        for node in self.nodes:
            if node.process is not None:
                try:
                    node.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    node.kill()
            node.close()


def make_network(
    path: Path, validators: int = 4, options: Sequence[str] = (), *, listed: bool = False, **settings: object
) -> Network:
    """Directories, keys and genesis of 1 to 7 validators; nothing runs yet.

    `settings`: of CometSettings, for all; `options`: of `shelian node`; `listed`: the contract lists the
    nodes, as it does after a ceremony.
    """
    genesis = make_genesis(validators, listed=listed)
    layouts = [Layout(path / f"node{number}") for number in range(1, validators + 1)]
    for layout in layouts:
        layout.node.mkdir(parents=True)
        layout.genesis.write_bytes(encode_genesis(genesis))
    # Genesis takes its time to run; the directories are alike.
    Ledger.create(layouts[0].ledger, genesis).close()
    for layout in layouts[1:]:
        shutil.copytree(layouts[0].ledger, layout.ledger)
    homes = make_homes([layout.comet for layout in layouts], genesis, **settings)
    ports = free_ports(validators)
    nodes = tuple(
        Node(home.number, layout, home, port, tuple(options))
        for layout, home, port in zip(layouts, homes, ports, strict=True)
    )
    return Network(genesis, nodes)


@contextmanager
def running_network(
    path: Path, validators: int = 4, options: Sequence[str] = (), *, listed: bool = False, **settings: object
) -> Iterator[Network]:
    """A network whose nodes all answer and have made the first block."""
    network = make_network(path, validators, options, listed=listed, **settings)
    try:
        network.start()
        network.wait_height(1)
        yield network
    finally:
        network.close()
