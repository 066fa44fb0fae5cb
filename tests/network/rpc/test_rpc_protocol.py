"""JSON-RPC 2.0 to the letter: envelopes, batches, error objects, what is refused before it costs anything."""

from __future__ import annotations

import time
from typing import Any

import httpx
import orjson
import pytest

from node.chain.encoding import keccak256
from tests.helpers.rpc_node import DEPLOYER, OTHER, SENDER, STRANGER, RunningNode, address_of


def answer(node: RunningNode, body: bytes) -> Any:
    response = node.post(body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return orjson.loads(response.content)


def call(method: str, *params: object, identity: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"jsonrpc":"2.0","id":1', b"[1,2", b'\xff"', b"\x00"]
)
def test_what_is_not_json_is_a_parse_error(node: RunningNode, body: bytes) -> None:
    error = answer(node, body)
    assert error["id"] is None
    assert error["error"]["code"] == -32700
    assert error["error"]["data"]["code"] == "rpc.parse"


@pytest.mark.parametrize(
    "message",
    [
        1,
        "eth_chainId",
        None,
        {},
        {"id": 1, "method": "eth_chainId"},
        {"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": True, "method": "eth_chainId"},
    ],
)
def test_what_is_no_call_is_an_invalid_request(node: RunningNode, message: object) -> None:
    error = answer(node, orjson.dumps(message))
    assert error["error"]["code"] == -32600
    assert error["error"]["data"]["code"] == "rpc.envelope"
    assert answer(node, orjson.dumps([message]))[0]["error"] == error["error"]


def test_an_unknown_method_is_said_to_be_unknown(node: RunningNode) -> None:
    for name in ("eth_fillTransaction", "debug_traceTransaction", "personal_unlockAccount", "", "__init__"):
        error = node.error(name)
        assert error["code"] == -32601
        assert error["data"]["code"] == "rpc.unknown_method"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x1"]),
        ("eth_getBalance", ["0x" + "zz" * 20]),
        ("eth_getBalance", [5]),
        ("eth_getBalance", ["0x" + "00" * 20, "newest"]),
        ("eth_getBalance", ["0x" + "00" * 20, "0x"]),
        ("eth_getBalance", ["0x" + "00" * 20, "0x" + "f" * 17]),
        ("eth_getBalance", ["0x" + "00" * 20, {"blockHash": "0x" + "00" * 32, "blockNumber": "0x1"}]),
        ("eth_getBalance", ["0x" + "00" * 20, "latest", "more"]),
        ("eth_getBalance", {"address": "0x" + "00" * 20}),
        ("eth_getBlockByNumber", ["latest", "yes"]),
        ("eth_getBlockByHash", ["0x12"]),
        ("eth_sendRawTransaction", ["0x123"]),
        ("eth_sendRawTransaction", ["12"]),
        ("eth_sendRawTransaction", ["0x1 2"]),
        ("eth_call", [{"to": "0x" + "00" * 20, "data": "0x", "unknown": "0x"}]),
        ("eth_call", [{"to": "0x" + "00" * 20, "data": "0x01", "input": "0x02"}]),
        ("eth_call", [{"to": "0x" + "00" * 20, "value": "0x1"}]),
        ("eth_call", [{"to": "0x" + "00" * 20}, "latest", {"0x" + "00" * 20: {"balance": "0x1"}}]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_getLogs", [{"address": ["0x" + "00" * 20] * 257}]),
        ("eth_getLogs", [{"blockHash": "0x" + "00" * 32, "fromBlock": "0x1"}]),
        ("eth_getLogs", [{"since": "0x1"}]),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]]),
        ("eth_getProof", ["0x" + "00" * 20, ["0x0"] * 65, "latest"]),
        ("shelian_estimateImiGas", [{"from": "0x" + "00" * 20, "calls": [], "scheme": "0x2", "size": "0x1"}]),
    ],
)
def test_wrong_parameters_are_named(node: RunningNode, method: str, params: object) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": "a", "method": method, "params": params})
    error = answer(node, body)
    assert error["id"] == "a"
    assert error["error"]["code"] == -32602
    assert error["error"]["data"]["code"] in ("rpc.invalid_parameter", "rpc.parameters")
    assert error["error"]["data"]["expected"] is not None


