"""Four real nodes with four real CometBFT processes: they agree, go on without one, and wake from idling."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from network.comet.client import CometClient
from node.chain.commit import FLAG_COMMIT
from node.ledger.check import check_ledger
from tests.network.comet.four_nodes import Network, Node, running_network
from tests.network.comet.small_network import public_key, registrar, require_cometbft, seed
from tests.network.comet.test_comet_process import is_gone

pytestmark = [pytest.mark.cometbft, pytest.mark.slow, pytest.mark.xdist_group("four-nodes")]

HEARTBEAT_S = 15


def same_blocks(nodes: Sequence[Node], height: int) -> None:
    """Block hash and state root of a height are the same everywhere."""
    blocks = [node.block(height) for node in nodes]
    assert len({(block["hash"], block["stateRoot"]) for block in blocks}) == 1, blocks


def seen_by_all(network: Network, receipt: dict[str, str]) -> int:
    """Wait until every running node has the receipt's block; its height."""
    height = int(receipt["blockNumber"], 16)
    network.wait_height(height)
    same_blocks(network.running, height)
    return height


async def signers(node: Node) -> list[bytes]:
    """The keys in the commit of the last block but one, which the last block holds."""
    async with CometClient(node.home.settings.rpc_address) as client:
        height = (await client.status()).height - 1
        _, commit, is_canonical = await client.commit(height)
        assert is_canonical
        keys = {one.address: one.public_key for one in await client.validators(height)}
    return sorted(keys[one.validator_address] for one in commit.signatures if one.flag == FLAG_COMMIT)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    require_cometbft()
    path = tmp_path_factory.mktemp("network")
    with running_network(path, 4, heartbeat_ms=HEARTBEAT_S * 1_000) as running:
        yield running
    for node in running.nodes:
        check_ledger(node.layout.ledger)


def test_four_nodes_make_blocks_and_agree(network: Network) -> None:
    for number, node in enumerate(network.nodes, 1):
        receipt = node.send(network.transaction(number))
        assert receipt["status"] == "0x1"
        seen_by_all(network, receipt)
        for other in network.nodes:
            network.wait(
                lambda one, number=number: one.nonce(registrar(number, 1).address) == 1,  # type: ignore[misc]
                "the sender's nonce",
                [other],
            )


def test_the_first_blocks_are_one_chain(network: Network) -> None:
    height = min(node.height for node in network.nodes)
    for number in range(1, height + 1):
        same_blocks(network.nodes, number)
    hashes = [network.nodes[0].block(number)["hash"] for number in range(1, height + 1)]
    parents = [network.nodes[0].block(number)["parentHash"] for number in range(2, height + 1)]
    assert parents == hashes[:-1]


def test_many_transactions_of_one_sender_keep_their_order_on_the_way(network: Network) -> None:
    before = network.nodes[2].nonce(registrar(2, 1).address)
    raws = [network.transaction(2) for _ in range(60)]
    # Each goes to another node; those that come before their turn are held back there.
    for place, raw in enumerate(raws):
        network.nodes[place % 4].submit(raw)
    network.wait(lambda node: node.nonce(registrar(2, 1).address) == before + len(raws), "all sixty")


def test_three_go_on_without_the_fourth_which_catches_up(network: Network) -> None:
    absent = network.nodes[3]
    absent.stop()
    for _ in range(4):
        receipt = network.nodes[0].send(network.transaction(1))
        height = seen_by_all(network, receipt)
    absent.start()
    took = network.wait_height(height, [absent])
    same_blocks(network.nodes, height)
    print(f"a stopped node is back after {took:.1f} s")
    seen_by_all(network, absent.send(network.transaction(4)))


def test_a_killed_node_comes_back_and_its_cometbft_never_outlives_it(network: Network) -> None:
    victim = network.nodes[1]
    receipt = victim.send(network.transaction(1))
    children = victim.comet_pids
    assert children
    victim.kill()
    deadline = time.monotonic() + 5
    while not all(is_gone(pid) for pid in children):
        assert time.monotonic() < deadline, "CometBFT lives on"
        time.sleep(0.02)
    height = seen_by_all(network, network.nodes[0].send(network.transaction(1)))
    victim.start()
    took = network.wait_height(height, [victim])
    print(f"a killed node is back after {took:.1f} s")
    assert victim.block(int(receipt["blockNumber"], 16))["hash"] == receipt["blockHash"]
    seen_by_all(network, victim.send(network.transaction(2)))


def test_a_killed_cometbft_is_started_again_by_its_node(network: Network) -> None:
    node = network.nodes[2]
    (pid,) = node.comet_pids
    os.kill(pid, signal.SIGKILL)
    network.wait(lambda one: one.comet_pids not in ([], [pid]), "another CometBFT", [node])
    seen_by_all(network, network.nodes[0].send(network.transaction(1)))
    assert node.is_running


def test_every_validator_signs(network: Network) -> None:
    """After all that, commits hold four signatures again."""
    expected = sorted(public_key(seed(f"validator {number}")) for number in range(1, 5))

    def everybody_signed(node: Node) -> bool:
        network.nodes[0].send(network.transaction(1))
        return asyncio.run(signers(node)) == expected

    network.wait(everybody_signed, "four signatures", network.nodes[:1])


def test_after_idling_a_transaction_commits_at_once(network: Network) -> None:
    """The first act of this network: empty blocks come only as heartbeats, and yet nobody sleeps."""
    idle_then_commit(network, idle_s=3 * HEARTBEAT_S, heartbeat_s=HEARTBEAT_S)


@pytest.mark.long
def test_after_five_idle_minutes_a_transaction_commits_at_once(tmp_path: Path) -> None:
    require_cometbft()
    with running_network(tmp_path, 4) as network:
        idle_then_commit(network, idle_s=300, heartbeat_s=60)


def idle_then_commit(network: Network, idle_s: float, heartbeat_s: float) -> None:
    time.sleep(2)  # proof blocks of what came before
    before = network.nodes[0].height
    time.sleep(idle_s)
    now = network.nodes[0].height
    blocks = now - before
    assert idle_s / heartbeat_s - 2 <= blocks <= idle_s / heartbeat_s + 1, f"{blocks} blocks in {idle_s} s"
    # Just after a heartbeat, so that the next one is far away.
    network.wait_height(now + 1, network.nodes[:1])
    time.sleep(1)
    began = time.monotonic()
    receipt = network.nodes[3].send(network.transaction(4))
    seen_by_all(network, receipt)
    took = time.monotonic() - began
    assert took < heartbeat_s * 0.6, f"it took {took:.1f} s"
    print(f"after {idle_s:.0f} idle seconds and {blocks} heartbeats: {1000 * took:.0f} ms")
