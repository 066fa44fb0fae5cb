"""ERC-20 transfers, signed ahead: the workload every chain's figures are made with."""

from __future__ import annotations

import json
from pathlib import Path

import coincurve

from bench.load import Client
from node.chain.encoding import keccak256
from node.chain.transaction import build_ethereum

_TOKEN = json.loads((Path(__file__).parent / "contracts" / "Token.json").read_text())
_TRANSFER = keccak256(b"transfer(address,uint256)")[:4]
_FUNDS = 10**24
DEPLOY_GAS = 3_000_000
TRANSFER_GAS = 60_000


class Account:
    """A secp256k1 account that counts its own nonce."""

    def __init__(self, secret: bytes, nonce: int = 0) -> None:
        self._key = coincurve.PrivateKey(secret)
        self.address = keccak256(self._key.public_key.format(compressed=False)[1:])[12:]
        self.nonce = nonce

    def sign(self, chain_id: int, to: bytes, data: bytes, gas: int, tip: int, fee: int) -> bytes:
        """A type-2 transaction, raw."""
        unsigned = build_ethereum(
            type=2,
            chain_id=chain_id,
            nonce=self.nonce,
            max_priority_fee=tip,
            max_fee=fee,
            gas_limit=gas,
            to=to or None,
            value=0,
            data=data,
        )
        self.nonce += 1
        signature = self._key.sign_recoverable(unsigned.signing_hash, hasher=None)
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        return unsigned.with_signature(signature[64], r, s).raw


async def prepare_transfers(client: Client, root: Account, senders: list[Account], count: int) -> list[bytes]:
    """Deploy the token, fund the senders, sign `count` transfers to fresh addresses, round robin."""
    chain_id = int(await client.call("eth_chainId"), 16)
    fee = 2 * int(await client.call("eth_gasPrice"), 16)
    tip = int(await client.call("eth_maxPriorityFeePerGas"), 16)
    for account in (root, *senders):
        account.nonce = int(
            await client.call("eth_getTransactionCount", "0x" + account.address.hex(), "pending"), 16
        )

    async def submit(raw: bytes) -> str:
        answer: str = await client.call("eth_sendRawTransaction", "0x" + raw.hex())
        return answer

    bytecode = bytes.fromhex(_TOKEN["bytecode"][2:])
    deployed = await client.receipt(await submit(root.sign(chain_id, b"", bytecode, DEPLOY_GAS, tip, fee)))
    token = bytes.fromhex(deployed["contractAddress"][2:])
    hashes = []
    for account in senders:
        if fee:  # a chain with money: the senders need some for gas
            await client.call("anvil_setBalance", "0x" + account.address.hex(), hex(10**21))
        hashes.append(
            await submit(
                root.sign(chain_id, token, transfer(account.address, _FUNDS), 2 * TRANSFER_GAS, tip, fee)
            )
        )
    for transaction in hashes:
        await client.receipt(transaction)
    return [
        senders[i % len(senders)].sign(
            chain_id, token, transfer(keccak256(i.to_bytes(8, "big"))[:20], 1), TRANSFER_GAS, tip, fee
        )
        for i in range(count)
    ]


def transfer(to: bytes, amount: int) -> bytes:
    """Calldata of ERC-20 transfer."""
    return _TRANSFER + bytes(12) + to + amount.to_bytes(32, "big")
