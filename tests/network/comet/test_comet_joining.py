"""A real node joins a real network by state sync: snapshots found by gossip, applied over ABCI."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from cli.layout import Layout
from network.comet.home import CometPlace, StateSync, node_id
from node.chain.genesis import encode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.network.comet.four_nodes import Node, make_network
from tests.network.comet.small_network import Home, free_ports, public_key, require_cometbft, seed

pytestmark = [pytest.mark.cometbft, pytest.mark.slow]
JOINER = 3


@pytest.fixture(scope="module", autouse=True)
def cometbft() -> None:
    require_cometbft()


def test_a_node_joins_by_a_snapshot_and_follows(tmp_path: Path) -> None:
    network = make_network(tmp_path, 2, options=("--snapshot-every", "10"))
    joiner_id = node_id(public_key(seed(f"node {JOINER}")))
    p2p, rpc, metrics, port = free_ports(4)
    for node in network.nodes:  # it stands on their lists
        bootstrap = (*node.home.settings.bootstrap, f"{joiner_id}@127.0.0.1:{p2p}")
        node.home = replace(node.home, settings=replace(node.home.settings, bootstrap=bootstrap))
        node.home.write()
    layout = Layout(tmp_path / "joiner")
    layout.node.mkdir(parents=True)
    layout.genesis.write_bytes(encode_genesis(network.genesis))
    Ledger.create(layout.ledger, network.genesis).close()
    joiner: Node | None = None
    try:
        network.start()
        network.wait_height(1)
        shelves = [node.layout.node / "snapshots" for node in network.nodes]
        while network.nodes[0].height < 23 or not all(any(shelf.glob("*0")) for shelf in shelves):
            network.nodes[0].send(network.transaction(1))
        trusted = network.nodes[1].call("shelian_getHeader", "0x5")
        first = network.nodes[0].home.settings
        settings = replace(
            first,
            p2p_address=f"127.0.0.1:{p2p}",
            rpc_address=f"127.0.0.1:{rpc}",
            metrics_address=f"127.0.0.1:{metrics}",
            name="joiner",
            state_sync=StateSync(
                tuple(f"http://{node.home.settings.rpc_address}" for node in network.nodes),
                5,
                bytes.fromhex(trusted["hash"][2:]),
            ),
        )
        home = Home(JOINER, CometPlace(layout.comet), settings, network.genesis)
        home.write()
        joiner = Node(JOINER, layout, home, port)
        joiner.start()
        began = time.monotonic()
        target = network.nodes[0].height
        network.wait_height(target, [joiner])
        took = time.monotonic() - began
        assert int(joiner.call("shelian_status")["firstBlock"], 16) > 10, "it executed every block instead"
        receipt = network.nodes[0].send(network.transaction(2))
        network.wait_height(int(receipt["blockNumber"], 16), [joiner])
        assert joiner.call("eth_getTransactionReceipt", receipt["transactionHash"])["status"] == "0x1"
        answer = joiner.send(network.transaction(2))
        assert answer["status"] == "0x1", "what is sent to it reaches the validators"
        height = int(answer["blockNumber"], 16)
        network.wait_height(height)  # it may have the block before they do
        assert joiner.block(height)["stateRoot"] == network.nodes[0].block(height)["stateRoot"]
        network.wait(lambda node: "error" not in node.ask("shelian_getHeader", "latest"), "headers", [joiner])
        joiner.stop()
        report = check_ledger(layout.ledger, network.genesis)
        assert report.ok, report.findings
        assert report.base >= 10
        assert took < 60
    finally:
        if joiner is not None:
            print(joiner.log[-6_000:])
            joiner.kill()
            joiner.close()
        network.close()
