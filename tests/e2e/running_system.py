"""One whole system as `shelian up` runs it: started, stopped and continued as an operator does it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import httpx

from cli.system import OFFSETS, url_of
from contracts.bindings import correction_documents, love_bank, sharing_orders
from contracts.vocabulary import DocumentState, OrderState
from identity.node import NodeClient

ROOT = Path(__file__).parents[2]
FIRST_START_S = 420
STOP_S = 60


def run_shelian(*arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """A `shelian` command in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class RunningSystem:
    """A data directory, its ports, and the `shelian up` that runs it."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = ("up",),
        port_offsets: Collection[int] = tuple(OFFSETS.values()),
    ) -> None:
        """`command`: another one that starts a system; `port_offsets`: the ports it takes."""
        self.data = folder / "data"
        self.port_base = _free_port_base(port_offsets)
        self._command = tuple(command)
        self.passkeys: dict[str, dict[str, Any]] = {}
        """What the authenticators of the people hold, by person: Chromium's own form of a credential."""
        self._output = folder / "up.out"
        self._errors = folder / "up.err"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within_s: float) -> float:
        """Run `up` and wait until it says that the system is up. Seconds it took."""
        started = time.monotonic()
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "cli.main", *self._command, "--json"),
                    *("--data", str(self.data), "--port-base", str(self.port_base)),
                ],
                cwd=ROOT,
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )
        while time.monotonic() - started < within_s:
            if self._process.poll() is not None:
                raise AssertionError(f"up ended with {self._process.returncode}:\n{self.said()}")
            if self._output.read_text().rstrip().endswith("}"):
                told = json.loads(self._output.read_text())
                assert told["ok"], f"up failed:\n{self.said()}"
                assert told["portal"] == self.url("portal")
                return time.monotonic() - started
            time.sleep(0.2)
        self.stop()
        raise AssertionError(f"not up within {within_s:.0f} s:\n{self.said()}")

    def kill(self) -> None:
        """kill -9 of `up` itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask `up` to stop, as Ctrl-C does. Its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait(STOP_S)

    def wait(self, timeout_s: float) -> int:
        """Until `up` has ended by itself. Its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        """What `up` has printed, to both streams."""
        return self._output.read_text(errors="replace") + self._errors.read_text(errors="replace")

    def processes(self) -> list[str]:
        """Whatever runs on this data directory, `up` and CometBFT included: command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(word == str(self.data) or word.startswith(f"{self.data}/") for word in words):
                found.append(" ".join(words))
        return found

    def process_of(self, name: str) -> int:
        """The process id of one of the programs that `up` started."""
        assert self._process is not None
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if int(parent) == self._process.pid and "cli.main" in words and name in words:
                return int(folder.name)
        raise AssertionError(f"{name} is not running")

    def url(self, name: str) -> str:
        return url_of(name, self.port_base)

    # What the chain itself says, by JSON-RPC.

    @property
    def node(self) -> NodeClient:
        return NodeClient(self.url("node"))

    def height(self) -> int:
        return int(self.node.request("eth_blockNumber"), 16)

    def document(self, document: str) -> correction_documents.DocumentResult:
        answer = self.node.call(correction_documents.document(bytes.fromhex(document)))
        return correction_documents.decode_document(answer)

    def document_state(self, document: str) -> DocumentState | None:
        state = self.document(document).state
        return DocumentState(state) if state else None

    def delivery(self, document: str, organisation: int) -> correction_documents.DeliveryResult:
        answer = self.node.call(correction_documents.delivery(bytes.fromhex(document), organisation))
        return correction_documents.decode_delivery(answer)

    def order_state(self, order: str) -> OrderState | None:
        state = sharing_orders.decode_order_of(
            self.node.call(sharing_orders.order_of(bytes.fromhex(order)))
        ).state
        return OrderState(state) if state else None

    def points_of(self, person: str) -> int:
        """What the LoveBank holds for a resident."""
        account = love_bank.decode_account_of(
            self.node.call(love_bank.account_of(bytes.fromhex(self.person(person)["identity"][2:])))
        )
        return love_bank.decode_balance_of(self.node.call(love_bank.balance_of(account)))

    def signed_by(self, person: str) -> int:
        """How many transactions a person's passkeys have signed that are in blocks."""
        addresses = [one["address"] for one in self.person(person)["credentials"] if one["kind"] == "passkey"]
        return sum(self.node.nonce(bytes.fromhex(address[2:])) for address in addresses)

    def person(self, person: str) -> dict[str, Any]:
        people: list[dict[str, Any]] = httpx.get(
            self.url("identity") + "/demo/people", trust_env=False
        ).json()
        return next(one for one in people if one["id"] == person)


def _free_port_base(offsets: Collection[int]) -> int:
    for _ in range(50):
        base = random.randrange(20_000, 30_000, 200)
        if all(_free(base + offset) for offset in offsets):
            return base
    raise AssertionError("no free range of ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
