"""Signing ahead of the clock: senders that count their own nonces."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.cast import ORIGIN, RP_ID
from identity.keys import KeyPair
from identity.signing import sign_ethereum, sign_imi
from node.chain.transaction import Call, build_ethereum, build_imi

_VALID_SECONDS = 6 * 3600


class Sender:
    """One key, and the nonce of its next transaction."""

    def __init__(self, key: KeyPair, chain_id: int, nonce: int) -> None:
        self.key = key
        self.nonce = nonce
        self._chain_id = chain_id

    @property
    def address(self) -> bytes:
        return self.key.address

    def sign_calls(self, calls: Sequence[Call], gas: int) -> bytes:
        """A 0x49 transaction, raw."""
        unsigned = build_imi(
            chain_id=self._chain_id,
            nonce=self._take_nonce(),
            valid_until=int(time.time()) + _VALID_SECONDS,
            gas_limit=gas,
            calls=tuple(calls),
            scheme=self.key.scheme,
            public_key=self.key.public_key,
        )
        return sign_imi(self.key, unsigned, origin=ORIGIN, rp_id=RP_ID).raw

    def sign_type_2(
        self, to: bytes | None, data: bytes, gas: int, tip: int, fee: int, value: int = 0
    ) -> bytes:
        """An EIP-1559 transaction, raw; a creation without `to`."""
        unsigned = build_ethereum(
            type=2,
            chain_id=self._chain_id,
            nonce=self._take_nonce(),
            max_priority_fee=tip,
            max_fee=fee,
            gas_limit=gas,
            to=to,
            value=value,
            data=data,
        )
        return sign_ethereum(self.key, unsigned).raw

    def _take_nonce(self) -> int:
        nonce, self.nonce = self.nonce, self.nonce + 1
        return nonce
