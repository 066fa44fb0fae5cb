"""WebSocket: calls, subscriptions, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.helpers.rpc_node import OTHER, SENDER, RunningNode, address_of

MINT = bytes.fromhex("a0712d68") + bytes(31) + b"\x01"


class Client:
    """A WebSocket client that keeps answers and notifications apart."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._next = 0
        self.notifications: list[dict[str, Any]] = []

    def ask(self, method: str, *params: object) -> dict[str, Any]:
        self._next += 1
        body = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        self._connection.send(orjson.dumps(body).decode())
        while True:
            message: dict[str, Any] = orjson.loads(self._connection.recv(10))
            if message.get("id") == self._next:
                return message
            self._keep(message)

    def subscribe(self, *params: object) -> str:
        identity: str = self.ask("eth_subscribe", *params)["result"]
        return identity

    def collect(self, count: int) -> list[Any]:
        """Results of the first `count` notifications."""
        while len(self.notifications) < count:
            self._keep(orjson.loads(self._connection.recv(10)))
        return [one["result"] for one in self.notifications[:count]]

    def _keep(self, message: dict[str, Any]) -> None:
        assert message["method"] == "eth_subscription"
        self.notifications.append(message["params"])


@pytest.fixture
def client(node: RunningNode) -> Iterator[Client]:
    with connect(node.url.replace("http", "ws")) as connection:
        yield Client(connection)


def test_calls_and_batches_work_over_websocket(node: RunningNode, client: Client) -> None:
    assert int(client.ask("eth_chainId")["result"], 16) == node.chain_id
    batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in range(3)]
    client._connection.send(orjson.dumps(batch))
    assert [one["id"] for one in orjson.loads(client._connection.recv(5))] == [0, 1, 2]
    assert client.ask("nothing")["error"]["code"] == -32601


def test_new_heads_come_in_order_and_are_the_blocks(node: RunningNode, sample: str, client: Client) -> None:
    identity = client.subscribe("newHeads")
    for _ in range(3):
        node.send(node.sign(SENDER, sample, MINT))
    heads = client.collect(3)
    numbers = [int(head["number"], 16) for head in heads]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    for head in heads:
        block = node.call("eth_getBlockByNumber", head["number"], False)
        assert head == {name: block[name] for name in head}
        assert "transactions" not in head
    assert client.ask("eth_unsubscribe", identity)["result"] is True
    assert client.ask("eth_unsubscribe", identity)["result"] is False


def test_logs_are_pushed_to_those_who_asked_for_them(node: RunningNode, sample: str, client: Client) -> None:
    other = node.deploy()
    everything = client.subscribe("logs", {})
    of_one = client.subscribe("logs", {"address": other})
    receiver = "0x" + "00" * 12 + address_of(OTHER).hex()
    of_receiver = client.subscribe("logs", {"topics": [None, None, receiver]})
    first = node.send(node.sign(SENDER, sample, MINT))["logs"][0]
    second = node.send(node.sign(OTHER, other, MINT))["logs"][0]
    client.collect(4)
    pushed = [(one["subscription"], one["result"]) for one in client.notifications]
    assert [log for to, log in pushed if to == everything] == [first, second]
    assert [log for to, log in pushed if to == of_one] == [second]
    assert [log for to, log in pushed if to == of_receiver] == [second]


def test_pending_transactions_are_announced(node: RunningNode, sample: str, client: Client) -> None:
    client.subscribe("newPendingTransactions")
    receipt = node.send(node.sign(SENDER, sample, MINT))
    assert client.collect(1) == [receipt["transactionHash"]]


def test_what_cannot_be_subscribed_is_refused(node: RunningNode, client: Client) -> None:
    assert client.ask("eth_subscribe", "syncing")["error"]["code"] == -32602
    assert client.ask("eth_subscribe", "logs", {"fromBlock": "0x1"})["error"]["code"] == -32602
    assert client.ask("eth_subscribe", "newHeads", {})["error"]["code"] == -32602
    assert node.error("eth_subscribe", "newHeads")["data"]["code"] == "rpc.no_subscription"
    assert node.call("eth_unsubscribe", "0x1") is False
    one = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    client._connection.send(orjson.dumps([one, one]).decode())
    answers = orjson.loads(client._connection.recv(5))
    assert [answer["error"]["data"]["code"] for answer in answers] == ["rpc.no_subscription"] * 2


def test_a_closed_connection_leaves_no_subscription_behind(node: RunningNode, sample: str) -> None:
    hub = node.node._server._service.hub
    with connect(node.url.replace("http", "ws")) as connection:
        Client(connection).subscribe("newHeads")
        assert any(hub._subscriptions.values())
    node.send(node.sign(SENDER, sample, MINT))
    node.send(node.sign(SENDER, sample, MINT))
    assert not any(hub._subscriptions.values())


def test_one_connection_waits_for_receipts_while_it_asks_other_things(
    node: RunningNode, sample: str, client: Client
) -> None:
    raw = node.sign(SENDER, sample, MINT, nonce=1_000)
    body = {
        "jsonrpc": "2.0",
        "id": "slow",
        "method": "shelian_sendRawTransactionSync",
        "params": ["0x" + raw.hex(), 300],
    }
    client._connection.send(orjson.dumps(body).decode())
    assert "result" in client.ask("eth_blockNumber")
    late = orjson.loads(client._connection.recv(5))
    assert (late["id"], late["error"]["code"]) == ("slow", 4)
