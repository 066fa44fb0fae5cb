"""The pinned EVM: Cancun, as subclasses of py-evm, with the differences of a permissioned ledger.

Differences from Ethereum's Cancun, all by design:
- no money: gas price, base fee and tip are 0, so fees are never bought, refunded or paid;
- BLOCKHASH is 0 (a state-synced node has no old hashes); no system contracts (EIP-4788, EIP-2935);
- the bn128 (0x06, 0x07, 0x08) and point-evaluation (0x0a) precompiles are off: their gas is far below their
  cost in time here. A call to them is a call to an empty account.

Differences from stock py-evm, all towards Ethereum or towards bounded work:
- a contract is not created over existing storage (EIP-7610);
- modexp with an empty base follows EIP-198 (0 ** 0 == 1);
- jump destinations are scanned once, forwards, and shared by all frames of one code (py-evm recurses
  backwards);
- one set of contracts made in the transaction, shared by all calls of a batch (EIP-6780);
- the initcode word gas (EIP-3860) of a creating transaction is part of its intrinsic gas.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from eth.exceptions import Halt, OutOfGas
from eth.precompiles.modexp import extract_lengths
from eth.vm import mnemonics, opcode_values
from eth.vm.code_stream import CodeStream
from eth.vm.computation import NO_RESULT
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.berlin.computation import _compute_modexp_gas_fee_eip_2565
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES, CancunComputation
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.gas_meter import GasMeter
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.opcode import as_opcode

from node.execution.accounts import AccountDatabase

MODEXP: Final = (5).to_bytes(20, "big")
PRECOMPILES_OFF: Final = frozenset(number.to_bytes(20, "big") for number in (6, 7, 8, 10))

OPCODES_BETWEEN_CHECKS: Final = 256
"""How many opcodes of one frame run between two questions whether to go on (0.1 ms)."""


class Stopped(Exception):
    """A call was told to stop. Not an EVM error: it leaves through every frame."""


class _GasMeter(GasMeter):  # type: ignore[misc]
    """py-evm's meter without its debug logging. Refunds may be negative until the end (EIP-2200)."""

    def __init__(self, start_gas: int) -> None:
        self.start_gas = start_gas
        self.gas_remaining = start_gas
        self.gas_refunded = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        remaining = self.gas_remaining - amount
        if remaining < 0:
            raise OutOfGas(f"needed {amount}, {self.gas_remaining} left: {reason}")
        self.gas_remaining = remaining

    def return_gas(self, amount: int) -> None:
        self.gas_remaining += amount

    def refund_gas(self, amount: int) -> None:
        self.gas_refunded += amount


class _JumpDestinations:
    """Positions of JUMPDEST that are not PUSH data, found by one scan that goes as far as it was asked."""

    __slots__ = ("_code", "_scanned", "_valid")

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._valid = bytearray(len(code))
        self._scanned = 0

    def __contains__(self, position: int) -> bool:
        if position >= self._scanned:
            self._scan(position)
        return bool(self._valid[position])

    def _scan(self, position: int) -> None:
        code, valid, at = self._code, self._valid, self._scanned
        while at <= position:
            opcode = code[at]
            if opcode == opcode_values.JUMPDEST:
                valid[at] = 1
            elif opcode_values.PUSH1 <= opcode <= opcode_values.PUSH32:
                at += opcode - opcode_values.PUSH1 + 1
            at += 1
        # Calls of several threads may share this; each scan ends between two instructions.
        self._scanned = max(at, self._scanned)


@lru_cache(maxsize=256)
def _jump_destinations(code: bytes) -> _JumpDestinations:
    return _JumpDestinations(code)


class _Code(CodeStream):  # type: ignore[misc]
    """py-evm's code stream; the jump destinations are found on the first jump."""

    __slots__ = ("_destinations",)

    def __init__(self, code: bytes) -> None:
        super().__init__(code)
        self._destinations: _JumpDestinations | None = None

    def is_valid_opcode(self, position: int) -> bool:
        # Asked only about positions that hold a JUMPDEST byte.
        if self._destinations is None:
            self._destinations = _jump_destinations(self._raw_code_bytes)
        return position in self._destinations


