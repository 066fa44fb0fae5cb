"""Putting a block together and judging one that somebody else put together, without executing it.

Both count the same things against the parent state: the gas of the block, the part of it that is kept for the
staff domain, the gas of each identity, and consecutive nonces of each sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.chain.encoding import encode_uvarint
from node.chain.errors import BlockRejected, DecodeError, Refusal, ShelianError, SignatureRefused
from node.ledger.admission import Admission, Admitted, Surroundings

_FIELD_TAG_BYTES: Final = 1


class BlockSpace:
    """What is left of a block's limits, and the next nonce of every sender in it."""

    def __init__(self, around: Surroundings) -> None:
        rules = around.rules
        self._view = around.view
        self._gas = rules.block_gas
        self._open_gas = rules.block_gas - rules.correction_gas
        self._identity_gas = rules.identity_gas
        self._identities: dict[bytes, int] = {}
        self._nonces: dict[bytes, int] = {}

    def refusal(self, admitted: Admitted) -> ShelianError | None:
        """Why there is no room for this transaction, or None."""
        gas = admitted.gas_limit
        expected = self._next_nonce(admitted.sender)
        if admitted.transaction.nonce != expected:
            return Refusal(
                "block.nonce_gap", "nonces of a sender must follow one another",
                admitted.transaction.nonce, expected,
            )  # fmt: skip
        if gas > self._gas:
            return Refusal("block.gas", "the block's gas is used up", gas, self._gas)
        if not admitted.is_staff and gas > self._open_gas:
            return Refusal(
                "block.reserved_gas", "the rest of the block is kept for correction", gas, self._open_gas
            )
        left = self._identity_gas - self._identities.get(admitted.identity, 0)
        if gas > left:
            return Refusal("block.identity_gas", "this identity's share of the block is used up", gas, left)
        return None

    def take(self, admitted: Admitted) -> None:
        """Count a transaction that `refusal` has nothing against."""
        gas = admitted.gas_limit
        self._gas -= gas
        if not admitted.is_staff:
            self._open_gas -= gas
        self._identities[admitted.identity] = self._identities.get(admitted.identity, 0) + gas
        self._nonces[admitted.sender] = admitted.transaction.nonce + 1

    def _next_nonce(self, sender: bytes) -> int:
        nonce = self._nonces.get(sender)
        if nonce is None:
            account = self._view.account(sender)
            nonce = account.nonce if account else 0
        return nonce


def encoded_size(raw: bytes) -> int:
    """Bytes that a transaction takes in a block: tag, length, content."""
    return _FIELD_TAG_BYTES + len(encode_uvarint(len(raw))) + len(raw)


def choose_transactions(
    candidates: Iterable[Admitted], around: Surroundings, admission: Admission, max_bytes: int
) -> tuple[bytes, ...]:
    """Those of `candidates`, in their order, that a block in `around` has room for and `process` will
    accept.
    """
    space = BlockSpace(around)
    chosen = []
    for candidate in candidates:
        raw = candidate.transaction.raw
        size = encoded_size(raw)
        if size > max_bytes:
            continue
        try:
            admitted = admission.admit_known(candidate.known, around)
        except (SignatureRefused, Refusal):
            continue
        if space.refusal(admitted) is not None:
            continue
        space.take(admitted)
        chosen.append(raw)
        max_bytes -= size
    return tuple(chosen)


def check_transactions(transactions: Sequence[bytes], around: Surroundings, admission: Admission) -> None:
    """Every transaction of a proposed block is admissible in the parent state and the block has room for all.

    Raises BlockRejected block.transaction with the index and the reason.
    """
    space = BlockSpace(around)
    for index, raw in enumerate(transactions):
        refusal: ShelianError | None
        try:
            admitted = admission.admit(raw, around)
            refusal = space.refusal(admitted)
        except (DecodeError, SignatureRefused, Refusal) as error:
            refusal = error
        if refusal is not None:
            raise BlockRejected(
                "block.transaction",
                "a transaction of the proposed block may not be in it",
                {"index": index, **refusal.as_dict()},
            )
        space.take(admitted)
