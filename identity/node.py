"""A node over JSON-RPC, as far as identity needs one: chain id, nonces, calls, submit and wait.

Blocking; amounts of time are seconds. Safe to use from several threads.
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import httpx

from identity.errors import NodeError
from node.chain.transaction import Call

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction: `ok` is its status, `block` the height that holds it."""

    transaction: bytes
    block: int
    ok: bool
    gas_used: int


class NodeClient:
    """The JSON-RPC endpoint of one node. `token` goes into the Authorization header."""

    def __init__(self, url: str, *, token: str = "", timeout: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(timeout=timeout, headers=headers, trust_env=False)
        self._url = url
        self._ids = itertools.count(1)

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, *params: object) -> Any:
        """The result of one call.

        Raises NodeError `node.unreachable`, `node.bad_answer`, `node.reverted` (`got` is the revert data),
        the code of the node's own refusal, or `node.rpc_error`.
        """
        envelope = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        try:
            answer = self._http.post(self._url, json=envelope).json()
        except (httpx.HTTPError, ValueError) as error:
            raise NodeError("node.unreachable", f"the node does not answer: {error}", got=self._url) from None
        if not isinstance(answer, dict):
            raise NodeError("node.bad_answer", "not a JSON-RPC answer", got=type(answer).__name__)
        if "error" in answer:
            raise _refusal(answer["error"])
        return answer.get("result")

    def chain_id(self) -> int:
        return _quantity(self.request("eth_chainId"))

    def nonce(self, address: bytes) -> int:
        """The next nonce of an account, counting what waits in the pool."""
        return _quantity(self.request("eth_getTransactionCount", _hex(address), "pending"))

    def call(self, call: Call, sender: bytes | None = None) -> bytes:
        """The return data of a call on the newest state. Raises NodeError `node.reverted`."""
        message = {"to": _hex(call.to), "data": _hex(call.data)}
        if sender is not None:
            message["from"] = _hex(sender)
        return bytes.fromhex(self.request("eth_call", message, "latest")[2:])

    def submit(self, raw: bytes, *, wait: float = 30.0) -> Receipt:
        """Hand a signed transaction to the pool and wait until it is in a block.

        Raises NodeError with the node's refusal, or `node.not_included` after `wait` seconds.
        """
        transaction = bytes.fromhex(self.request("eth_sendRawTransaction", _hex(raw))[2:])
        deadline, pause = time.monotonic() + wait, _FIRST_PAUSE
        while True:
            answer = self.request("eth_getTransactionReceipt", _hex(transaction))
            if answer is not None:
                return Receipt(
                    transaction,
                    _quantity(answer["blockNumber"]),
                    _quantity(answer["status"]) == 1,
                    _quantity(answer["gasUsed"]),
                )
            if time.monotonic() >= deadline:
                raise NodeError("node.not_included", "not in a block in time", got=wait, expected=transaction)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _refusal(error: Any) -> NodeError:
    if not isinstance(error, dict):
        return NodeError("node.bad_answer", "not a JSON-RPC error", got=type(error).__name__)
    message, data = str(error.get("message")), error.get("data")
    if isinstance(data, dict) and "code" in data:
        return NodeError(str(data["code"]), message, got=data.get("got"), expected=data.get("expected"))
    if error.get("code") == 3:
        return NodeError("node.reverted", message, got=data)
    return NodeError("node.rpc_error", message, got=error.get("code"))


def _quantity(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        raise NodeError("node.bad_answer", "not a number", got=str(value)) from None


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