def _modexp(computation: Any) -> Any:
    """EIP-198 with the gas of EIP-2565."""
    data = computation.msg.data_as_bytes
    computation.consume_gas(_compute_modexp_gas_fee_eip_2565(data), reason="MODEXP Precompile")
    base_length, exponent_length, modulus_length = extract_lengths(data)
    if modulus_length == 0:
        return computation

    def number(start: int, length: int) -> int:
        return int.from_bytes(data[start : start + length].ljust(length, b"\0"), "big")

    modulus = number(96 + base_length + exponent_length, modulus_length)
    result = 0
    if modulus:
        result = pow(number(96, base_length), number(96 + base_length, exponent_length), modulus)
    computation.output = result.to_bytes(modulus_length, "big")
    return computation


def _opcode_table() -> dict[int, Any]:
    # py-evm wraps SELFDESTRUCT in a deprecation warning; a node's log is not the place for it.
    selfdestruct = as_opcode(
        logic_fn=ensure_no_static(selfdestruct_eip6780),
        mnemonic=mnemonics.SELFDESTRUCT,
        gas_cost=GAS_SELFDESTRUCT_EIP150,
    )
    return {**CANCUN_OPCODES, opcode_values.SELFDESTRUCT: selfdestruct}


def _precompile_table() -> dict[bytes, Any]:
    kept = {address: run for address, run in CANCUN_PRECOMPILES.items() if address not in PRECOMPILES_OFF}
    return {**kept, MODEXP: _modexp}


class Computation(CancunComputation):  # type: ignore[misc]
    """One frame. Replaceable as a whole (`State.computation_class`) by a faster one that computes the
    same.
    """

    opcodes = _opcode_table()
    _precompiles = _precompile_table()

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = _Code(message.code)
        self.contracts_created = state.contracts_created

    def _configure_gas_meter(self) -> GasMeter:
        return _GasMeter(self.msg.gas)

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        with cls(state, message, transaction_context) as computation:
            if message.is_create:
                computation.contracts_created.add(message.storage_address)
            precompile = cls._precompiles.get(message.code_address, NO_RESULT)
            if precompile is not NO_RESULT:
                precompile(computation)
                return computation
            opcodes = cls.opcodes
            should_stop = state.should_stop
            if should_stop is None:
                for opcode in computation.code:
                    try:
                        operation = opcodes[opcode]
                    except KeyError:
                        operation = InvalidOpcode(opcode)
                    try:
                        operation(computation)
                    except Halt:
                        break
            else:
                _run_watched(computation, opcodes, should_stop)
        return computation


def _run_watched(computation: Any, opcodes: dict[int, Any], should_stop: Callable[[], bool]) -> None:
    until_check = 0  # a frame asks before its first opcode, so that many small frames are stopped too
    for opcode in computation.code:
        if until_check == 0:
            if should_stop():
                raise Stopped
            until_check = OPCODES_BETWEEN_CHECKS
        until_check -= 1
        operation = opcodes.get(opcode) or InvalidOpcode(opcode)
        try:
            operation(computation)
        except Halt:
            break


class State(CancunState):  # type: ignore[misc]
    """py-evm's state over the accounts of one transaction."""

    computation_class = Computation
    account_db_class = AccountDatabase

    def __init__(
        self,
        accounts: AccountDatabase,
        context: ExecutionContext,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self._account_db = accounts
        self.execution_context = context
        self.should_stop = should_stop
        self.contracts_created: set[bytes] = set()

    def snapshot(self) -> int:
        return self._account_db.record()

    def revert(self, snapshot: int) -> None:
        self._account_db.discard(snapshot)

    def commit(self, snapshot: int) -> None:
        self._account_db.commit(snapshot)

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        return self._account_db.get_transient(address, slot)

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        self._account_db.set_transient(address, slot, value)
