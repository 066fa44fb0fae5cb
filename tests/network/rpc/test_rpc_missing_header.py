"""Blocks whose headers are to come (CometBFT delivers them a moment later): what is known is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from network.embedded import Pace
from node.rpc.config import RpcConfig
from tests.helpers.ledger import Chain, transfer
from tests.helpers.rpc_node import RunningNode

TO = b"\x77" * 20


@pytest.fixture
def node(tmp_path: Path):  # type: ignore[no-untyped-def]
    chain = Chain.create(tmp_path / "ledger")
    raw = chain.sign(chain.clerk, [transfer(TO, 1)])
    chain.add_block([raw])
    decided, header, commit, last_commit = chain.decide([chain.sign(chain.clerk, [transfer(TO, 1)])])
    chain.ledger.commit(chain.ledger.finalize(decided))
    chain.close()
    node = RunningNode(tmp_path / "ledger", RpcConfig(port=0), pace=Pace(), makes_blocks=False)
    yield node, lambda: node.node.ledger.save_header(header, commit, last_commit)
    node._run(node.node._server.stop())
    node.node.ledger.close()


def test_a_header_to_come_is_a_typed_error_and_all_else_is_told(node) -> None:  # type: ignore[no-untyped-def]
    node, deliver = node
    block = node.call("eth_getBlockByNumber", "0x2", True)
    assert block["number"] == "0x2"
    (transaction,) = block["transactions"]
    assert node.call("eth_getTransactionReceipt", transaction["hash"])["status"] == "0x1"
    for method, argument in (
        ("shelian_getHeader", "latest"),
        ("shelian_getHeader", "0x2"),
        ("shelian_getTransactionProof", transaction["hash"]),
    ):
        error = node.error(method, argument)
        assert error["data"]["code"] == "ledger.header_missing"
        assert error["data"]["got"] == 2
    earlier = node.call("eth_getBlockByNumber", "0x1", False)["transactions"][0]
    proof = node.call("shelian_getTransactionProof", earlier)
    assert not proof["isComplete"], "the header after it is to come"
    deliver()
    assert node.call("shelian_getHeader", "latest")["hash"] == block["hash"]
    assert node.call("shelian_getTransactionProof", earlier)["isComplete"]
    assert not node.call("shelian_getTransactionProof", transaction["hash"])["isComplete"]
