"""Intrinsic gas: what a transaction costs before its first opcode.

Types 0-2: Ethereum's Cancun rules (EIP-2028 calldata, EIP-2930 access lists, EIP-3860 initcode). Type 0x49:
base, scheme and every byte of the envelope, priced by the rules in force.
"""

from __future__ import annotations

from typing import Final

from node.chain.rules import Rules
from node.chain.transaction import AccessList, ImiTransaction, Transaction

TRANSACTION_GAS: Final = 21_000
CREATION_GAS: Final = 32_000
ZERO_BYTE_GAS: Final = 4
NONZERO_BYTE_GAS: Final = 16
ACCESS_LIST_ADDRESS_GAS: Final = 2_400
ACCESS_LIST_SLOT_GAS: Final = 1_900
INITCODE_WORD_GAS: Final = 2
MAX_INITCODE_BYTES: Final = 49_152
"""EIP-3860: a creating transaction with more is not valid."""


def ethereum_intrinsic_gas(data: bytes, is_creation: bool, access_list: AccessList = ()) -> int:
    """Intrinsic gas of a type 0-2 transaction."""
    zeros = data.count(0)
    gas = TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + NONZERO_BYTE_GAS * (len(data) - zeros)
    if is_creation:
        gas += CREATION_GAS + INITCODE_WORD_GAS * ((len(data) + 31) // 32)
    for _, slots in access_list:
        gas += ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots)
    return gas


def intrinsic_gas(tx: Transaction, rules: Rules) -> int:
    """Intrinsic gas of any transaction. A scheme that is off has no price; admission refuses it."""
    if not isinstance(tx, ImiTransaction):
        return ethereum_intrinsic_gas(tx.data, tx.to is None, tx.access_list)
    scheme = tx.scheme if rules.scheme_enabled(tx.scheme) else 0
    return rules.imi_intrinsic_gas(scheme, len(tx.raw))
