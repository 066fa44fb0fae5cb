"""A consortium of one: a real node process with a real CometBFT, for tests that stop and kill it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import httpx

from network.comet.home import CometPlace, CometSettings, make_home, node_id
from node.chain.genesis import Genesis
from node.chain.signing import ED25519
from node.chain.transaction import Call, build_imi
from node.ledger import Ledger
from tests.helpers.rpc_node import PERSON, genesis_of_now
from tests.network.comet.small_network import free_ports, public_key, seed

LONGEST_S = 60.0
"""A machine with other things to do is patient."""


class OneNode:
    """Below `directory`: ledger, CometBFT's home, the log of all starts.

    With `genesis` and a `name` of its own it is a node of another one's chain, and no validator.
    """

    def __init__(
        self, directory: Path, genesis: Genesis | None = None, name: str = "", **settings: Any
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.ledger = directory / "ledger"
        self.place = CometPlace(directory / "comet")
        self.log = directory / "log"
        self.genesis = genesis or genesis_of_now()
        Ledger.create(self.ledger, self.genesis).close()
        p2p, rpc, metrics, self.port = free_ports(4)
        addresses = (f"127.0.0.1:{port}" for port in (p2p, rpc, metrics))
        self.id = node_id(public_key(seed("node" + name)))
        self.address = f"{self.id}@127.0.0.1:{p2p}"
        comet = CometSettings(*addresses, one_machine=True, **settings)
        make_home(self.place, comet, seed("node" + name), seed("validator" + name))
        self.process: subprocess.Popen[str] | None = None
        self._http = httpx.Client(base_url=f"http://localhost:{self.port}", timeout=10)

    def start(self) -> None:
        log: IO[str]
        with self.log.open("a") as log:
            process = self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.network.comet.comet_node_process",
                    str(self.ledger),
                    str(self.place.directory),
                    str(self.port),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        assert "ready\n" in iter(process.stdout.readline, ""), self.last_words()

    def stop(self) -> None:
        """SIGTERM; it must end by itself."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(LONGEST_S) == 0, self.last_words()
        assert self.comet_pids() == []

    def kill(self) -> None:
        """kill -9 of the node; its CometBFT goes with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        until(lambda: not self.comet_pids(), "CometBFT outlived the node")

    def kill_comet(self) -> None:
        for pid in self.comet_pids():
            os.kill(pid, signal.SIGKILL)

    def comet_pids(self) -> list[int]:
        """Of processes that run on our home."""
        home = str(self.place.directory).encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if home in words and b"start" in words:
                found.append(int(entry.name))
        return found

    def call(self, method: str, *params: object) -> Any:
        """The result, or the error object."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._http.post("/", json=body).json()
        return answer["result"] if "result" in answer else answer["error"]

    def height(self) -> int:
        return int(self.call("shelian_status")["height"], 16)

    def transfer(self, nonce: int) -> bytes:
        """A call of nothing by PERSON."""
        return self.transaction(nonce, Call(bytes(19) + b"\x99", b""))

    def transaction(self, nonce: int, call: Call) -> bytes:
        """Signed by PERSON, who may call anything."""
        unsigned = build_imi(
            chain_id=self.genesis.evm_chain_id,
            nonce=nonce,
            valid_until=int(time.time()) + 600,
            gas_limit=500_000,
            calls=[call],
            scheme=ED25519,
            public_key=PERSON.public_key,
        )
        return unsigned.with_signature(PERSON.sign(unsigned.signing_hash)).raw

    def send(self, raw: bytes) -> str:
        answer = self.call("eth_sendRawTransaction", "0x" + raw.hex())
        assert isinstance(answer, str), answer
        return answer

    def wait_for(self, transaction: str) -> dict[str, Any]:
        """Its receipt."""
        until(lambda: self.call("eth_getTransactionReceipt", transaction), f"no receipt; {self.last_words()}")
        receipt: dict[str, Any] = self.call("eth_getTransactionReceipt", transaction)
        return receipt

    def peers(self) -> int:
        return int(self.call("shelian_status")["peers"], 16)

    def last_words(self) -> str:
        return "".join(self.log.read_text().splitlines(keepends=True)[-15:]) if self.log.exists() else ""


def until(condition: Callable[[], object], otherwise: str, longest_s: float = LONGEST_S) -> None:
    deadline = time.monotonic() + longest_s
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


class Sender:
    """Sends one transfer after the other in a thread, each after the receipt of the one before, until told to
    end.

    What goes wrong with a node that is killed is tried again; `acknowledged` are the hashes whose receipts
    were seen.
    """

    def __init__(self, node: OneNode) -> None:
        self.acknowledged: list[str] = []
        self._node = node
        self._http = httpx.Client(base_url=f"http://localhost:{node.port}", timeout=5)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _call(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._http.post("/", json=body).json().get("result")

    def _run(self) -> None:
        nonce, raw, transaction = 0, b"", None
        while not self._ended.is_set():
            try:
                if not raw:
                    raw = self._node.transfer(nonce)
                transaction = self._call("eth_sendRawTransaction", "0x" + raw.hex()) or transaction
                if transaction and self._call("eth_getTransactionReceipt", transaction):
                    self.acknowledged.append(transaction)
                    nonce, raw, transaction = nonce + 1, b"", None
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.005)
