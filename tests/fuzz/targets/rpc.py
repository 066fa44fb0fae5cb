"""A node's JSON-RPC: whatever is posted or sent over a WebSocket is answered, well-formed and in time.

A real ledger of a few blocks stands behind the server's ASGI application; only the sockets are missing. The
input is the body; one in eight, by its checksum, goes as a WebSocket message instead. `FILTER1` to `FILTER3`
in it stand for the ids of living filters.

Every answer is JSON by the standard library's parser, one for each call that wants one, under the call's id,
with a result or an error whose number and code are documented; -32603 ("a bug of ours") is never one of
them, and no refusal is much longer than what it says. The answer stays below its limit, the processor time
below ten seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import tempfile
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import structlog
import uvloop

from network.embedded import ValidatorKey
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.chain.signing import ED25519
from node.ledger import Ledger
from node.rpc.config import Limits, Rate, RpcConfig
from node.rpc.methods import METHODS
from node.rpc.server import RpcServer
from tests.fuzz.mutators import mutate_json as mutate
from tests.fuzz.refusals import documented_codes
from tests.helpers.ledger import ORIGIN, TOKEN, Chain, balance_of, person, transfer, validator_key

__all__ = ["mutate", "one_input", "seeds"]

LIMITS = Limits(
    body_bytes=1 << 16,
    response_bytes=1 << 20,
    batch_calls=40,
    call_seconds=5.0,
    call_gas=200_000,
    receipt_wait_seconds=0.002,
    filters_per_client=24,
    client_rate=Rate(1e12, 1e12),
    connection_rate=Rate(1e12, 1e12),
)
NUMBERS = frozenset({-32700, -32600, -32601, -32602, -32000, -32005, 3, 4})
LONGEST_REFUSAL = 4_096
SECONDS = 10.0
BOUNCE = bytes.fromhex("600b380380600b5f395ffd")
"""Initcode that reverts with the bytes behind it."""


class Served:
    """A node that makes no blocks, its server, and an event loop to ask it in."""

    def __init__(self, path: Path) -> None:
        structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=_no_logger)
        # People whose signatures are deterministic, so that kept inputs name hashes of this very chain.
        other = person("rpc", ED25519)
        chain = Chain.create(path, more_people=[other])
        to = chain.resident.address
        chain.add_block([chain.sign(who, [transfer(to, 5)]) for who in (chain.clerk, other)])
        chain.add_block([chain.sign(chain.service, [transfer(to, 1)])])
        self.waiting = [chain.sign(who, [transfer(to, 1)]) for who in (chain.clerk, chain.service)]
        chain.add_block()
        self.clerk = "0x" + chain.clerk.address.hex()
        self.service = "0x" + chain.service.address.hex()
        with chain.ledger.snapshot() as ledger:
            self.block_hash = "0x" + (ledger.block(1).hash if ledger.block(1) else b"").hex()
            self.hashes = ["0x" + _hash(raw).hex() for raw in ledger.transactions(1)]
        now_ns = chain.next_time_ns
        chain.close()
        key = validator_key()
        signer = ValidatorKey(bytes(key.verify_key), lambda message: key.sign(message).signature)
        config = RpcConfig(port=0, limits=LIMITS)
        node = Node(NodeConfig(path, EmbeddedConfig(signer), config), clock_ns=lambda: now_ns)
        self.ledger: Ledger = node.ledger
        self._server = RpcServer(node, config)
        self._loop = uvloop.new_event_loop()
        self._filters: list[bytes] = []

    def close(self) -> None:
        self._loop.run_until_complete(self._server.stop())
        self._loop.close()
        self.ledger.close()

    def post(self, body: bytes, content_length: bytes | None = None) -> tuple[int, bytes]:
        """(HTTP status, answer). `content_length` is what the header says; None: the truth."""
        status, answer = 0, b""
        incoming = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if not incoming:
                await asyncio.Event().wait()  # the caller stays
            return incoming.pop()

        async def send(message: Any) -> None:
            nonlocal status, answer
            status = message.get("status", status)
            answer += message.get("body", b"")

        declared = b"%d" % len(body) if content_length is None else content_length
        scope = self._scope("http", method="POST", content=declared)
        self._loop.run_until_complete(self._server(scope, receive, send))
        return status, answer

    def send(self, text: str) -> list[bytes]:
        """All that comes back over a WebSocket until a call behind `text` is answered too."""
        incoming = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": text},
            {"type": "websocket.receive", "text": '{"jsonrpc":"2.0","id":"last","method":"eth_chainId"}'},
        ]
        answers: list[bytes] = []

        async def run() -> None:
            answered = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if incoming:
                    return incoming.pop(0)
                await answered.wait()
                return {"type": "websocket.disconnect"}

            async def send(message: Any) -> None:
                if message["type"] == "websocket.send":
                    answers.append(message["text"].encode())
                    if b'"last"' in answers[-1]:
                        answered.set()

            await asyncio.wait_for(self._server(self._scope("websocket"), receive, send), 30)

        self._loop.run_until_complete(run())
        return answers

    def with_filters(self, body: bytes) -> bytes:
        """`body` with the ids of living filters in it."""
        if b"FILTER" not in body:
            return body
        if len(self._filters) != 3:
            wanted = ("eth_newFilter", [{"fromBlock": "0x0"}]), ("eth_newBlockFilter", []), (
                "eth_newPendingTransactionFilter", []
            )  # fmt: skip
            calls = [_call(method, *params) for method, params in wanted]
            answers = [json.loads(self.post(call)[1]) for call in calls]
            self._filters = [str(answer.get("result")).encode() for answer in answers]
        for number, identity in enumerate(self._filters, start=1):
            body = body.replace(b"FILTER%d" % number, identity)
        if b"ninstall" in body:
            self._filters = []
        return body

    def _scope(self, kind: str, method: str = "GET", content: bytes = b"0") -> dict[str, Any]:
        headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", content),
        ]
        return {"type": kind, "method": method, "path": "/", "headers": headers, "client": ("127.0.0.1", 1)}


@cache
def served() -> Served:
    directory = tempfile.TemporaryDirectory(prefix="shelian-fuzz-")
    node = Served(Path(directory.name) / "ledger")

    def close() -> None:
        node.close()
        directory.cleanup()

    atexit.register(close)
    return node


def one_input(data: bytes) -> None:
    node = served()
    started = time.process_time()
    body = node.with_filters(data)
    if zlib.crc32(data) & 7:
        status, answer = node.post(body)
        assert status in (200, 204, 413)
        answers = [answer]
        if status != 413:
            _check_answer(body, answer)
    else:
        answers = node.send(body.decode("utf-8", "replace"))
        for one in answers:
            reading = json.loads(one)
            for part in reading if isinstance(reading, list) else [reading]:
                _check_one(part)
    assert sum(map(len, answers)) <= LIMITS.response_bytes + LONGEST_REFUSAL * LIMITS.batch_calls
    assert time.process_time() - started < SECONDS


def _check_answer(body: bytes, answer: bytes) -> None:
    try:
        asked = json.loads(body.decode())
    except (ValueError, RecursionError):
        asked = None
    calls = asked if isinstance(asked, list) else [asked]
    given = json.loads(answer) if answer else []
    answers = given if isinstance(given, list) else [given]
    for one in answers:
        _check_one(one)
    if isinstance(given, dict) and given["id"] is None and "error" in given:
        # Refused as a whole. (Ours reads neither half characters nor numbers beyond a double.)
        assert given["error"]["code"] in (-32700, -32600) or asked is not None
        return
    assert asked is not None, "answered what is not JSON"
    wanted = [call for call in calls if not (_is_call(call) and "id" not in call)]
    assert len(wanted) == len(answers)
    for call, one in zip(wanted, answers, strict=True):
        identity = call.get("id") if isinstance(call, dict) else None
        if one["id"] is not None and not isinstance(identity, float) and abs(int_of(identity)) < 1 << 63:
            assert one["id"] == identity


def int_of(value: object) -> int:
    return value if isinstance(value, int) else 0


def _is_call(call: object) -> bool:
    return isinstance(call, dict) and call.get("jsonrpc") == "2.0" and isinstance(call.get("method"), str)


def _check_one(answer: object) -> None:
    assert isinstance(answer, dict)
    if answer.get("method") == "eth_subscription":
        return
    assert answer["jsonrpc"] == "2.0"
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    error = answer.get("error")
    if error is None:
        return
    assert set(error) == {"code", "message", "data"}
    assert error["code"] in NUMBERS, error
    assert isinstance(error["message"], str)
    if error["code"] not in (3, 4):
        assert error["data"]["code"] in documented_codes(), error
        assert len(json.dumps(error)) <= LONGEST_REFUSAL, "a refusal echoes the request"


def _no_logger(*_: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(open("/dev/null", "w"))


def _hash(raw: bytes) -> bytes:
    from node.chain.encoding import keccak256

    return keccak256(raw)


def _call(method: str, *params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def seeds() -> Iterator[bytes]:
    """Every method, with parameters that it accepts, and with those that lead to its refusals."""
    node = served()
    token, call = "0x" + TOKEN.hex(), balance_of(bytes(20))
    asked = {"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex(), "from": node.clerk}
    bounced = BOUNCE + bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"why"
    logs = {"fromBlock": "0x0", "toBlock": "latest", "address": [token], "topics": [None, ["0x" + "00" * 32]]}
    imi = {
        "from": node.clerk,
        "calls": [{"to": token, "data": asked["data"]}],
        "scheme": "0x2",
        "size": "0x100",
    }
    params: dict[str, list[list[object]]] = {
        "web3_sha3": [["0x0102"]],
        "eth_feeHistory": [["0x4", "latest", [10, 50.5]], [4, "0x2"]],
        "eth_getBalance": [[token, "latest"], [token, {"blockNumber": "0x1"}], [token,
        {"blockHash": node.block_hash}]],
        "eth_getCode": [[token]],
        "eth_getStorageAt": [[token, "0x1", "0x2"]],
        "eth_getTransactionCount": [[node.clerk, "pending"], [node.clerk, "earliest"]],
        "eth_getProof": [[token, ["0x1", "0x" + "00" * 31 + "02"], "0x2"]],
        "eth_call": [
            [asked, "latest"],
            [{"data": "0x" + bounced.hex(), "from": node.service}],
            [{"data": "0x" + (BOUNCE + bytes.fromhex("4e487b71") + bytes(31) + b"\x11").hex()}],
            [{**asked, "value": "0x1"}], [asked, "latest", {}], [{**asked, "data": "0xb9554c59"}],
        ],
        "eth_estimateGas": [[asked], [asked, "0x1"]],
        "shelian_estimateImiGas": [[imi], [imi, "latest"]],
        "eth_sendRawTransaction": [["0x" + raw.hex()] for raw in node.waiting],
        "eth_sendRawTransactionSync": [["0x" + node.waiting[0].hex(), 1]],
        "shelian_sendRawTransactionSync": [["0x" + node.waiting[1].hex(), "0x1"]],
        "eth_getLogs": [[logs], [{"blockHash": node.block_hash}]],
        "eth_newFilter": [[logs]],
        "eth_getFilterChanges": [["FILTER1"], ["FILTER2"], ["FILTER3"]],
        "eth_getFilterLogs": [["FILTER1"], ["FILTER2"]],
        "eth_uninstallFilter": [["FILTER1"]],
        "eth_subscribe": [["newHeads"], ["logs", {"address": token}], ["newPendingTransactions"]],
        "eth_unsubscribe": [["0x" + "00" * 16]],
    }  # fmt: skip
    by_name = {
        "block": "latest", "newestBlock": "0x1", "hash": node.hashes[0], "index": "0x0", "full": True,
        "raw": "0x",
        "address": token, "filter": {}, "id": "FILTER1", "data": "0x",
    }  # fmt: skip
    for name, method in METHODS.items():
        for given in params.get(name, [[by_name.get(one.name) for one in method.parameters]]):
            if "BlockHash" in name or name.endswith("ByHash"):
                given = [node.block_hash if "Block" in name else node.hashes[0], *given[1:]]
            yield _call(name, *given)
    batch = (_call("eth_chainId"), b'{"jsonrpc":"2.0","method":"eth_blockNumber"}', b"1", b"{}")
    yield b"[" + b",".join(batch) + b"]"
    yield b'{"jsonrpc":"2.0","id":1.5,"method":"eth_nothing","params":{"a":1}}'
    yield b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"eth_chainId","params":[]}'
    yield json.dumps({"jsonrpc": "1.0", "id": ORIGIN.decode(), "method": None}).encode()
