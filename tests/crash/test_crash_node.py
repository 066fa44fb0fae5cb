"""A whole node on a disk that fills up: it stops making blocks and says why, goes on answering, and after a
restart with room has everything it acknowledged.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.helpers.rpc_node import PERSON, genesis_of_now
from tests.simulation.network.test_node_killed import free_port, start, submit_until_dead

ROOM = 200_000


def call(url: str, method: str, *params: object) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer: dict[str, Any] = httpx.post(url, json=body, timeout=10).json()
    return answer


@pytest.mark.slow
def test_a_node_whose_disk_fills_up(recorder: Path, tmp_path: Path) -> None:
    genesis = genesis_of_now()
    ledger = tmp_path / "ledger"
    Ledger.create(ledger, genesis).close()
    acknowledged: list[str] = []
    port = free_port()
    url = f"http://localhost:{port}"
    limits = {"LD_PRELOAD": str(recorder), "RECORD_ROOT": str(ledger), "RECORD_ROOM": str(ROOM)}
    process = start(ledger, port, **limits)
    try:
        sender = threading.Thread(
            target=submit_until_dead, args=(url, genesis.evm_chain_id, 0, acknowledged), daemon=True
        )
        sender.start()
        for _ in range(600):
            status = call(url, "shelian_status")["result"]
            if not status["running"]:
                break
            sender.join(0.05)
        assert not status["running"]
        assert "state.disk_full" in status["failure"]
        assert len(acknowledged) > 3

        refused = call(url, "eth_sendRawTransaction", "0x49c0")
        assert refused["error"]["data"]["code"] == "engine.stopped"
        for transaction in acknowledged:
            assert call(url, "eth_getTransactionReceipt", transaction)["result"]["status"] == "0x1"
        assert call(url, "eth_getBalance", "0x" + PERSON.address.hex(), "latest")["result"] == "0x0"
    finally:
        process.kill()
        process.wait()

    port = free_port()
    process = start(ledger, port)
    try:
        for transaction in acknowledged:
            answer = call(f"http://localhost:{port}", "eth_getTransactionReceipt", transaction)
            assert answer["result"]["status"] == "0x1"
    finally:
        process.kill()
        process.wait()
    assert check_ledger(ledger, genesis).ok
