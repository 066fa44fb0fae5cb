"""Callers that want to wear the node out: others are served, memory and time stay bounded."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.sync.client import connect

import node.rpc.methods.transactions as transactions
from node.rpc.access import Scope, Token
from node.rpc.config import Limits
from tests.helpers.rpc_node import DEPLOYER, OTHER, SENDER, RunningNode, running_node

ENDLESS = bytes.fromhex("5b5f56")
FOUR_MEGABYTES = bytes.fromhex("624000005ff3")
"""Returns so many zero bytes."""
DEEP = bytes.fromhex("6203a000515f5f5f5f5f305af16203a0005ff3")
"""Takes 240 kB of memory and calls itself."""
HUNDRED_LOGS = bytes.fromhex("60645b5f5f5f5f611000 5fa460019003806002570000".replace(" ", ""))
"""A hundred times LOG4 of four zero topics and 4,096 bytes."""
MINT = bytes.fromhex("a0712d68") + bytes(31) + b"\x01"


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_process_of_its_own() -> Iterator[None]:
    """`run_node` takes what is there at the start out of the garbage collector's sight. Here that is what
    thousands of tests have left: walking through it would count as CPU time of some short call.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def deploy(node: RunningNode, code: bytes) -> str:
    """The address of a contract with this code."""
    size = len(code)
    initcode = bytes((0x60, size, 0x60, 10, 0x5F, 0x39, 0x60, size, 0x5F, 0xF3)) + code
    address: str = node.send(node.sign(DEPLOYER, None, initcode))["contractAddress"]
    return address


def ask(url: str, method: str, *params: object, token: str = "", timeout: float = 60) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer: dict[str, Any] = httpx.post(url, json=body, headers=headers, timeout=timeout).json()
    return answer


@contextlib.contextmanager
def hostile(clients: int, act: Callable[[], object]) -> Iterator[list[Any]]:
    """So many threads do it again and again; the list gets what came of it."""
    results: list[Any] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(httpx.HTTPError, OSError):
                results.append(act())

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_short_calls_do_not_wait_for_endless_ones(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(call_seconds=3.0, call_gas=1 << 40)) as node:
        endless, sample = deploy(node, ENDLESS), node.deploy()
        with hostile(8, lambda: ask(node.url, "eth_call", {"to": endless})) as answers:
            time.sleep(0.3)
            began = time.monotonic()
            for _ in range(20):
                assert "result" in ask(node.url, "eth_call", {"to": sample, "data": "0x70a08231" + "00" * 32})
            # Behind one another, on one place, they would wait for 20 limits of 3 s.
            assert time.monotonic() - began < 20
            assert node.send(node.sign(SENDER, sample, MINT))["status"] == "0x1"
        codes = Counter(answer["error"]["data"]["code"] for answer in answers)
        assert set(codes) <= {"rpc.timeout", "rpc.busy", "rpc.execution_failed"}


@pytest.mark.slow
def test_who_fills_their_queue_does_not_fill_that_of_others(tmp_path: Path) -> None:
    tokens = tuple(
        Token(name, hashlib.sha256(name.encode()).digest(), Scope()) for name in ("greedy", "modest")
    )
    limits = Limits(
        call_seconds=2.0, call_gas=1 << 40, workers=1, waiting_calls=40, waiting_calls_per_client=4,
        long_calls_waiting=1,
    )  # fmt: skip
    with running_node(tmp_path, limits=limits) as plain:
        endless = deploy(plain, ENDLESS)
    with running_node(tmp_path, limits=limits, tokens=tokens) as node:

        def greed() -> dict[str, Any]:
            return ask(node.url, "eth_call", {"to": endless}, token="greedy")

        with hostile(10, greed) as answers:
            time.sleep(0.3)
            for _ in range(5):
                assert ask(node.url, "eth_call", {"to": "0x" + "77" * 20}, token="modest")["result"] == "0x"
        errors = [answer["error"]["data"] for answer in answers]
        assert any((one["code"], one["expected"]) == ("rpc.busy", 4) for one in errors)


def test_an_answer_is_bounded_while_it_grows(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(response_bytes=500_000)) as node:
        logger, sample = deploy(node, HUNDRED_LOGS), node.deploy()
        small = node.send(node.sign(SENDER, sample, MINT))
        raw = node.sign(SENDER, logger, b"", gas=5_000_000)
        transaction_hash = node.call("eth_sendRawTransaction", "0x" + raw.hex())
        until(lambda: node.call("shelian_getTransactionStatus", transaction_hash)["status"] == "included")
        height = node.call("shelian_getTransactionStatus", transaction_hash)["blockNumber"]
        for method, parameter in (
            ("eth_getTransactionReceipt", transaction_hash), ("eth_getBlockReceipts", height),
        ):  # fmt: skip
            error = node.error(method, parameter)
            assert (error["code"], error["data"]["code"]) == (-32005, "rpc.response_too_large")
        error = node.error("eth_getLogs", {"fromBlock": small["blockNumber"]})
        assert (error["code"], error["data"]["code"]) == (-32005, "rpc.too_many_logs")
        assert error["data"]["expected"]["bytes"] == 500_000
        assert int(error["data"]["toBlock"], 16) == int(height, 16) - 1
        fitting = {"fromBlock": small["blockNumber"], "toBlock": error["data"]["toBlock"]}
        assert node.call("eth_getLogs", fitting) == small["logs"]


