"""What only several nodes can show: all hold the same chain, and one may die in the middle of the work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Final

from cli.demonstration.correction import Exchanged
from cli.demonstration.network import Network
from cli.demonstration.run import Done, Run, StepFailed
from cli.nodes import ask_status, height_of, is_in_step
from evidence.transaction import verify_transaction
from identity.node import NodeClient
from node.chain.genesis import Genesis

PART: Final = "联盟 consortium"
_ANYONE: Final = "任何人 anyone"
_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 180.0


class Outage:
    """One agency's node, killed as by a power cut, and how long until it is back in step.

    It is watched from the moment it is killed, beside the steps that go on. Whoever runs the node starts it
    again.
    """

    def __init__(self, agency: str, url: str, other_url: str, pid: int) -> None:
        """`other_url`: of a node that goes on; how far it is tells what in step means."""
        self.agency = agency
        self._url = url
        self._other_url = other_url
        self._pid = pid
        self._seconds: float | None = None
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="outage", daemon=True)

    def begin(self, run: Run) -> None:
        run.step(PART, f"断电 kill -9 {self.agency}'s node", self.agency, self._kill)

    def end(self, run: Run) -> float:
        """Until the node is back. Seconds from its death. Raises StepFailed when it does not come."""
        seconds = run.until(
            PART, f"{self.agency} 的节点回来了 back in step", self.agency, lambda: self._seconds, _PATIENCE_S
        )
        self._watch.join()
        return seconds

    def close(self) -> None:
        self._over.set()

    def _kill(self) -> Done:
        os.kill(self._pid, signal.SIGKILL)
        self._watch.start()
        return Done()

    def _look(self) -> None:
        began = time.monotonic()
        while not self._over.wait(_LOOK_S):
            status = ask_status(self._url)
            if is_in_step(status) and height_of(self._url) >= height_of(self._other_url) - 1:
                self._seconds = time.monotonic() - began
                return


def agree(run: Run, network: Network, genesis: Genesis, exchanged: Exchanged) -> None:
    """Every node tells the same story, and proves it. Raises StepFailed."""
    height = network.settle()
    names, number = "、".join(network.chains), len(network.chains)

    def same() -> Done:
        blocks = {agency: _block(chain.node, height) for agency, chain in network.chains.items()}
        _expect_one(f"block hash and state root at height {height}", blocks)
        return Done(block=height)

    run.step(PART, f"{number} 家节点同一区块、同一状态 one block hash, one state root", names, same)
    run.step(
        PART,
        f"{len(exchanged.transactions)} 步文书,每家节点都能证明 each node proves each step",
        _ANYONE,
        lambda: _proved_by_all(network, genesis, exchanged),
    )


def _proved_by_all(network: Network, genesis: Genesis, exchanged: Exchanged) -> Done:
    for transaction in exchanged.transactions:
        headers = {}
        for agency, chain in network.chains.items():
            evidence = chain.evidence(transaction)
            verify_transaction(evidence, genesis)
            headers[agency] = (evidence.signed.header, evidence.next_signed.header)
        _expect_one(f"the headers of {transaction}", headers)
    return Done()


def _block(node: NodeClient, height: int) -> tuple[str, str]:
    block = node.request("eth_getBlockByNumber", hex(height), False)
    return str(block["hash"]), str(block["stateRoot"])


def _expect_one(what: str, told: Mapping[str, object]) -> None:
    if len(set(told.values())) != 1:
        raise StepFailed("demo.step_failed", f"{PART}: the nodes differ in {what}", told, "one answer")
