"""JSON-RPC client of a node for the apps: typed calls, errors with codes, and a service account whose
nonces are handed out one at a time.

Blocking (httpx); pages call it from worker threads. Amounts of time are seconds. Addresses and hashes are
bytes inside, hex on the wire.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount

from node.chain.errors import ShelianError
from node.chain.transaction import Call


class NodeError(ShelianError):
    """The node could not be asked, or answered with a JSON-RPC error. For a refused transaction `code` is
    the node's own code; for a revert it is `node.reverted` and `data` holds the revert bytes."""

    def __init__(
        self, code: str, message: str, got: object = None, expected: object = None, data: bytes = b""
    ) -> None:
        super().__init__(code, message, got, expected)
        self.data = data


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain holds it. `index` is the log's place in its block, so (block, index) orders
    all logs."""

    block: int
    index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    transaction: bytes
    time: int  # seconds of the block header


@dataclass(frozen=True, slots=True)
class Receipt:
    transaction: bytes
    block: int
    ok: bool
    gas_used: int
    logs: tuple[Log, ...]


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


class NodeClient:
    """A node's JSON-RPC endpoint. Safe to use from several threads."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(timeout=timeout_s, headers=headers, trust_env=False)
        self._url = url
        self._ids = itertools.count(1)
        self._times: dict[int, int] = {}

    def close(self) -> None:
        self._http.close()

    @property
    def url(self) -> str:
        return self._url

    def request(self, method: str, *params: object) -> Any:
        """One call. NodeError on a JSON-RPC error or when the node cannot be reached (`node.unreachable`)."""
        return self._result(self._post(self._envelope(method, params)))

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any | NodeError]:
        """Several calls in one request; each place holds its result or its error."""
        if not calls:
            return []
        envelopes = [self._envelope(method, params) for method, params in calls]
        answers = self._post(envelopes)
        if not isinstance(answers, list):
            self._result(answers)
            raise NodeError("node.bad_answer", "a batch was answered with a single object", got=answers)
        by_id = {answer["id"]: answer for answer in answers}
        results: list[Any | NodeError] = []
        for envelope in envelopes:
            try:
                results.append(self._result(by_id[envelope["id"]]))
            except NodeError as error:
                results.append(error)
        return results

    def chain_id(self) -> int:
        return int(self.request("eth_chainId"), 16)

    def block_number(self) -> int:
        return int(self.request("eth_blockNumber"), 16)

    def block_time(self, number: int) -> int:
        """Header time of a block in seconds. Blocks are final, so the answer is kept."""
        if number not in self._times:
            block = self.request("eth_getBlockByNumber", hex(number), False)
            if block is None:
                raise NodeError("node.block_unknown", "the node does not hold this block", got=number)
            if len(self._times) > 4096:
                self._times.clear()
            self._times[number] = int(block["timestamp"], 16)
        return self._times[number]

    def nonce(self, address: bytes) -> int:
        """The next nonce of an account, counting what waits in the pool."""
        return int(self.request("eth_getTransactionCount", _hex(address), "pending"), 16)

    def call(self, call: Call, sender: bytes | None = None, block: int | None = None) -> bytes:
        """`eth_call`. NodeError `node.reverted` with the revert bytes in `data`."""
        where = hex(block) if block is not None else "latest"
        return _bytes(self.request("eth_call", self._message(call, sender), where))

    def preflight(self, calls: Sequence[Call], sender: bytes) -> list[NodeError | None]:
        """Each call tried alone at the tip; None where it would succeed."""
        answers = self.batch([("eth_call", (self._message(call, sender), "latest")) for call in calls])
        return [answer if isinstance(answer, NodeError) else None for answer in answers]

    def estimate_gas(self, call: Call, sender: bytes) -> int:
        return int(self.request("eth_estimateGas", self._message(call, sender)), 16)

    def send_raw(self, raw: bytes) -> bytes:
        """Hand a signed transaction to the pool; its hash. NodeError carries the node's refusal code."""
        return _bytes(self.request("eth_sendRawTransaction", _hex(raw)))

    def receipt(self, transaction: bytes) -> Receipt | None:
        answer = self.request("eth_getTransactionReceipt", _hex(transaction))
        if answer is None:
            return None
        block = int(answer["blockNumber"], 16)
        logs = tuple(self._log(entry) for entry in answer["logs"])
        return Receipt(transaction, block, int(answer["status"], 16) == 1, int(answer["gasUsed"], 16), logs)

    def wait(self, transaction: bytes, timeout_s: float = 30.0) -> Receipt:
        """Wait until a transaction is in a block. NodeError `node.not_included` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        pause = 0.02
        while True:
            receipt = self.receipt(transaction)
            if receipt is not None:
                return receipt
            if time.monotonic() >= deadline:
                raise NodeError(
                    "node.not_included", "not in a block in time", got=timeout_s, expected=_hex(transaction)
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def logs(self, addresses: Sequence[bytes], first: int, last: int) -> Iterator[tuple[int, list[Log]]]:
        """The logs of `addresses` in blocks first..last, in order. Yields one list per answered range; a
        range that holds more than the node gives at once is halved until it fits."""
        while first <= last:
            until = last
            while True:
                query = {
                    "address": [_hex(address) for address in addresses],
                    "fromBlock": hex(first),
                    "toBlock": hex(until),
                }
                try:
                    answer = self.request("eth_getLogs", query)
                    break
                except NodeError as error:
                    if error.code == "node.unreachable" or until == first:
                        raise
                    until = first + (until - first) // 2
            logs = sorted((self._log(entry) for entry in answer), key=lambda log: (log.block, log.index))
            yield until, logs
            first = until + 1

    def _log(self, entry: Mapping[str, Any]) -> Log:
        block = int(entry["blockNumber"], 16)
        stamp = entry.get("blockTimestamp")
        return Log(
            block,
            int(entry["logIndex"], 16),
            _bytes(entry["address"]),
            tuple(_bytes(topic) for topic in entry["topics"]),
            _bytes(entry["data"]),
            _bytes(entry["transactionHash"]),
            int(stamp, 16) if stamp is not None else self.block_time(block),
        )

    @staticmethod
    def _message(call: Call, sender: bytes | None) -> dict[str, str]:
        message = {"to": _hex(call.to), "data": _hex(call.data)}
        return {**message, "from": _hex(sender)} if sender is not None else message

    def _envelope(self, method: str, params: Sequence[object]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _post(self, body: object) -> Any:
        try:
            response = self._http.post(self._url, json=body)
            return response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NodeError(
                "node.unreachable", f"the node does not answer: {error}", got=self._url
            ) from error

    @staticmethod
    def _result(answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise NodeError("node.bad_answer", "not a JSON-RPC answer", got=answer)
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        data = error.get("data")
        if isinstance(data, dict) and "code" in data:
            raise NodeError(
                str(data["code"]), str(error.get("message")), data.get("got"), data.get("expected")
            )
        if error.get("code") == 3:
            revert = _bytes(data) if isinstance(data, str) else b""
            raise NodeError("node.reverted", str(error.get("message")), data=revert)
        raise NodeError("node.rpc_error", str(error.get("message")), got=error.get("code"))


class ServiceAccount:
    """The process's own secp256k1 account: signs type-2 transactions with no fee. One at a time, so nonces
    never collide."""

    def __init__(self, client: NodeClient, private_key: bytes) -> None:
        self._client = client
        self._account: LocalAccount = Account.from_key(private_key)
        self._lock = threading.Lock()
        self._chain_id: int | None = None

    @property
    def address(self) -> bytes:
        return _bytes(self._account.address)

    def send(self, call: Call, gas: int | None = None) -> Receipt:
        """Sign, submit, and wait for the receipt. NodeError if refused or reverted (`node.reverted`)."""
        (outcome,) = self.send_all([call], gas)
        if isinstance(outcome, NodeError):
            raise outcome
        return outcome

    def send_all(self, calls: Sequence[Call], gas: int | None = None) -> list[Receipt | NodeError]:
        """One transaction for each call, submitted one after the other and then waited for together; each
        place holds its receipt or why there is none. A call that would revert now is not sent. Without
        `gas` each is estimated."""
        outcomes: list[Receipt | NodeError] = []
        with self._lock:
            refused = self._client.preflight(calls, self.address)
            nonce = self._client.nonce(self.address)
            sent: list[bytes | NodeError] = []
            for call, error in zip(calls, refused, strict=True):
                try:
                    if error is not None:
                        raise error
                    sent.append(self._client.send_raw(self._sign(call, nonce, gas)))
                    nonce += 1
                except NodeError as refusal:
                    sent.append(refusal)
            for one in sent:
                outcomes.append(one if isinstance(one, NodeError) else self._outcome(one))
        return outcomes

    def _outcome(self, transaction: bytes) -> Receipt | NodeError:
        try:
            receipt = self._client.wait(transaction)
        except NodeError as error:
            return error
        if receipt.ok:
            return receipt
        return NodeError("node.reverted", "the transaction failed in its block", got=_hex(transaction))

    def _sign(self, call: Call, nonce: int, gas: int | None) -> bytes:
        if self._chain_id is None:
            self._chain_id = self._client.chain_id()
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "maxFeePerGas": 0,
                "maxPriorityFeePerGas": 0,
                "gas": gas or self._client.estimate_gas(call, self.address) * 5 // 4,
                "to": call.to,
                "value": 0,
                "data": call.data,
            }
        )
        return bytes(signed.raw_transaction)
