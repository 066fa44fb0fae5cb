"""ERC-20 transfers: the workload every chain's figures are made with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cast import DEPLOYER, SENDERS
from bench.client import Client, LoadError
from bench.sending import Sender
from node.chain.encoding import keccak256

_TOKEN = json.loads((Path(__file__).parent / "contracts" / "Token.json").read_text())
_TRANSFER = keccak256(b"transfer(address,uint256)")[:4]
_POINTS = 10**24
_COIN = 10**19
_DEPLOY_GAS = 3_000_000
_TRANSFER_GAS = 60_000
_COIN_GAS = 21_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transfer on a chain needs to name: the chain, the token, what gas costs there."""

    chain_id: int
    token: bytes
    tip: int
    fee: int

    def sign_transfers(self, senders: Sequence[Sender], tag: str, numbers: range) -> list[bytes]:
        """One transfer a number, the senders in turn, to addresses nobody used; `tag` keeps runs apart."""
        return [
            senders[i % len(senders)].sign_type_2(
                self.token,
                _transfer(keccak256(f"{tag} {i}".encode())[:20], 1),
                _TRANSFER_GAS,
                self.tip,
                self.fee,
            )
            for i in numbers
        ]


class TokenHolders:
    """`SENDERS`, who all hold a token of the chain that `client` talks to."""

    def __init__(self, client: Client, terms: Terms) -> None:
        self.terms = terms
        self._client = client
        self._senders = [Sender(key, terms.chain_id, 0) for key in SENDERS]

    @classmethod
    async def create(cls, client: Client) -> TokenHolders:
        """Deploy a token as `DEPLOYER`, give each of `SENDERS` some, and coin for gas where gas costs.

        Raises LoadError when the deployer cannot pay for it.
        """
        chain_id = int(await client.call("eth_chainId"), 16)
        fee = 2 * int(await client.call("eth_gasPrice"), 16)
        tip = int(await client.call("eth_maxPriorityFeePerGas"), 16)
        root = Sender(DEPLOYER, chain_id, await client.nonce(DEPLOYER.address))
        address = "0x" + DEPLOYER.address.hex()
        needed = fee and _COIN * (len(SENDERS) + 1)
        if int(await client.call("eth_getBalance", address, "latest"), 16) < needed:
            raise LoadError(f"{address} needs {needed} wei on this chain before a benchmark")
        bytecode = bytes.fromhex(_TOKEN["bytecode"][2:])
        deployed = await client.include(root.sign_type_2(None, bytecode, _DEPLOY_GAS, tip, fee))
        token = bytes.fromhex(deployed["contractAddress"][2:])
        for sender in SENDERS:
            if fee:
                await client.include(root.sign_type_2(sender.address, b"", _COIN_GAS, tip, fee, value=_COIN))
            funding = _transfer(sender.address, _POINTS)
            await client.include(root.sign_type_2(token, funding, 2 * _TRANSFER_GAS, tip, fee))
        return cls(client, Terms(chain_id, token, tip, fee))

    async def sign_transfers(self, tag: str, count: int) -> list[bytes]:
        """`count` transfers, see `Terms.sign_transfers`, from the nonces the chain expects."""
        await self._client.load_nonces(self._senders)
        return self.terms.sign_transfers(self._senders, tag, range(count))


def _transfer(to: bytes, amount: int) -> bytes:
    return _TRANSFER + bytes(12) + to + amount.to_bytes(32, "big")
