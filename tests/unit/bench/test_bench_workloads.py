"""What the benchmark sends is what the chain admits, and signing stands outside the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.cast import (
    CLERKS,
    DEPLOYER,
    HANDLERS,
    RESIDENTS,
    SENDERS,
    bench_genesis,
    caliper_workers,
)
from bench.client import Client, LoadError
from bench.documents import sign_documents
from bench.erc20 import Terms
from bench.growth import KINDS, chunks_of, signed_chunks
from bench.orders import STEPS, sign_orders
from bench.sending import Sender
from contracts.bindings import correction_documents, sharing_orders
from node.chain.signing import sender_of
from node.chain.transaction import ImiTransaction, decode

GENESIS_TIME_NS = 1_800_000_000_000_000_000


def test_the_genesis_is_the_same_for_both_processes() -> None:
    assert bench_genesis(GENESIS_TIME_NS).hash == bench_genesis(GENESIS_TIME_NS).hash


def test_nobody_of_the_cast_shares_a_key() -> None:
    cast = (DEPLOYER, *SENDERS, *HANDLERS, *CLERKS, *RESIDENTS, *caliper_workers())
    assert len({key.address for key in cast}) == len(cast)


@contextmanager
def answering(results: dict[str, Any]) -> Iterator[str]:
    """The URL of a JSON-RPC server that knows these results, and refuses everything else."""

    def outcome(call: dict[str, Any]) -> dict[str, Any]:
        method = call["method"]
        said = {"result": results[method]} if method in results else {"error": {"code": -32601}}
        return {"jsonrpc": "2.0", "id": call["id"], **said}

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            whole = [outcome(one) for one in body] if isinstance(body, list) else outcome(body)
            answer = json.dumps(whole).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_documents_are_issued_by_the_handlers_in_turn_with_rising_nonces() -> None:
    async def sign(url: str) -> list[bytes]:
        async with Client(url, 1) as client:
            return await sign_documents(client, "a run", len(HANDLERS) + 1, each=2)

    with answering({"eth_chainId": "0x7", "eth_getTransactionCount": "0x5"}) as url:
        transactions = [decode(raw) for raw in asyncio.run(sign(url))]
    assert [sender_of(one) for one in transactions] == [
        *(key.address for key in HANDLERS),
        HANDLERS[0].address,
    ]
    assert [one.nonce for one in transactions] == [5] * len(HANDLERS) + [6]
    assert {one.chain_id for one in transactions} == {7}
    documents = set()
    for one in transactions:
        assert isinstance(one, ImiTransaction)
        for call in one.calls:
            _, arguments = correction_documents.decode_call(call.data)
            assert isinstance(arguments, correction_documents.DraftArgs)
            documents.add(arguments.document)
    assert len(documents) == 2 * len(transactions)


def test_an_error_of_the_chain_ends_a_run_with_its_words() -> None:
    async def ask(url: str) -> None:
        async with Client(url, 1) as client:
            await client.call("eth_chainId")

    with answering({}) as url, pytest.raises(LoadError, match=r"eth_chainId.*-32601"):
        asyncio.run(ask(url))


def test_a_transaction_of_an_order_takes_one_step_of_several_orders_of_the_same_person() -> None:
    """Points are issued first; here every issue has its receipt at once."""

    async def sign(url: str) -> list[list[bytes]]:
        async with Client(url, 1) as client:
            return await sign_orders(client, "a run", count=10, each=4)

    answers = {
        "eth_chainId": "0x7",
        "eth_getTransactionCount": "0x0",
        "eth_sendRawTransaction": "0x" + "00" * 32,
        "eth_getTransactionReceipt": {"status": "0x1"},
    }
    with answering(answers) as url:
        stages = asyncio.run(sign(url))
    taken: dict[bytes, list[str]] = {}
    for stage in stages:
        for raw in stage:
            transaction = decode(raw)
            assert isinstance(transaction, ImiTransaction)
            steps = [sharing_orders.decode_call(call.data) for call in transaction.calls]
            assert len({name for name, _ in steps}) == 1
            for name, arguments in steps:
                taken.setdefault(arguments.order, []).append(name)
    assert len(taken) == 10
    life = ["publish", "accept", "confirm", "checkIn", "checkIn", "finish", "complete"]
    assert list(taken.values()) == [life] * 10
    assert len(life) == STEPS
    assert [len(stage) for stage in stages] == [3, 3, 3, 6, 3, 3]


TERMS = Terms(chain_id=7, token=b"t" * 20, tip=0, fee=0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_chunks_follow_on_each_other_and_hold_all_transactions(kind: Any) -> None:
    count = kind.chunk * 2 + 3
    chunks = chunks_of(kind, count)
    assert [number for chunk in chunks for number in chunk] == list(range(count))
    assert max(map(len, chunks)) == kind.chunk
    assert chunks_of(kind, 0) == []


def test_another_process_signs_what_this_one_would_have_signed() -> None:
    kind = KINDS["holders"]
    nonces = list(range(len(SENDERS)))

    async def collect() -> list[bytes]:
        return [raw async for chunk in signed_chunks(kind, TERMS, nonces, "tag", 40) for raw in chunk]

    senders = [Sender(key, TERMS.chain_id, nonce) for key, nonce in zip(SENDERS, nonces, strict=True)]
    assert asyncio.run(collect()) == TERMS.sign_transfers(senders, "tag", range(40))


async def echo(request: web.Request) -> web.WebSocketResponse:
    """A JSON-RPC server over WebSocket that answers the name of the method, batches backwards."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        asked = json.loads(message.data)
        if isinstance(asked, dict):
            await socket.send_json({"id": asked["id"], "result": asked["method"]})
        else:
            await socket.send_json([{"id": one["id"], "result": one["method"]} for one in asked][::-1])
    return socket


def test_over_websocket_answers_come_in_the_order_of_the_calls() -> None:
    async def ask() -> tuple[Any, list[Any]]:
        application = web.Application()
        application.router.add_get("/", echo)
        async with TestServer(application) as server, Client(f"ws://localhost:{server.port}/", 2) as client:
            single = await client.call("eth_chainId")
            batches = await asyncio.gather(*(client.batch([(f"a{i}", []), (f"b{i}", [])]) for i in range(9)))
            return single, [[answer["result"] for answer in batch] for batch in batches]

    single, batches = asyncio.run(ask())
    assert single == "eth_chainId"
    assert batches == [[f"a{i}", f"b{i}"] for i in range(9)]


def test_a_websocket_that_is_not_there_gives_no_figures() -> None:
    async def ask() -> None:
        async with Client("ws://127.0.0.1:9", 1) as client:
            await client.call("eth_chainId")

    with pytest.raises(LoadError):
        asyncio.run(ask())
