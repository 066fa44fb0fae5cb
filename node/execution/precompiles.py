"""The precompiled contracts, each charging its work before it computes.

0x01 to 0x05 and 0x09; bn128 (0x06, 0x07, 0x08) and point evaluation (0x0a) are off: their gas is far below
their cost in time here. A call to them is a call to an empty account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eth.precompiles.modexp import extract_lengths
from eth.vm.forks.berlin.computation import _calculate_iteration_count, _compute_modexp_gas_fee_eip_2565
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES

from node.execution import work
from node.execution.work import words

ECRECOVER, SHA256, RIPEMD160, IDENTITY, MODEXP, BLAKE2F = (
    number.to_bytes(20, "big") for number in (1, 2, 3, 4, 5, 9)
)
PRECOMPILES_OFF: Final = frozenset(number.to_bytes(20, "big") for number in (6, 7, 8, 10))

_BLAKE2F_INPUT: Final = 213


def _modexp(computation: Any) -> Any:
    """EIP-198 with the gas of EIP-2565; 0 ** 0 is 1 (py-evm says 0 for an empty base).

    Lengths may be anything below 2**256: nothing of that size is touched before gas and work are paid.
    """
    data = computation.msg.data_as_bytes
    gas = _compute_modexp_gas_fee_eip_2565(data)
    computation.consume_gas(gas, reason="MODEXP Precompile")
    computation.state.work.charge(work.MODEXP + work.MODEXP_GAS * gas)
    base_length, exponent_length, modulus_length = extract_lengths(data)
    if modulus_length == 0:
        return computation
    head = data[96 + base_length : 96 + base_length + min(exponent_length, 32)]
    iterations = _calculate_iteration_count(exponent_length, head.ljust(min(exponent_length, 32), b"\0"))
    computation.state.work.charge(work.MODEXP_ITERATION * iterations)

    def number(start: int, length: int) -> int:
        return int.from_bytes(data[start : start + length].ljust(length, b"\0"), "big")

    modulus = number(96 + base_length + exponent_length, modulus_length)
    result = 0
    if modulus:
        result = pow(number(96, base_length), number(96 + base_length, exponent_length), modulus)
    computation.output = result.to_bytes(modulus_length, "big")
    return computation


def _blake2f(computation: Any) -> Any:
    """EIP-152. What it cannot pay in gas it does not compute, so that is not charged as work either."""
    data = computation.msg.data_as_bytes
    rounds = int.from_bytes(data[:4], "big")
    if len(data) == _BLAKE2F_INPUT and rounds <= computation.get_gas_remaining():
        computation.state.work.charge(work.BLAKE2F + work.BLAKE2F_ROUND * rounds)
    return CANCUN_PRECOMPILES[BLAKE2F](computation)


def _by_size(address: bytes, fixed: int, word: int) -> Callable[[Any], Any]:
    run = CANCUN_PRECOMPILES[address]

    def precompile(computation: Any) -> Any:
        computation.state.work.charge(fixed + word * words(len(computation.msg.data)))
        return run(computation)

    return precompile


PRECOMPILES: Final[dict[bytes, Callable[[Any], Any]]] = {
    ECRECOVER: _by_size(ECRECOVER, work.ECRECOVER, 0),
    SHA256: _by_size(SHA256, work.HASH, work.SHA256_WORD),
    RIPEMD160: _by_size(RIPEMD160, work.HASH, work.RIPEMD160_WORD),
    IDENTITY: _by_size(IDENTITY, 0, work.COPY_WORD),
    MODEXP: _modexp,
    BLAKE2F: _blake2f,
}
