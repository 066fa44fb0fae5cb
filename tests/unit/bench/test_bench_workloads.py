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

from bench.cast import CLERKS, DEPLOYER, HANDLERS, RESIDENTS, SENDERS, bench_genesis
from bench.documents import sign_documents
from bench.load import Client, Latency, LoadError, Throughput
from bench.report import as_document, as_html
from bench.scenarios import SCENARIOS, Measured
from bench.stages import STAGES
from contracts.bindings import correction_documents
from node.chain.signing import sender_of
from node.chain.transaction import ImiTransaction, decode

GENESIS_TIME_NS = 1_800_000_000_000_000_000


def test_the_genesis_is_the_same_for_both_processes() -> None:
    assert bench_genesis(GENESIS_TIME_NS).hash == bench_genesis(GENESIS_TIME_NS).hash


def test_nobody_of_the_cast_shares_a_key() -> None:
    cast = (DEPLOYER, *SENDERS, *HANDLERS, *CLERKS, *RESIDENTS)
    assert len({key.address for key in cast}) == len(cast)


@contextmanager
def answering(results: dict[str, Any]) -> Iterator[str]:
    """The URL of a JSON-RPC server that knows these results, and refuses everything else."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            method = body["method"]
            outcome = {"result": results[method]} if method in results else {"error": {"code": -32601}}
            answer = json.dumps({"jsonrpc": "2.0", "id": body["id"], **outcome}).encode()
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


def measured() -> list[Measured]:
    batch, single = SCENARIOS[3], SCENARIOS[5]
    stages = {stage: {"cpu": 0.001, "wall": 0.002} for stage in STAGES}
    return [
        Measured(batch, "shelian", Throughput(10, 1, 2.0, 1.0, 1, 1, 3), 200, 0.5, stages),
        Measured(batch, "<anvil & friends>", Throughput(10, 1, 1.0, 1.0, 0, 0, 3), 200, None, {}),
        Measured(single, "shelian", Latency(300, 20.0, 10.0, 20.0, 30.0, 40.0, 0), 300, 0.5, {}),
    ]


def test_only_what_was_included_with_success_counts() -> None:
    ours, other, latency = measured()
    assert ours.operations_per_s == pytest.approx(80.0)  # 8 of 10 transactions of 20 documents, in 2 s
    assert other.operations_per_s == pytest.approx(200.0)
    assert latency.operations_per_s is None


def test_the_page_stands_alone_and_escapes_what_it_shows() -> None:
    facts = {"cores": 2, "cpu": "<cpu>", "python": "3.11", "commit": "abc", "load_average": [0.1]}
    document = as_document(measured(), facts, "2026-01-01T00:00:00+00:00")
    page = as_html(json.loads(json.dumps(document)))
    for outside in ("http:", "https:", "<script", "<link", "@import", "url("):
        assert outside not in page
    assert "&lt;anvil &amp; friends&gt;" in page
    assert "<cpu>" not in page
    for scenario in (SCENARIOS[3], SCENARIOS[5]):
        assert scenario.zh in page
        assert scenario.en in page
