"""A node that gives up old states, over JSON-RPC: the same answers as an archive inside its window, a named
refusal outside.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.ledger.check import check_ledger
from node.ledger.retention import ARCHIVE, Retention
from tests.helpers.ledger import TOKEN, balance_of, mint
from tests.helpers.rpc_node import SENDER, RunningNode, address_of, running_node

OWNER = bytes([0x77]) * 20
BLOCKS = 24


def questions(height: int) -> list[tuple[str, list[Any]]]:
    """Everything that reads a state at a height."""
    token, owner, at = "0x" + TOKEN.hex(), "0x" + OWNER.hex(), hex(height)
    sender = "0x" + address_of(SENDER).hex()
    query = {"to": token, "data": "0x" + balance_of(OWNER).data.hex()}
    return [
        ("eth_getBalance", [owner, at]),
        ("eth_getTransactionCount", [sender, at]),
        ("eth_getCode", [token, at]),
        ("eth_getStorageAt", [token, "0x1", at]),
        ("eth_call", [query, at]),
        ("eth_estimateGas", [query, at]),
        ("eth_getProof", [token, ["0x1"], at]),
    ]


def answers(node: RunningNode, heights: list[int]) -> list[Any]:
    return [node.call(method, *params) for height in heights for method, params in questions(height)]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Any]]]:
    """A directory of some blocks, and what an archive node answers at each height."""
    path = tmp_path_factory.mktemp("archive")
    with running_node(path) as node:
        call = mint(OWNER, 1)
        while int(node.call("eth_blockNumber"), 16) < BLOCKS:
            node.send(node.sign(SENDER, "0x" + TOKEN.hex(), call.data))
        tip = int(node.call("eth_blockNumber"), 16)
        return path / "ledger", [answers(node, [height]) for height in range(tip)]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "retention", [Retention.parse("recent:16"), Retention(8, every=5, keep=2)], ids=["recent", "snapshot"]
)
def test_an_archive_becomes_a_node_of_recent_states(
    tmp_path: Path, grown: tuple[Path, list[list[Any]]], retention: Retention
) -> None:
    archive, known = grown
    shutil.copytree(archive, tmp_path / "ledger")
    with running_node(tmp_path, retention=retention) as node:
        ledger = node.node.ledger
        wait_until(lambda: ledger.history.oldest == retention.oldest(ledger.tip.height))
        # Readers see what was held when the tip was committed: one more block, and its proof block.
        receipt = node.send(node.sign(SENDER, "0x" + TOKEN.hex(), mint(OWNER, 1).data))
        wait_until(lambda: ledger.tip.height > int(receipt["blockNumber"], 16))
        with ledger.snapshot() as snapshot:
            history, tip = snapshot.history, snapshot.tip.height
        assert history.oldest > 0
        assert node.call("shelian_status")["history"] == {
            "oldest": hex(history.oldest),
            "snapshots": [hex(height) for height in history.snapshots],
        }
        for height, expected in enumerate(known):
            if history.holds(height):
                assert answers(node, [height]) == expected
                continue
            for method, params in questions(height):
                error = node.error(method, *params)
                assert error["code"] == -32000
                assert error["data"]["code"] == "state.pruned"
                assert error["data"]["got"] == height
                assert error["data"]["expected"].endswith(f"{history.oldest} to {tip}")
                assert "archive node" in error["message"]
        # Blocks, transactions and receipts are there for ever.
        assert [
            int(node.call("eth_getBlockByNumber", hex(height), True)["number"], 16) for height in (0, 1)
        ] == [0, 1]
    report = check_ledger(tmp_path / "ledger")
    assert report.ok, report.findings

    with running_node(tmp_path, retention=ARCHIVE) as node:
        node.send(node.sign(SENDER, "0x" + TOKEN.hex(), mint(OWNER, 1).data))
        assert node.error("eth_getBalance", "0x" + OWNER.hex(), "0x0")["data"]["code"] == "state.pruned"
        assert node.call("eth_getBalance", "0x" + OWNER.hex(), hex(ledger.tip.height))
