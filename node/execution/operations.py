"""The opcodes that are more than stack and numbers: what the interpreter calls for each.

Most are py-evm's own functions. Here are those that contracts use most, over the interpreter's stack of
integers, and what charges work for opcodes whose work depends on sizes. The fixed gas of an opcode and the
depth of the stack are seen to when its run is entered (`node.execution.program`).

A function takes the frame and raises the EVM's errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eth.exceptions import Halt, OutOfGas, WriteProtection
from eth.vm import opcode_values as op
from eth.vm.forks.berlin.constants import COLD_SLOAD_COST, WARM_STORAGE_READ_COST
from eth.vm.forks.london.storage import GAS_SCHEDULE_EIP3529
from eth.vm.opcode import _FastOpcode

from node.chain.encoding import keccak256
from node.execution import work
from node.execution.fork import Computation
from node.execution.work import words

Operation = Callable[[Any], Any]

_KECCAK_WORD_GAS: Final = 6
_SSTORE_LEAST_GAS: Final = 2_300


def _mload(frame: Any) -> None:
    values, memory = frame._stack.values, frame._memory._bytes
    start = values[-1]
    end = start + 32
    if end > len(memory):
        frame.extend_memory(start, 32)
    values[-1] = int.from_bytes(memory[start:end], "big")


def _mstore(frame: Any) -> None:
    pop, memory = frame._stack.values.pop, frame._memory._bytes
    start, value = pop(), pop()
    end = start + 32
    if end > len(memory):
        frame.extend_memory(start, 32)
    memory[start:end] = value.to_bytes(32, "big")


def _keccak(frame: Any) -> None:
    values = frame._stack.values
    start, size = values.pop(), values[-1]
    frame.extend_memory(start, size)
    count = words(size)
    frame.state.work.charge(work.KECCAK_WORD * count)
    frame._gas_meter.consume_gas(_KECCAK_WORD_GAS * count, "KECCAK256")
    values[-1] = int.from_bytes(keccak256(frame._memory._bytes[start : start + size]), "big")


def _calldataload(frame: Any) -> None:
    values = frame._stack.values
    start = values[-1]
    values[-1] = int.from_bytes(frame.msg.data[start : start + 32].ljust(32, b"\0"), "big")


def _caller(frame: Any) -> None:
    frame._stack.values.append(int.from_bytes(frame.msg.sender, "big"))


def _callvalue(frame: Any) -> None:
    frame._stack.values.append(frame.msg.value)


def _calldatasize(frame: Any) -> None:
    frame._stack.values.append(len(frame.msg.data))


def _sload(frame: Any) -> None:
    """EIP-2929."""
    values, address, state = frame._stack.values, frame.msg.storage_address, frame.state
    slot = values[-1]
    if state.is_storage_warm(address, slot):
        gas = WARM_STORAGE_READ_COST
    else:
        state.mark_storage_warm(address, slot)
        gas = COLD_SLOAD_COST
    frame._gas_meter.consume_gas(gas, "SLOAD")
    values[-1] = state.get_storage(address, slot)


def _sstore(frame: Any) -> None:
    """EIP-2200 with the prices of EIP-2929 and the refunds of EIP-3529."""
    if frame.msg.is_static:
        raise WriteProtection("Cannot modify state while inside of a STATICCALL context")
    meter, state, address = frame._gas_meter, frame.state, frame.msg.storage_address
    if meter.gas_remaining <= _SSTORE_LEAST_GAS:
        raise OutOfGas("SSTORE needs more than 2,300 gas")
    pop = frame._stack.values.pop
    slot, value = pop(), pop()
    accounts, prices = state._account_db, GAS_SCHEDULE_EIP3529
    if not accounts.is_storage_warm(address, slot):
        state.mark_storage_warm(address, slot)
        meter.consume_gas(COLD_SLOAD_COST, "SSTORE")
    current = accounts.get_storage(address, slot)
    if value == current:
        meter.consume_gas(prices.sload_gas, "SSTORE")
        return
    original = accounts.get_storage(address, slot, from_journal=False)
    clears = prices.sstore_clears_schedule if original else 0
    if current == original:
        change = prices.sstore_reset_gas if original else prices.sstore_set_gas
        meter.consume_gas(change, "SSTORE")
        state.work.charge(work.CHANGED_SLOT)
    else:
        meter.consume_gas(prices.sload_gas, "SSTORE")
        if current == 0:
            meter.refund_gas(-clears)
        if value == original:
            change = prices.sstore_reset_gas if original else prices.sstore_set_gas
            meter.refund_gas(change - prices.sload_gas)
    if value == 0:
        meter.refund_gas(clears)
    accounts.set_storage(address, slot, value)


def _stop(frame: Any) -> None:
    raise Halt("STOP")


def _after(charge: Callable[[Any, list[int]], None], operation: Operation) -> Operation:
    """The operation after its work has been charged; `charge` gets the frame and its stack."""

    def run(frame: Any) -> None:
        charge(frame, frame._stack.values)
        operation(frame)

    return run


def _sizes(price: int, *areas: tuple[int, int]) -> Callable[[Any, list[int]], None]:
    """Charges `price` for each word of areas of memory, whose start and size stand so deep in the stack."""

    def charge(frame: Any, values: list[int]) -> None:
        count = 0
        for start, size in areas:
            frame.extend_memory(values[~start], values[~size])
            count += words(values[~size])
        frame.state.work.charge(price * count)

    return charge


def _mcopy_sizes(frame: Any, values: list[int]) -> None:
    to, start, size = values[-1], values[-2], values[-3]
    frame.extend_memory(max(to, start), size)
    frame.state.work.charge(work.COPY_WORD * words(size))


def _exponent(frame: Any, values: list[int]) -> None:
    frame.state.work.charge(work.EXP_BYTE * ((values[-2].bit_length() + 7) >> 3))


_OWN: Final[dict[int, Operation]] = {
    op.STOP: _stop,
    op.SHA3: _keccak,
    op.CALLER: _caller,
    op.CALLVALUE: _callvalue,
    op.CALLDATALOAD: _calldataload,
    op.CALLDATASIZE: _calldatasize,
    op.MLOAD: _mload,
    op.MSTORE: _mstore,
    op.SLOAD: _sload,
    op.SSTORE: _sstore,
}

_CHARGES: Final[dict[int, Callable[[Any, list[int]], None]]] = {
    op.EXP: _exponent,
    op.MCOPY: _mcopy_sizes,
    op.CALLDATACOPY: _sizes(work.COPY_WORD, (0, 2)),
    op.CODECOPY: _sizes(work.COPY_WORD, (0, 2)),
    op.RETURNDATACOPY: _sizes(work.COPY_WORD, (0, 2)),
    op.EXTCODECOPY: _sizes(work.COPY_WORD, (1, 3)),
    op.CREATE: _sizes(work.COPY_WORD, (1, 2)),
    op.CREATE2: _sizes(work.KECCAK_WORD, (1, 2)),
    op.CALL: _sizes(work.COPY_WORD, (3, 4), (5, 6)),
    op.CALLCODE: _sizes(work.COPY_WORD, (3, 4), (5, 6)),
    op.DELEGATECALL: _sizes(work.COPY_WORD, (2, 3), (4, 5)),
    op.STATICCALL: _sizes(work.COPY_WORD, (2, 3), (4, 5)),
    **{op.LOG0 + topics: _sizes(work.LOG_WORD, (0, 1)) for topics in range(5)},
}


def _operation(opcode: int, stock: Any) -> Operation:
    function: Operation = stock.logic_fn if isinstance(stock, _FastOpcode) else stock
    function = _OWN.get(opcode, function)
    return _after(_CHARGES[opcode], function) if opcode in _CHARGES else function


OPERATIONS: Final[dict[int, Operation]] = {
    opcode: _operation(opcode, stock) for opcode, stock in Computation.opcodes.items()
}
"""By opcode. Their fixed gas has been taken, except that of calls and creations, which take their own."""
