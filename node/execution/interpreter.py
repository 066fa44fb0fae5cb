"""The interpreter: frames that run decoded programs over a stack of integers, and charge work.

py-evm calls three functions for each opcode before the opcode's own, and keeps bytes and integers on one
stack, converting at every use. Here the code of a contract is decoded once into runs (`program`), gas, work
and stack are checked once a run, and the opcodes that only move and reckon with numbers run in the loop;
everything else is a function (`operations`). What surrounds a frame (messages, calls, creations, value,
journal) is py-evm's.

py-evm's own loop over its own functions is what this is compared with: by Ethereum's state tests, which run
on both, and by properties over random code. What may differ is only the wording of an error.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from eth.exceptions import FullStack, Halt, InsufficientStack, OutOfGas
from eth.vm.code_stream import CodeStream
from eth.vm.computation import NO_RESULT
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.memory import Memory
from eth.vm.message import Message

from node.execution import work
from node.execution.fork import Computation, FrameGas, State
from node.execution.operations import OPERATIONS
from node.execution.program import (
    BINARY,
    DUP,
    GO_ON,
    JUMP,
    JUMPI,
    POP,
    PUSH,
    SWAP,
    UNARY,
    Program,
    program_of,
)
from node.execution.work import words


class _Stack:
    """py-evm's stack interface over integers below 2**256; the top is the end of `values`.

    Depth is checked when a run is entered, and opcodes push what they are known to push, so nothing here is
    checked again.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[int] = []

    def push_int(self, value: int) -> None:
        self.values.append(value)

    def push_bytes(self, value: bytes) -> None:
        self.values.append(int.from_bytes(value, "big"))

    def pop1_int(self) -> int:
        return self.values.pop()

    def pop1_bytes(self) -> bytes:
        return _shortest(self.values.pop())

    def pop_ints(self, count: int) -> tuple[int, ...]:
        rest = len(self.values) - count
        popped = tuple(reversed(self.values[rest:]))
        del self.values[rest:]
        return popped


def _shortest(value: int) -> bytes:
    """What py-evm gives for an integer where it wants bytes: no leading zeros, one byte for 0."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")


class _ChildMessage(Message):  # type: ignore[misc]
    """py-evm's message without asking again whether an address has 20 bytes: the opcodes made it."""

    def __init__(
        self,
        parent: Message,
        gas: int,
        to: bytes,
        value: int,
        data: bytes,
        code: bytes,
        sender: bytes | None = None,
        create_address: bytes | None = None,
        code_address: bytes | None = None,
        should_transfer_value: bool = True,
        is_static: bool = False,
        is_delegation: bool = False,
    ) -> None:
        self.gas = gas
        self.to = to
        self.sender = parent.storage_address if sender is None else sender
        self.value = value
        self.data = data
        self.code = code
        self.depth = parent.depth + 1
        self._storage_address = create_address
        self._code_address = code_address
        self.should_transfer_value = should_transfer_value
        self.is_static = is_static
        self._is_delegation = is_delegation
        self.refund = 0


class FastComputation(Computation):
    """One frame."""

    operations = OPERATIONS

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        # Everything that py-evm's four constructors set and this fork reads.
        self.state = state
        self.msg = message
        self.transaction_context = transaction_context
        self.children: list[Any] = []
        self.beneficiaries: list[bytes] = []
        self._gas_meter = FrameGas(message.gas)
        self._stack = _Stack()
        self._memory = Memory()

    @cached_property
    def code(self) -> CodeStream:  # type: ignore[override]
        """For CODESIZE and CODECOPY."""
        return CodeStream(self.msg.code)

    def prepare_child_message(
        self, gas: int, to: bytes, value: int, data: bytes, code: bytes, **more: Any
    ) -> _ChildMessage:
        return _ChildMessage(self.msg, gas, to, value, data, code, **more)

    def apply_child_computation(self, child_msg: Any) -> Any:
        apply = self.apply_create_message if child_msg.is_create else self.apply_message
        child = apply(self.state, child_msg, self.transaction_context, parent_computation=self)
        self.add_child_computation(child)
        return child

    def extend_memory(self, start_position: int, size: int) -> None:
        """Raises OutOfGas, OutOfWork. Nothing has to be touched for a size of 0, wherever it starts."""
        memory = self._memory._bytes
        if size == 0 or start_position + size <= len(memory):
            return
        before, after = len(memory) >> 5, words(start_position + size)
        gas = 3 * (after - before) + after * after // 512 - before * before // 512
        self._gas_meter.consume_gas(gas, "memory")
        self.state.work.charge(work.MEMORY_WORD * (after - before))
        memory.extend(bytes(32 * (after - before)))

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        with cls(state, message, transaction_context) as frame:
            precompile = cls._precompiles.get(message.code_address, NO_RESULT)
            if message.is_create:
                frame.contracts_created.append(message.storage_address)
                state.work.charge(work.INITCODE_BYTE * len(message.code))
                _run(frame, Program(message.code))
            elif precompile is not NO_RESULT:
                precompile(frame)
            else:
                _run(frame, program_of(message.code))
        return frame


class FastState(State):
    """A transaction's state whose frames are fast ones."""

    computation_class = FastComputation

    def set_code(self, address: bytes, code: bytes) -> None:
        self.work.charge(work.CODE_WORD * words(len(code)))
        super().set_code(address, code)

    def mark_address_warm(self, address: bytes) -> None:
        if not self._account_db.is_address_warm(address):
            self.work.charge(work.COLD_ACCOUNT)
            self._account_db.mark_address_warm(address)

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        self.work.charge(work.COLD_SLOT)
        self._account_db.mark_storage_warm(address, slot)


def _run(frame: FastComputation, program: Program) -> None:
    """Until the frame halts. Raises the EVM's errors, OutOfWork and Stopped."""
    operations, checked = frame.operations, program.checked
    values: list[int] = frame._stack.values
    push, pop = values.append, values.pop
    gas_meter, work_meter = frame._gas_meter, frame.state.work
    position = 0
    try:
        while True:
            gas, price, lowest, highest, steps, end, last, position = program[position]
            work_meter.left -= price
            if work_meter.left < work_meter.pause:
                work_meter.check()
            if gas > gas_meter.gas_remaining:
                raise OutOfGas(f"needed {gas}, {gas_meter.gas_remaining} left")
            gas_meter.gas_remaining -= gas
            if not lowest <= len(values) <= highest:
                raise (InsufficientStack if len(values) < lowest else FullStack)("stack items")

            for kind, what in steps:
                if kind == PUSH:
                    push(what)
                elif kind == BINARY:
                    push(what(pop(), pop()))
                elif kind == DUP:
                    push(values[what])
                elif kind == SWAP:
                    values[-1], values[what] = values[what], values[-1]
                elif kind == POP:
                    pop()
                elif kind == UNARY:
                    push(what(pop()))
                else:  # OPERATION
                    operations[what](frame)

            if end == GO_ON:
                continue
            if end == JUMPI:
                destination = pop() if last is None else last
                if not pop():
                    continue
            elif end == JUMP:
                destination = pop() if last is None else last
            else:  # OPERATION_AT_END
                operation = operations.get(last)
                if operation is None:
                    operation = InvalidOpcode(last)
                operation(frame)
                continue
            if destination not in checked:
                program.check(destination)
            position = destination
    except Halt:
        return
