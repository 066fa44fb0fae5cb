"""ERC-20 transfers: the workload every chain's figures are made with."""

from __future__ import annotations

import json
from pathlib import Path

from bench.cast import DEPLOYER, SENDERS
from bench.load import Client, LoadError
from bench.sending import Sender
from node.chain.encoding import keccak256

_TOKEN = json.loads((Path(__file__).parent / "contracts" / "Token.json").read_text())
_TRANSFER = keccak256(b"transfer(address,uint256)")[:4]
_POINTS = 10**24
_COIN = 10**19
_DEPLOY_GAS = 3_000_000
_TRANSFER_GAS = 60_000
_COIN_GAS = 21_000


class TokenHolders:
    """Senders that all hold a new token."""

    def __init__(self, client: Client, token: bytes, senders: list[Sender], tip: int, fee: int) -> None:
        self._client = client
        self._token = token
        self._senders = senders
        self._tip = tip
        self._fee = fee

    @classmethod
    async def create(cls, client: Client) -> TokenHolders:
        """Deploy the token as `DEPLOYER`, give each of `SENDERS` some, and coin for gas where gas costs.

        Raises LoadError when the deployer cannot pay for it.
        """
        chain_id = int(await client.call("eth_chainId"), 16)
        fee = 2 * int(await client.call("eth_gasPrice"), 16)
        tip = int(await client.call("eth_maxPriorityFeePerGas"), 16)
        root = Sender(DEPLOYER, chain_id, await client.nonce(DEPLOYER.address))
        senders = [Sender(key, chain_id, 0) for key in SENDERS]
        address = "0x" + DEPLOYER.address.hex()
        needed = fee and _COIN * (len(senders) + 1)
        if int(await client.call("eth_getBalance", address, "latest"), 16) < needed:
            raise LoadError(f"{address} needs {needed} wei on this chain before a benchmark")
        bytecode = bytes.fromhex(_TOKEN["bytecode"][2:])
        deployed = await client.include(root.sign_type_2(None, bytecode, _DEPLOY_GAS, tip, fee))
        token = bytes.fromhex(deployed["contractAddress"][2:])
        for sender in senders:
            if fee:
                await client.include(root.sign_type_2(sender.address, b"", _COIN_GAS, tip, fee, value=_COIN))
            funding = _transfer(sender.address, _POINTS)
            await client.include(root.sign_type_2(token, funding, 2 * _TRANSFER_GAS, tip, fee))
        return cls(client, token, senders, tip, fee)

    async def sign_transfers(self, tag: str, count: int) -> list[bytes]:
        """`count` transfers, the senders in turn, each to an address nobody used; `tag` keeps runs apart."""
        await self._client.load_nonces(self._senders)
        senders = self._senders
        return [
            senders[i % len(senders)].sign_type_2(
                self._token,
                _transfer(keccak256(f"{tag} {i}".encode())[:20], 1),
                _TRANSFER_GAS,
                self._tip,
                self._fee,
            )
            for i in range(count)
        ]


def _transfer(to: bytes, amount: int) -> bytes:
    return _TRANSFER + bytes(12) + to + amount.to_bytes(32, "big")
