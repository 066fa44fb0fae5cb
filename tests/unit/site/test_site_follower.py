"""The follower hands over every log once, in order, whatever the node's limits and whenever it is stopped."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.follow import Follower, WrongChain
from apps.node_client import Log, NodeClient, NodeError

ADDRESS = b"\x51" * 20


class SmallNode:
    """A JSON-RPC server over HTTP with a fixed list of logs that gives at most `most` of them at once."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, int]] = []
        self.tip = 0
        self.chain_id = 7
        self.most = 1_000
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                many = [node.answer(one) for one in (body if isinstance(body, list) else [body])]
                raw = json.dumps(many if isinstance(body, list) else many[0]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = NodeClient(f"http://127.0.0.1:{self._server.server_port}")

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, parameters = call["method"], call["params"]
        if method == "eth_chainId":
            return {"id": call["id"], "result": hex(self.chain_id)}
        if method == "eth_blockNumber":
            return {"id": call["id"], "result": hex(self.tip)}
        if method == "eth_getBlockByNumber":
            return {"id": call["id"], "result": {"timestamp": hex(1_000 + int(parameters[0], 16))}}
        assert method == "eth_getLogs"
        first, last = (int(parameters[0][key], 16) for key in ("fromBlock", "toBlock"))
        found = [place for place in self.logs if first <= place[0] <= last]
        if len(found) > self.most:
            return {"id": call["id"], "error": {"code": -32005, "message": "too many"}}
        return {"id": call["id"], "result": [self.entry(*place) for place in reversed(found)]}

    @staticmethod
    def entry(block: int, index: int) -> dict[str, Any]:
        return {
            "blockNumber": hex(block),
            "logIndex": hex(index),
            "address": "0x" + ADDRESS.hex(),
            "topics": ["0x" + "00" * 32],
            "data": "0x",
            "transactionHash": "0x" + "00" * 32,
        }


@pytest.fixture(scope="module")
def node() -> Iterator[SmallNode]:
    running = SmallNode()
    yield running
    running.close()


class Died(Exception):
    """The process ends here."""


class Model:
    """A read model that may die just before it commits."""

    def __init__(self) -> None:
        self.cursor: tuple[int, int] | None = None
        self.seen: list[tuple[int, int]] = []
        self.dies_at: set[int] = set()

    def apply(self, chain_id: int, block: int, logs: Sequence[Log]) -> None:
        if self.cursor is not None and self.cursor[1] in self.dies_at:
            self.dies_at.remove(self.cursor[1])
            raise Died
        self.seen += [(log.block, log.index) for log in logs]
        self.cursor = (chain_id, block)


def follower(node: SmallNode, model: Model, page: int = 2_000) -> Follower:
    return Follower(
        node.client,
        addresses=[ADDRESS],
        load_cursor=lambda: model.cursor,
        apply=model.apply,
        page_blocks=page,
        start_block=1,
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), unique=True, max_size=40),
    st.integers(4, 10),
    st.integers(1, 12),
    st.sets(st.integers(0, 30), max_size=4),
    st.lists(st.integers(1, 30), max_size=3),
)
def test_every_log_comes_once_and_in_order(
    node: SmallNode,
    logs: list[tuple[int, int]],
    most: int,
    page: int,
    dies_at: set[int],
    tips: list[int],
) -> None:
    node.logs, node.most, node.chain_id = sorted(logs), most, 7
    model = Model()
    model.dies_at = dies_at
    for tip in [*sorted(tips), 30]:
        node.tip = tip
        reached = None
        while reached is None:
            with contextlib.suppress(Died):
                reached = follower(node, model, page).catch_up()
        assert reached == tip
    assert model.seen == sorted(logs)
    assert model.cursor == (7, 30)


def test_another_chain_or_a_shorter_one_is_refused(node: SmallNode) -> None:
    node.logs, node.tip, node.chain_id = [], 10, 7
    model = Model()
    follower(node, model).catch_up()
    node.tip = 9
    with pytest.raises(WrongChain, match="chain_shorter"):
        follower(node, model).catch_up()
    node.tip, node.chain_id = 10, 8
    with pytest.raises(WrongChain, match="wrong_chain"):
        follower(node, model).catch_up()
    node.chain_id = 7


def test_waiting_ends_when_the_block_is_in_the_read_model(node: SmallNode) -> None:
    node.logs, node.tip, node.chain_id = [], 3, 7
    running = follower(node, Model())
    running.start()
    try:
        assert running.wait_for(3, 5)
        node.tip = 5
        assert running.wait_for(5, 5)
        assert not running.wait_for(6, 0.2)
    finally:
        running.close()


def test_a_node_that_does_not_answer_is_a_named_error() -> None:
    client = NodeClient("http://127.0.0.1:9")
    with pytest.raises(NodeError) as refused:
        client.block_number()
    assert refused.value.code == "node.unreachable"
    client.close()
