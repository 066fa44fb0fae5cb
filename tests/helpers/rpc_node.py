"""A real node for tests of JSON-RPC: a ledger on disk, the embedded engine, an RPC server on a free port.

Genesis is the small one of `tests.helpers.ledger`, of now, so these tests need no Solidity build.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvloop
from eth_account import Account
from eth_account.signers.local import LocalAccount
from nacl.signing import SigningKey

from network.embedded import Pace, ValidatorKey
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.chain.genesis import Genesis, build_genesis
from node.chain.rules import DOMAIN_SERVICE
from node.chain.signing import ED25519, SECP256K1
from node.chain.transaction import Call, build_imi
from node.ledger import Ledger
from node.ledger.retention import ARCHIVE, Retention
from node.rpc.config import Limits, RpcConfig
from tests.helpers.ledger import SECOND_NS, SERVICE, make_genesis, person, validator_key

SAMPLE = json.loads((Path(__file__).parents[1] / "clients" / "sample.json").read_text())
SAMPLE_CODE = bytes.fromhex(SAMPLE["bytecode"][2:])


def ethereum_key(seed: str) -> LocalAccount:
    """The key of `person(seed, SECP256K1)`, for signing with public tools."""
    account: LocalAccount = Account.from_key(hashlib.sha256(seed.encode()).digest())
    return account


DEPLOYER, SENDER, OTHER, STRANGER = map(ethereum_key, ("deployer", "sender", "other", "stranger"))
PERSON = person("imi person", ED25519, DOMAIN_SERVICE, SERVICE)


def address_of(account: LocalAccount) -> bytes:
    return bytes.fromhex(account.address[2:])


def genesis_of_now() -> Genesis:
    """Everybody above but the stranger may send and deploy."""
    people = [person(seed, SECP256K1, DOMAIN_SERVICE, SERVICE) for seed in ("deployer", "sender", "other")]
    genesis = make_genesis([*people, PERSON])
    document = json.loads(genesis.canonical)
    document["genesis_time_ns"] = time.time_ns() - 10 * SECOND_NS
    return build_genesis(document)


class RunningNode:
    """A node whose server runs in a thread with an event loop of its own."""

    def __init__(
        self,
        path: Path,
        config: RpcConfig,
        *,
        pace: Pace,
        makes_blocks: bool = True,
        retention: Retention = ARCHIVE,
        signing_key: SigningKey | None = None,
        operations: RpcConfig | None = None,
    ) -> None:
        """`signing_key`: of the one validator, where the ledger is not the helpers' own."""
        if not path.exists():
            Ledger.create(path, genesis_of_now()).close()
        signer = signing_key or validator_key()
        key = ValidatorKey(bytes(signer.verify_key), lambda message: signer.sign(message).signature)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rpc-loop", daemon=True)
        self._thread.start()
        self.node = Node(
            NodeConfig(path, EmbeddedConfig(key, pace), config, retention=retention, operations=operations)
        )
        # A node whose engine rests: what is sent to it stays in the pool.
        self._run(self.node.start() if makes_blocks else self.node._server.start())
        self.url = self.node.url
        self.port = int(self.url.rpartition(":")[2])
        self.genesis = self.node.genesis
        self.chain_id = self.genesis.evm_chain_id
        self._http = httpx.Client(base_url=self.url, headers={"content-type": "application/json"}, timeout=30)
        self._nonces: dict[bytes, int] = {}

    def close(self) -> None:
        self._http.close()
        self._run(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    # ---- speaking to it

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        return self._http.post("/", content=body, headers=headers)

    def ask(self, method: str, *params: object) -> dict[str, Any]:
        """The whole answer."""
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer: dict[str, Any] = orjson.loads(self.post(body).content)
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == 1
        return answer

    def call(self, method: str, *params: object) -> Any:
        """The result; fails the test on an error."""
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, method: str, *params: object) -> dict[str, Any]:
        """The error; fails the test on a result."""
        answer = self.ask(method, *params)
        assert "result" not in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    # ---- transactions

    def next_nonce(self, address: bytes) -> int:
        nonce = self._nonces.get(address)
        if nonce is None:
            nonce = int(self.call("eth_getTransactionCount", "0x" + address.hex(), "pending"), 16)
        self._nonces[address] = nonce + 1
        return nonce

    def sign(
        self, key: LocalAccount, to: str | None, data: bytes, *, gas: int = 500_000, **fields: Any
    ) -> bytes:
        """A type 2 transaction."""
        unsigned = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": fields.pop("nonce", None),
            "to": None if to is None else bytes.fromhex(to[2:]),
            "value": 0,
            "gas": gas,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "data": data,
        } | fields
        if unsigned["nonce"] is None:
            unsigned["nonce"] = self.next_nonce(address_of(key))
        if to is None:
            del unsigned["to"]
        return bytes(key.sign_transaction(unsigned).raw_transaction)

    def sign_imi(self, calls: Iterable[tuple[str, bytes]], *, gas: int = 1_000_000) -> bytes:
        """A 0x49 transaction of PERSON."""
        unsigned = build_imi(
            chain_id=self.chain_id,
            nonce=self.next_nonce(PERSON.address),
            valid_until=int(time.time()) + 3_600,
            gas_limit=gas,
            calls=tuple(Call(bytes.fromhex(to[2:]), data) for to, data in calls),
            scheme=PERSON.scheme,
            public_key=PERSON.public_key,
        )
        return unsigned.with_signature(PERSON.sign(unsigned.signing_hash)).raw

    def send(self, raw: bytes) -> dict[str, Any]:
        """Submit and wait: the receipt."""
        receipt: dict[str, Any] = self.call("shelian_sendRawTransactionSync", "0x" + raw.hex())
        return receipt

    def deploy(self) -> str:
        """The address of a new Sample, made by DEPLOYER."""
        receipt = self.send(self.sign(DEPLOYER, None, SAMPLE_CODE, gas=2_000_000))
        assert receipt["status"] == "0x1"
        address: str = receipt["contractAddress"]
        return address


FAST = Pace(heartbeat_s=60.0, proof_delay_s=0.02)


@contextlib.contextmanager
def running_node(
    path: Path,
    *,
    limits: Limits | None = None,
    pace: Pace = FAST,
    makes_blocks: bool = True,
    retention: Retention = ARCHIVE,
    signing_key: SigningKey | None = None,
    operations: RpcConfig | None = None,
    **config: Any,
) -> Iterator[RunningNode]:
    """A node on a free port, stopped at the end. It takes up the ledger that is there, if there is one."""
    settings = RpcConfig(port=0, limits=limits or Limits(), **config)
    node = RunningNode(
        path / "ledger",
        settings,
        pace=pace,
        makes_blocks=makes_blocks,
        retention=retention,
        signing_key=signing_key,
        operations=operations,
    )
    try:
        yield node
    finally:
        node.close()