def test_what_is_read_in_a_worker_is_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_node(tmp_path) as node:
        sample = node.deploy()
        receipt = node.send(node.sign(SENDER, sample, MINT))
        monkeypatch.setattr(transactions, "_SMALL_RECEIPT", 0)
        assert node.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
        assert node.call("eth_getBlockReceipts", receipt["blockNumber"]) == [receipt]
        logs = node.call("eth_getLogs", {"blockHash": receipt["blockHash"]})
        assert logs == receipt["logs"]


def test_a_batch_of_sends_is_answered_in_order_each_as_if_alone(tmp_path: Path) -> None:
    with running_node(tmp_path, makes_blocks=False) as node:
        raws = [node.sign(SENDER, "0x" + "77" * 20, b"", nonce=nonce) for nonce in (0, 1, 1, 2, 4)]
        taken = node.sign(SENDER, "0x" + "78" * 20, b"", nonce=1)
        texts = ["0x" + raw.hex() for raw in (*raws, taken)] + ["0x49ff", "0xzz"]
        calls: list[dict[str, Any]] = [
            {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransaction", "params": [text]}
            for number, text in enumerate(texts)
        ]
        del calls[3]["id"]  # a notification is carried out and not answered
        answers = node.post(
            orjson.dumps([*calls, {"jsonrpc": "2.0", "id": 9, "method": "shelian_getPool"}])
        ).json()
        assert [answer["id"] for answer in answers] == [0, 1, 2, 4, 5, 6, 7, 9]
        assert answers[1]["result"] == answers[2]["result"]  # a known one gives its hash again
        assert [answer.get("error", {}).get("data", {}).get("code") for answer in answers[4:7]] == [
            "pool.nonce_taken", answers[5]["error"]["data"]["code"], "rpc.invalid_parameter",
        ]  # fmt: skip
        assert (answers[-1]["result"]["ready"], answers[-1]["result"]["waiting"]) == ("0x3", "0x1")


def test_a_batch_has_a_time_of_its_own(tmp_path: Path) -> None:
    with running_node(
        tmp_path, limits=Limits(batch_seconds=0.2, call_seconds=0.15, call_gas=1 << 40)
    ) as node:
        endless = deploy(node, ENDLESS)
        call = {"jsonrpc": "2.0", "method": "eth_call", "params": [{"to": endless}]}
        began = time.monotonic()
        answers = node.post(orjson.dumps([call | {"id": number} for number in range(200)])).json()
        assert time.monotonic() - began < 10
        assert [answer["id"] for answer in answers] == list(range(200))
        assert {answer["error"]["data"]["code"] for answer in answers} == {"rpc.timeout"}


def slow_reader(node: RunningNode, body: bytes) -> socket.socket:
    """Has asked, and reads nothing."""
    reader = socket.create_connection(("127.0.0.1", node.port))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    reader.sendall((head % len(body)).encode() + body)
    return reader


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_slow_readers_hold_is_bounded_and_given_back(tmp_path: Path) -> None:
    limits = Limits(unsent_bytes=12_000_000, send_seconds=1.0)
    with running_node(tmp_path, limits=limits) as node:
        large = deploy(node, FOUR_MEGABYTES)
        unsent = node.node._server._http._unsent
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": large}]}
        with slow_reader(node, orjson.dumps(body)):
            until(lambda: unsent._held > 8_000_000)
            refused = node.post(orjson.dumps(body))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "rpc.busy")
            assert node.call("eth_chainId")
            until(lambda: unsent._held == 0)
        assert len(node.call("eth_call", {"to": large})) == 2 + 2 * (4 << 20)


def test_a_slow_websocket_is_closed_when_it_holds_too_much(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(unsent_bytes=20_000_000)) as node:
        large = deploy(node, FOUR_MEGABYTES)
        unsent = node.node._server._http._unsent
        with connect(node.url.replace("http", "ws"), max_size=None, max_queue=1) as client:
            for number in range(8):
                call = {"jsonrpc": "2.0", "id": number, "method": "eth_call", "params": [{"to": large}]}
                client.send(orjson.dumps(call).decode())
            until(lambda: unsent._held == 0 and not node.node._server._service.workers._unfinished, 30)
        assert node.call("eth_chainId")


MOST_MEGABYTES = 1_000
"""docs/JSON-RPC.md, What is bounded. A node at rest takes 100."""


@pytest.mark.slow
def test_memory_stays_bounded_under_a_hostile_mix(tmp_path: Path) -> None:
    """The peak of a node's process while 11 callers do at once what makes large answers and takes memory."""
    with running_node(tmp_path) as node:
        logger, large, deep = (deploy(node, code) for code in (HUNDRED_LOGS, FOUR_MEGABYTES, DEEP))
        for sender in (SENDER, OTHER) * 6:
            node.send(node.sign(sender, logger, b"", gas=5_000_000))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module = "tests.network.rpc.served_node"
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(tmp_path / "ledger"), str(port)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert process.stdout is not None
        assert any(line == b"ready\n" for line in process.stdout)
        everything = {"fromBlock": "0x0"}
        acts: list[tuple[str, object]] = [
            ("eth_getLogs", everything), ("eth_call", {"to": large}), ("eth_call", {"to": deep}),
        ]  # fmt: skip
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": [parameter]}
            for number, (method, parameter) in enumerate(acts * 20)
        ]
        with contextlib.ExitStack() as stack:
            for act in acts * 3:
                stack.enter_context(hostile(1, partial(ask, url, *act, timeout=5)))
            stack.enter_context(hostile(2, partial(httpx.post, url, json=batch, timeout=5)))
            time.sleep(6)
        assert int(ask(url, "eth_blockNumber")["result"], 16) > 0
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1_000
        print(f"peak {peak} MB")
        assert peak < MOST_MEGABYTES
    finally:
        process.terminate()
        process.wait()