def test_refused_transactions_keep_the_code_the_ledger_gave(node: RunningNode) -> None:
    def refused(raw: bytes) -> dict[str, Any]:
        error = node.error("eth_sendRawTransaction", "0x" + raw.hex())
        assert error["code"] == -32000
        assert set(error["data"]) == {"code", "got", "expected"}
        return error

    to = SENDER.address.lower()
    assert refused(b"\x49\xc0")["data"]["code"].startswith(("imi.", "tx.", "rlp."))
    assert refused(b"\x7f")["data"]["code"].startswith("tx.")
    stranger = refused(node.sign(STRANGER, to, b"", nonce=0))
    assert (stranger["data"]["code"], stranger["data"]["got"]) == (
        "sender.unknown",
        "0x" + address_of(STRANGER).hex(),
    )
    assert refused(node.sign(OTHER, to, b"", nonce=0, chainId=1))["data"]["code"] == "tx.wrong_chain"
    assert refused(node.sign(OTHER, to, b"", nonce=0, gas=20_999))["data"]["code"] == "tx.gas_below_intrinsic"
    assert refused(node.sign(OTHER, to, b"", nonce=0, gas=1 << 40))["data"]["code"] == "tx.gas_above_cap"
    assert refused(node.sign(OTHER, to, b"", nonce=0, value=1))["data"]["code"] == "tx.value_not_zero"
    node.send(node.sign(DEPLOYER, to, b"", nonce=0))
    low = refused(node.sign(DEPLOYER, to, b"", nonce=0, gas=30_000))
    assert (low["data"]["code"], low["data"]["got"], low["data"]["expected"]) == ("tx.nonce_too_low", 0, 1)


def test_answers_of_a_batch_carry_their_ids(node: RunningNode) -> None:
    batch = [
        call("eth_chainId", identity=7),
        call("nothing", identity="b"),
        5,
        call("net_listening", identity=None),
    ]
    answers = answer(node, orjson.dumps(batch))
    assert [one["id"] for one in answers] == [7, "b", None, None]
    assert [one.get("error", {}).get("code") for one in answers] == [None, -32601, -32600, None]


def test_a_notification_is_not_answered(node: RunningNode) -> None:
    silent = {"jsonrpc": "2.0", "method": "eth_chainId"}
    response = node.post(orjson.dumps(silent))
    assert (response.status_code, response.content) == (204, b"")
    assert node.post(orjson.dumps([silent, silent])).content == b""
    assert [one["id"] for one in answer(node, orjson.dumps([silent, call("eth_chainId")]))] == [1]


def test_an_empty_or_endless_batch_is_refused_whole(node: RunningNode) -> None:
    assert answer(node, b"[]")["error"]["data"]["code"] == "rpc.empty_batch"
    error = answer(node, orjson.dumps([call("eth_chainId")] * 1_001))["error"]
    assert (error["code"], error["data"]) == (
        -32600,
        {"code": "rpc.batch_too_long", "got": 1_001, "expected": 1_000},
    )
    assert len(answer(node, orjson.dumps([call("eth_chainId")] * 1_000))) == 1_000


def test_a_batch_reads_one_height(node: RunningNode) -> None:
    nonce_and_height = [call("eth_blockNumber"), call("eth_getTransactionCount", OTHER.address)] * 400
    to = OTHER.address.lower()
    for _ in range(5):
        node.call("eth_sendRawTransaction", "0x" + node.sign(OTHER, to, b"").hex())
        results = [one["result"] for one in answer(node, orjson.dumps(nonce_and_height))]
        assert len(set(results[::2])) == len(set(results[1::2])) == 1


def test_deep_json_is_refused_at_once(node: RunningNode) -> None:
    started = time.monotonic()
    for body in (
        b"[" * 900_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 200_000,
        b"[" * 17 + b"]" * 17,
        b'[{"a":' * 9 + b"1" + b"}]" * 9,
    ):
        error = answer(node, body)["error"]
        assert (error["code"], error["data"]["code"]) == (-32600, "rpc.too_deep")
    assert time.monotonic() - started < 5.0
    brackets_in_text = call("web3_sha3", "[" * 100 + '\\"{' * 100)
    assert answer(node, orjson.dumps(brackets_in_text))["error"]["data"]["code"] == "rpc.invalid_parameter"


def test_long_values_are_not_echoed(node: RunningNode) -> None:
    response = node.post(orjson.dumps(call("eth_getBalance", "0x" + "ab" * 500_000)))
    assert len(response.content) < 1_000


def test_numbers_beyond_64_bits_do_no_harm(node: RunningNode) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_feeHistory","params":[' + b"9" * 400 + b',"latest"]}'
    assert "error" in answer(node, body)
    huge = hex((1 << 256) - 1)
    assert node.error("eth_feeHistory", huge, "latest")["data"]["got"] == huge


def test_plain_http_mistakes_have_plain_answers(node: RunningNode) -> None:
    with httpx.Client(base_url=node.url) as client:
        got = client.get("/")
        assert (got.status_code, got.headers["allow"]) == (405, "POST")
        assert client.post("/other", json=call("eth_chainId")).status_code == 404
        form = client.post(
            "/", content=orjson.dumps(call("eth_chainId")), headers={"content-type": "text/plain"}
        )
        assert (form.status_code, form.json()["error"]["code"]) == (415, "rpc.content_type")
        for response in (got, form):
            assert "server" not in response.headers
            assert not any(name.startswith("access-control") for name in response.headers)


def test_hashes_of_refused_and_accepted_transactions_are_those_of_the_bytes(node: RunningNode) -> None:
    raw = node.sign(SENDER, SENDER.address.lower(), b"")
    assert node.call("eth_sendRawTransaction", "0x" + raw.hex()) == "0x" + keccak256(raw).hex()
