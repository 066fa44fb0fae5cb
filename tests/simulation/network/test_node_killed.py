"""A node that is killed at any moment loses nothing it acknowledged, and starts again."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from node.chain.signing import ED25519
from node.chain.transaction import Call, build_imi
from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.helpers.rpc_node import PERSON, genesis_of_now

pytestmark = pytest.mark.slow
ROUNDS = 4
MANY_ROUNDS = 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(directory: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.network.node_process", str(directory), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    assert "ready\n" in iter(process.stdout.readline, "")
    return process


def submit_until_dead(url: str, chain_id: int, first: int, acknowledged: list[str]) -> None:
    """Send one transfer of nothing after another; keep the hash of each whose receipt was seen."""
    with httpx.Client(base_url=url, timeout=5) as client:

        def call(method: str, *params: object) -> object:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return client.post("/", json=body).json()["result"]

        nonce = first
        try:
            while True:
                unsigned = build_imi(
                    chain_id=chain_id,
                    nonce=nonce,
                    valid_until=int(time.time()) + 600,
                    gas_limit=100_000,
                    calls=[Call(bytes(19) + b"\x99", b"")],
                    scheme=ED25519,
                    public_key=PERSON.public_key,
                )
                raw = unsigned.with_signature(PERSON.sign(unsigned.signing_hash)).raw
                transaction = call("eth_sendRawTransaction", "0x" + raw.hex())
                while call("eth_getTransactionReceipt", transaction) is None:
                    time.sleep(0.001)
                acknowledged.append(str(transaction))
                nonce += 1
        except (httpx.HTTPError, KeyError):
            return


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_minus_nine_at_random_moments(tmp_path: Path, seed: int) -> None:
    kill_at_random(tmp_path, seed, ROUNDS)


@pytest.mark.long
def test_many_kills_at_random_moments(tmp_path: Path) -> None:
    kill_at_random(tmp_path, 3, MANY_ROUNDS)


def kill_at_random(tmp_path: Path, seed: int, rounds: int) -> None:
    """Kill and start a node so many times under load; then everything acknowledged must be there."""
    rng = random.Random(seed)
    genesis = genesis_of_now()
    Ledger.create(tmp_path / "ledger", genesis).close()
    acknowledged: list[str] = []
    for _ in range(rounds):
        with Ledger.open(tmp_path / "ledger") as ledger, ledger.snapshot() as snapshot:
            account = snapshot.state().account(PERSON.address)
            first = account.nonce if account else 0
            assert first >= len(acknowledged)
        port = free_port()
        process = start(tmp_path / "ledger", port)
        sender = threading.Thread(
            target=submit_until_dead,
            args=(f"http://localhost:{port}", genesis.evm_chain_id, first, acknowledged),
        )
        sender.start()
        time.sleep(rng.uniform(0.3, 1.2))
        process.kill()
        process.wait()
        sender.join()
    assert len(acknowledged) > rounds, "the rounds were too short to mean anything"
    with Ledger.open(tmp_path / "ledger") as ledger, ledger.snapshot() as snapshot:
        lost = [one for one in acknowledged if snapshot.locate(bytes.fromhex(one[2:])) is None]
    assert not lost
    report = check_ledger(tmp_path / "ledger", genesis)
    assert report.ok, report.findings


def test_a_second_node_on_the_same_directory_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", genesis_of_now()).close()
    first = start(tmp_path / "ledger", free_port())
    try:
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.simulation.network.node_process",
                str(tmp_path / "ledger"),
                str(free_port()),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode != 0
        assert "state.locked" in second.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
