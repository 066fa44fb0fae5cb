"""Whatever is sent to a node, it answers with a result or a named refusal: never a bug, never silence."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.rpc.config import Limits, Rate
from node.rpc.methods import METHODS
from tests.helpers.rpc_node import OTHER, SENDER, RunningNode, running_node

NO_RATE = Rate(1e9, 1e9)
WAITING = {"eth_sendRawTransactionSync", "shelian_sendRawTransactionSync"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    limits = Limits(client_rate=NO_RATE, connection_rate=NO_RATE, filters_per_client=100_000, filters=100_000)
    with running_node(tmp_path_factory.mktemp("node"), limits=limits) as running:
        running.deploy()
        yield running


quantities = st.integers(0, 2**256).map(hex) | st.integers(0, 6).map(hex)
datas = st.binary(max_size=80).map(lambda data: "0x" + data.hex())
addresses = st.sampled_from(
    [OTHER.address, SENDER.address.lower(), "0x" + "00" * 20, "0x" + "00" * 18 + "5101"]
)
hashes = st.sampled_from(["0x" + "00" * 32, "0x" + "ff" * 32])
tags = st.sampled_from(["latest", "pending", "earliest", "safe", "finalized", "newest"])
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
scalars = quantities | datas | addresses | hashes | tags | plain
keys = st.sampled_from(
    [
        "from",
        "to",
        "data",
        "input",
        "gas",
        "value",
        "calls",
        "scheme",
        "size",
        "blockHash",
        "blockNumber",
        "requireCanonical",
        "fromBlock",
        "toBlock",
        "address",
        "topics",
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=8,
)
calls = st.fixed_dictionaries(
    {"to": addresses, "data": datas}, optional={"from": addresses, "gas": quantities}
)
batches = st.fixed_dictionaries(
    {"from": addresses, "scheme": quantities, "size": quantities, "calls": st.lists(calls, max_size=3)}
)
parameters = st.lists(values | calls | batches, max_size=4)
methods = st.sampled_from(sorted(set(METHODS) - WAITING))


def answered(node: RunningNode, body: bytes) -> list[dict[str, object]]:
    response = node.post(body)
    assert response.status_code in (200, 204)
    if not response.content:
        return []
    answer = orjson.loads(response.content)
    return answer if isinstance(answer, list) else [answer]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(method=methods, params=parameters | values)
def test_any_parameters_are_answered_or_refused_by_name(
    node: RunningNode, method: str, params: object
) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    (answer,) = answered(node, body)
    assert ("result" in answer) != ("error" in answer)
    error = answer.get("error")
    if isinstance(error, dict):
        assert error["code"] in (-32600, -32602, -32000, -32005, 3), (method, params, error)


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200) | values.map(orjson.dumps))
def test_any_body_is_answered(node: RunningNode, body: bytes) -> None:
    for answer in answered(node, body):
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["code"] in (-32700, -32600)


@settings(max_examples=100, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=3))
def test_any_mutation_of_a_transaction_is_refused_by_the_ledger_s_own_code(
    node: RunningNode, flips: list[tuple[int, int]]
) -> None:
    raw = bytearray(node.sign(OTHER, SENDER.address.lower(), b"\x01\x02", nonce=7))
    original = bytes(raw)
    for place, change in flips:
        raw[place % len(raw)] ^= change
    if bytes(raw) == original:
        return
    error = node.error("eth_sendRawTransaction", "0x" + bytes(raw).hex())
    assert error["code"] == -32000
    assert error["data"]["code"].split(".")[0] in ("tx", "rlp", "signature", "sender")
