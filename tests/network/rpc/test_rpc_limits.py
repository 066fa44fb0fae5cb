"""Every limit holds, and the node answers others while one caller is at it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from node.chain.encoding import keccak256
from node.rpc.config import Limits, Rate
from tests.helpers.rpc_node import SENDER, RunningNode, running_node

SPIN = "0x" + keccak256(b"spin()")[:4].hex()
MINT = keccak256(b"mint(uint256)")[:4] + (1).to_bytes(32, "big")


def websocket_url(node: RunningNode) -> str:
    return node.url.replace("http", "ws")


def request(method: str, *params: object) -> str:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).decode()


def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(body_bytes=10_000), makes_blocks=False) as node:
        assert node.post(b'"' + b"a" * 9_000 + b'"').status_code == 200
        refused = node.post(b'"' + b"a" * 10_000 + b'"')
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "rpc.body_too_large")

        def drip():  # type: ignore[no-untyped-def]
            for _ in range(20):
                yield b"a" * 1_000

        with httpx.Client(base_url=node.url, headers={"content-type": "application/json"}) as client:
            assert client.post("/", content=drip()).status_code == 413
        with connect(websocket_url(node)) as client:
            client.send("a" * 10_001)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        assert node.call("eth_chainId")


def test_a_client_that_calls_too_fast_is_told_when_to_come_back(tmp_path: Path) -> None:
    limits = Limits(client_rate=Rate(50, 20), connection_rate=Rate(1_000, 1_000))
    with running_node(tmp_path, limits=limits, makes_blocks=False) as node:
        errors = [
            answer["error"] for answer in (node.ask("eth_chainId") for _ in range(60)) if "error" in answer
        ]
        assert errors
        assert errors[0]["code"] == -32005
        assert errors[0]["data"]["code"] == "rpc.rate_limited"
        time.sleep(errors[-1]["data"]["retry"] + 0.02)
        assert node.call("eth_chainId")


def test_a_batch_pays_for_each_of_its_calls(tmp_path: Path) -> None:
    limits = Limits(client_rate=Rate(1_000, 1_000), connection_rate=Rate(0.1, 10))
    with running_node(tmp_path, limits=limits, makes_blocks=False) as node:
        batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in range(15)]
        answers = node.post(orjson.dumps(batch)).json()
        assert ["error" in one for one in answers] == [False] * 10 + [True] * 5


@pytest.mark.slow
def test_an_endless_call_is_stopped_and_the_node_answers_meanwhile(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(call_seconds=1.0, call_gas=1 << 40)) as node:
        sample = node.deploy()
        errors = []
        spinning = [
            threading.Thread(
                target=lambda: errors.append(node.error("eth_call", {"to": sample, "data": SPIN}))
            )
            for _ in range(2)
        ]
        started = time.monotonic()
        for thread in spinning:
            thread.start()
        answered = 0
        with httpx.Client(base_url=node.url) as client:
            while any(thread.is_alive() for thread in spinning):
                client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"})
                answered += 1
        # Loose bounds: a loaded machine is slow, but the call would never have ended by itself.
        assert time.monotonic() - started < 30
        assert [error["data"]["code"] for error in errors] == ["rpc.timeout"] * 2
        assert answered >= 2
        assert node.send(node.sign(SENDER, sample, MINT))["status"] == "0x1"


@pytest.mark.slow
def test_long_calls_beyond_the_queue_are_refused_as_busy(tmp_path: Path) -> None:
    limits = Limits(call_seconds=1.0, call_gas=1 << 40, workers=1, waiting_calls=1)
    with running_node(tmp_path, limits=limits) as node:
        sample = node.deploy()
        codes: list[str] = []
        threads = [
            threading.Thread(
                target=lambda: codes.append(
                    node.error("eth_call", {"to": sample, "data": SPIN})["data"]["code"]
                )
            )
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == ["rpc.busy"] * 3 + ["rpc.timeout"] * 2


def test_gas_of_a_call_is_capped_whatever_it_asks_for(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(call_gas=200_000)) as node:
        sample = node.deploy()
        error = node.error("eth_call", {"to": sample, "data": SPIN, "gas": hex(1 << 60)})
        assert (error["data"]["code"], error["data"]["got"]) == ("rpc.execution_failed", 200_000)


def test_an_answer_over_the_limit_is_not_sent(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(response_bytes=3_500)) as node:
        sample = node.deploy()
        height = node.call("eth_getLogs", {"fromBlock": "0x0", "address": sample})[0]["blockNumber"]
        error = node.error("eth_getBlockByNumber", height, True)
        assert error["code"] == -32005
        assert error["data"]["code"] == "rpc.response_too_large"
        one = {"jsonrpc": "2.0", "method": "eth_getBlockByNumber", "params": ["0x1", False]}
        answers = node.post(orjson.dumps([one | {"id": number} for number in range(9)])).json()
        assert [answer["id"] for answer in answers] == list(range(9))
        assert "result" in answers[0]
        assert answers[-1]["error"]["data"]["code"] == "rpc.response_too_large"


def test_a_log_search_is_bounded_by_range_and_by_answer(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(logs=3, log_blocks=30)) as node:
        sample = node.deploy()
        heights = [int(node.send(node.sign(SENDER, sample, MINT))["blockNumber"], 16) for _ in range(4)]
        span = {"fromBlock": hex(heights[0]), "toBlock": hex(heights[-1]), "address": sample}
        error = node.error("eth_getLogs", span)
        assert (error["code"], error["data"]["code"]) == (-32005, "rpc.too_many_logs")
        fitting = node.call("eth_getLogs", span | {"toBlock": error["data"]["toBlock"]})
        assert 0 < len(fitting) <= 3
        identity = node.call("eth_newFilter", span)
        assert node.error("eth_getFilterLogs", identity)["data"]["code"] == "rpc.too_many_logs"
        for _ in range(30):
            node.send(node.sign(SENDER, sample, MINT))
        wide = node.error("eth_getLogs", {"fromBlock": "0x0", "address": sample})
        assert (wide["code"], wide["data"]["code"], wide["data"]["expected"]) == (-32005, "rpc.log_range", 30)


def test_filters_are_counted_and_forgotten(tmp_path: Path) -> None:
    limits = Limits(filters_per_client=3, filter_idle_seconds=0.3)
    with running_node(tmp_path, limits=limits, makes_blocks=False) as node:
        identities = [node.call("eth_newBlockFilter") for _ in range(3)]
        assert len(set(identities)) == 3
        error = node.error("eth_newBlockFilter")
        assert (error["code"], error["data"]["code"], error["data"]["got"]) == (
            -32005,
            "rpc.too_many_filters",
            3,
        )
        time.sleep(0.35)
        assert node.error("eth_getFilterChanges", identities[0])["data"]["code"] == "rpc.unknown_filter"
        assert node.call("eth_newBlockFilter")


def test_subscriptions_of_a_connection_are_counted(tmp_path: Path) -> None:
    with (
        running_node(tmp_path, limits=Limits(subscriptions_per_connection=2), makes_blocks=False) as node,
        connect(websocket_url(node)) as client,
    ):
        answers = []
        for _ in range(3):
            client.send(request("eth_subscribe", "newHeads"))
            answers.append(orjson.loads(client.recv(5)))
        assert ["error" in answer for answer in answers] == [False, False, True]
        assert answers[2]["error"]["data"]["code"] == "rpc.too_many_subscriptions"


def test_a_reader_that_does_not_keep_up_is_disconnected(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(queued_messages=4)) as node:
        sample = node.deploy()
        host, port = "127.0.0.1", node.port
        with socket.create_connection((host, port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            raw.sendall(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert raw.recv(12).startswith(b"HTTP/1.1 101")
            body = request("eth_getBlockByNumber", "latest", True).encode()
            frame = b"\x81" + bytes((0x80 | len(body),)) + bytes(4) + body
            asked = 10_000
            for _ in range(asked):
                raw.sendall(frame)
            raw.settimeout(10)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while b"reads too slowly" not in received[-200_000:] and (chunk := raw.recv(65_536)):
                    received += chunk
        assert received.count(b'"jsonrpc"') < asked
        assert node.send(node.sign(SENDER, sample, MINT))["status"] == "0x1"


def test_connections_beyond_the_limit_are_turned_away(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(connections=5), makes_blocks=False) as node:
        held = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(8)]
        time.sleep(0.1)
        with httpx.Client(base_url=node.url) as client:
            assert client.post("/", json={}).status_code == 503
        for one in held:
            one.close()
        time.sleep(0.1)
        assert node.call("eth_chainId")


@pytest.mark.slow
def test_a_silent_websocket_is_pinged_and_then_dropped(tmp_path: Path) -> None:
    with running_node(tmp_path, limits=Limits(ping_seconds=0.2), makes_blocks=False) as node:
        with connect(websocket_url(node)) as answering:
            time.sleep(0.8)
            answering.send(request("eth_chainId"))
            assert "result" in orjson.loads(answering.recv(5))
        with socket.create_connection(("127.0.0.1", node.port)) as silent:
            silent.sendall(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            silent.settimeout(5)
            received = b""
            while chunk := silent.recv(4_096):
                received += chunk
            assert b"keepalive ping timeout" in received
