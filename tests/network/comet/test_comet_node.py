"""A real node with a real CometBFT: it commits, restarts, and survives kill -9 of either."""

from __future__ import annotations

import base64
import random
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from network.comet.home import load_settings
from node.chain.commit import decode_commit, verify_commit
from node.chain.header import decode_header, header_hash
from node.chain.rules import CONSORTIUM, FIRST_RULES, peer_slot
from node.chain.transaction import Call
from node.chain.validators import Validator
from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.helpers.ledger import set_rules, set_validators, write_slots
from tests.network.comet.one_node import OneNode, Sender, until
from tests.network.comet.small_network import require_cometbft

pytestmark = [pytest.mark.cometbft, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def cometbft() -> None:
    require_cometbft()


@pytest.fixture
def node(tmp_path: Path):  # type: ignore[no-untyped-def]
    node = OneNode(tmp_path)
    yield node
    if node.process is not None and node.process.poll() is None:
        node.kill()


def require_whole(node: OneNode, *, tail: int) -> None:
    """After it was stopped: at most `tail` headers are still to come."""
    report = check_ledger(node.ledger, node.genesis)
    assert report.ok, report.findings
    assert report.headers_to_come <= tail
    assert report.headers == report.height - report.headers_to_come


def test_a_transaction_commits_and_its_proof_can_be_verified(node: OneNode) -> None:
    node.start()
    receipt = node.wait_for(node.send(node.transfer(0)))
    assert receipt["status"] == "0x1"
    transaction = receipt["transactionHash"]
    until(lambda: node.call("shelian_getTransactionProof", transaction).get("isComplete"), "no proof")
    proof = node.call("shelian_getTransactionProof", transaction)
    validators = [Validator(one.public_key, one.power) for one in node.genesis.validators]
    headers = []
    for signed in (proof["header"], proof["nextHeader"]):
        header = decode_header(bytes.fromhex(signed["encoded"][2:]))
        commit = decode_commit(bytes.fromhex(signed["commit"][2:]))
        assert commit.block_id.hash == header_hash(header)
        verify_commit(node.genesis.chain_name, validators, commit.block_id, header.height, commit)
        headers.append(header)
    assert headers[1].last_block_id.hash == header_hash(headers[0])
    until(lambda: node.call("shelian_health")["ok"], "it does not come up")
    status = node.call("shelian_status")
    assert (status["engine"], status["running"], status["failure"]) == ("cometbft", True, None)
    # The proof block came; then it is quiet until the heartbeat.
    height = node.height()
    time.sleep(1.0)
    assert node.height() == height
    node.stop()
    require_whole(node, tail=0)


def test_a_transaction_that_waits_for_one_before_it_commits_with_it(node: OneNode) -> None:
    node.start()
    until(node.height, "no first block")
    later = node.send(node.transfer(1))
    height = node.height()
    time.sleep(0.5)
    assert node.height() == height, "what cannot go into a block makes none"
    first = node.send(node.transfer(0))
    assert int(node.wait_for(first)["blockNumber"], 16) == int(node.wait_for(later)["blockNumber"], 16)
    node.stop()
    require_whole(node, tail=0)


def test_transactions_sent_to_cometbft_itself_go_the_same_way(node: OneNode) -> None:
    node.start()
    until(node.height, "no first block")
    address = load_settings(node.place).rpc_address
    for nonce in (2, 1, 0):
        body = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_sync"}
        with httpx.Client(base_url=f"http://{address}", timeout=10) as http:
            raw = base64.b64encode(node.transfer(nonce)).decode()
            answer = http.post("/", json=body | {"params": {"tx": raw}}).json()["result"]
        assert answer["code"] == (0 if nonce == 0 else 2)
        assert answer["log"] == ("" if nonce == 0 else "held back")
    until(lambda: node.call("shelian_status")["pool"]["ready"] == "0x0", "they do not commit")
    until(lambda: node.call("shelian_status")["pool"]["waiting"] == "0x0", "they do not commit")
    node.stop()
    with Ledger.open(node.ledger) as ledger, ledger.snapshot() as snapshot:
        assert sum(len(snapshot.transactions(height)) for height in range(ledger.tip.height + 1)) == 3
    require_whole(node, tail=0)


def test_a_node_that_was_stopped_goes_on_where_it_was(node: OneNode) -> None:
    for nonce in range(3):
        node.start()
        node.wait_for(node.send(node.transfer(nonce)))
        node.stop()
    require_whole(node, tail=3)
    node.start()
    until(lambda: node.call("shelian_health")["ok"], "it does not come up")
    until(lambda: "code" not in node.call("shelian_getHeader", "latest"), "the headers do not come")
    node.stop()
    require_whole(node, tail=0)


def test_rules_and_validators_change_in_a_running_chain(node: OneNode) -> None:
    """CometBFT accepts the updates and goes on; the headers have them when the specification says."""
    node.start()
    until(node.height, "no first block")
    own = node.genesis.validators[0].public_key
    stronger = set_validators(2, [Validator(own, 12)])
    at = int(node.wait_for(node.send(node.transaction(0, stronger)))["blockNumber"], 16)
    activation = at + 6
    rules = replace(FIRST_RULES, version=2, activation_height=activation, byte_gas=17)
    node.wait_for(node.send(node.transaction(1, set_rules(rules))))
    nonce = 2
    while node.height() < activation + 2:
        node.wait_for(node.send(node.transfer(nonce)))
        nonce += 1
    until(lambda: node.call("shelian_health")["ok"], "it does not come up")
    node.stop()
    node.start()
    node.wait_for(node.send(node.transfer(nonce)))
    until(lambda: "code" not in node.call("shelian_getHeader", "latest"), "the headers do not come")
    node.stop()
    with Ledger.open(node.ledger) as ledger, ledger.snapshot() as snapshot:
        assert ledger.rules.version == 2
        headers = {
            height: decode_header(snapshot.header(height) or b"")
            for height in range(1, ledger.tip.height + 1)
        }
        assert [one.power for one in snapshot.validators(at + 1)] == [10]
        assert [one.power for one in snapshot.validators(at + 2)] == [12]
    assert headers[at + 1].validators_hash != headers[at + 2].validators_hash
    assert all(one.app_version == (2 if height >= activation else 1) for height, one in headers.items())
    require_whole(node, tail=0)


def test_a_node_may_connect_while_the_contract_says_so_and_is_cut_off_after(
    node: OneNode, tmp_path: Path
) -> None:
    """It follows as a member; struck off, it loses the connection it has, and gets none again."""
    node.start()
    until(node.height, "no first block")
    other = OneNode(tmp_path / "other", node.genesis, " other", bootstrap=(node.address,))
    slot = peer_slot(bytes.fromhex(other.id))

    def set_peer(nonce: int, organisation: int) -> None:
        call = Call(CONSORTIUM, write_slots([(slot, organisation)]))
        assert node.wait_for(node.send(node.transaction(nonce, call)))["status"] == "0x1"

    other.start()
    try:
        until(lambda: "comet.peer_refused" in node.log.read_text(), "it did not even knock")
        assert node.peers() == 0, "a stranger"
        set_peer(0, 1)
        until(lambda: node.peers() == 1 and other.peers() == 1, f"no connection; {other.last_words()}")
        until(lambda: other.height() >= node.height(), "it does not follow")
        received = node.wait_for(other.send(other.transfer(1)))
        assert received["status"] == "0x1", "what is sent to it reaches the validator"
        before = node.comet_pids()
        set_peer(2, 0)
        until(lambda: node.comet_pids() not in ([], before), "it is not cut off")
        until(lambda: node.call("shelian_health")["ok"], "it does not come up again")
        time.sleep(2.0)
        assert node.peers() == 0
        after = node.comet_pids()
        node.wait_for(node.send(node.transfer(3)))
        assert node.comet_pids() == after, "one restart was enough"
    finally:
        other.kill()
    node.stop()
    require_whole(node, tail=0)


def test_cometbft_killed_alone_is_started_again_and_nothing_is_lost(node: OneNode) -> None:
    node.start()
    sender = Sender(node)
    for seen in (2, 5, 8):
        until(lambda seen=seen: len(sender.acknowledged) >= seen, f"no receipts; {node.last_words()}")
        before = node.comet_pids()
        node.kill_comet()
        until(lambda before=before: node.comet_pids() not in ([], before), "it is not started again")
    until(lambda: len(sender.acknowledged) >= 11, f"no receipts any more; {node.last_words()}")
    sender.end()
    assert node.process is not None
    assert node.process.poll() is None, "the node itself lived on"
    until(lambda: "code" not in node.call("shelian_getHeader", "latest"), "the headers do not come")
    node.stop()
    require_nothing_lost(node, sender)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_minus_nine_of_both_at_random_moments(node: OneNode, seed: int) -> None:
    kill_at_random(node, seed, 4)


@pytest.mark.long
def test_many_kills_of_both_at_random_moments(node: OneNode) -> None:
    kill_at_random(node, 3, 30)


def kill_at_random(node: OneNode, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    node.start()
    sender = Sender(node)
    for _ in range(rounds):
        seen = len(sender.acknowledged)
        until(lambda seen=seen: len(sender.acknowledged) > seen, f"no receipts; {node.last_words()}")
        time.sleep(rng.uniform(0, 0.3))
        if rng.random() < 0.3:
            node.kill_comet()
            time.sleep(rng.uniform(0, 0.05))
        node.kill()
        node.start()
    sender.end()
    until(lambda: node.call("shelian_health")["ok"], f"it does not come up; {node.last_words()}")
    until(lambda: "code" not in node.call("shelian_getHeader", "latest"), "the headers do not come")
    node.stop()
    require_nothing_lost(node, sender)


def require_nothing_lost(node: OneNode, sender: Sender) -> None:
    with Ledger.open(node.ledger) as ledger, ledger.snapshot() as snapshot:
        lost = [one for one in sender.acknowledged if snapshot.locate(bytes.fromhex(one[2:])) is None]
    assert not lost
    require_whole(node, tail=0)
