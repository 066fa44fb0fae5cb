"""Contract code as the interpreter runs it: cut into runs, each decoded when it is first entered.

A *run* is a stretch of code that executes as a whole or not at all. It starts at the start of the code, at a
JUMPDEST and behind the opcode that ended the run before; it ends with an opcode that may go elsewhere, stop,
or look at the gas that is left (`ENDS`), or before a JUMPDEST, or behind the code, where a STOP is
understood. So each opcode belongs to one run, and it is enough to check gas and stack once, when the run is
entered:

- no opcode inside a run can see the gas that is left, so taking the fixed gas of all of them first makes no
  difference to those that succeed;
- if the gas does not suffice for all of them, or the stack is too low or too high for one of them, the frame
  fails with all of its gas and without effects, wherever in the run that would have been;
- the same holds for an opcode inside the run that fails by itself (memory that cannot be paid).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from eth.exceptions import InvalidJumpDestination
from eth.vm import opcode_values as op
from eth.vm.opcode import _FastOpcode

from node.execution.fork import Computation, JumpDestinations
from node.execution.work import OPCODES, UNDEFINED

STACK_LIMIT: Final = 1_024

_LARGEST: Final = (1 << 256) - 1
_PROGRAMS: Final = 32
"""Contracts whose decoded code is kept: all system contracts, and some. At most 5 MB each, mostly 0.2 MB."""

# Kinds of steps inside a run, the most frequent first: the interpreter asks in this order.
PUSH, BINARY, DUP, SWAP, POP, UNARY, OPERATION = range(7)

# How a run ends.
GO_ON, JUMPI, JUMP, OPERATION_AT_END = range(4)

Step = tuple[int, Any]
"""Kind, and what: a number to push, a stack position, a function of numbers, or an opcode."""

Run = tuple[int, int, int, int, tuple[Step, ...], int, Any, int]
"""Gas, work, lowest and highest stack at entry, steps, how it ends, with what, where the next run starts.

What: the opcode of OPERATION_AT_END; the destination of JUMP and JUMPI if the code pushes it just before,
else None, and it is on the stack.
"""


def _arities() -> dict[int, tuple[int, int]]:
    """By opcode: how many stack items it takes, and how many it puts there."""
    arities: dict[int, tuple[int, int]] = {}
    for takes, puts, opcodes in (
        (0, 0, (op.STOP, op.JUMPDEST)),
        (0, 1, (*range(op.ADDRESS, op.BLOBBASEFEE + 1), op.PC, op.MSIZE, op.GAS)),
        (0, 1, range(op.PUSH0, op.PUSH32 + 1)),
        (1, 1, (op.ISZERO, op.NOT, op.BALANCE, op.CALLDATALOAD, op.EXTCODESIZE, op.EXTCODEHASH)),
        (1, 1, (op.BLOCKHASH, op.BLOBHASH, op.MLOAD, op.SLOAD, op.TLOAD)),
        (1, 0, (op.POP, op.JUMP, op.SELFDESTRUCT)),
        (2, 1, (op.ADD, op.MUL, op.SUB, op.DIV, op.SDIV, op.MOD, op.SMOD, op.EXP, op.SIGNEXTEND)),
        (2, 1, (op.LT, op.GT, op.SLT, op.SGT, op.EQ, op.AND, op.OR, op.XOR, op.BYTE, op.SHL, op.SHR, op.SAR)),
        (2, 1, (op.SHA3,)),
        (2, 0, (op.MSTORE, op.MSTORE8, op.SSTORE, op.TSTORE, op.JUMPI, op.RETURN, op.REVERT)),
        (3, 1, (op.ADDMOD, op.MULMOD, op.CREATE)),
        (3, 0, (op.CALLDATACOPY, op.CODECOPY, op.RETURNDATACOPY, op.MCOPY)),
        (4, 1, (op.CREATE2,)),
        (4, 0, (op.EXTCODECOPY,)),
        (6, 1, (op.DELEGATECALL, op.STATICCALL)),
        (7, 1, (op.CALL, op.CALLCODE)),
    ):
        arities |= dict.fromkeys(opcodes, (takes, puts))
    for number in range(16):
        arities[op.DUP1 + number] = (number + 1, number + 2)
        arities[op.SWAP1 + number] = (number + 2, number + 2)
    for topics in range(5):
        arities[op.LOG0 + topics] = (topics + 2, 0)
    return arities


ARITIES: Final = _arities()

FIXED_GAS: Final[dict[int, int]] = {
    opcode: operation.gas_cost
    for opcode, operation in Computation.opcodes.items()
    if isinstance(operation, _FastOpcode)
}
"""By opcode; the others take all of their gas themselves."""

ENDS: Final = frozenset(
    {
        op.STOP, op.JUMP, op.JUMPI, op.GAS, op.SSTORE, op.CREATE, op.CALL, op.CALLCODE, op.RETURN,
        op.DELEGATECALL, op.CREATE2, op.STATICCALL, op.REVERT, op.SELFDESTRUCT,
        *(opcode for opcode in range(256) if opcode not in Computation.opcodes),
    }
)  # fmt: skip
"""Opcodes that end a run. SSTORE fails if little gas is left (EIP-2200), so it looks at it."""

_BINARIES: Final[dict[int, Callable[[int, int], int]]] = {
    op.ADD: lambda a, b: (a + b) & _LARGEST,
    op.SUB: lambda a, b: (a - b) & _LARGEST,
    op.MUL: lambda a, b: (a * b) & _LARGEST,
    op.DIV: lambda a, b: a // b if b else 0,
    op.MOD: lambda a, b: a % b if b else 0,
    op.LT: lambda a, b: 1 if a < b else 0,
    op.GT: lambda a, b: 1 if a > b else 0,
    op.EQ: lambda a, b: 1 if a == b else 0,
    op.AND: operator.and_,
    op.OR: operator.or_,
    op.XOR: operator.xor,
    op.SHL: lambda a, b: (b << a) & _LARGEST if a < 256 else 0,
    op.SHR: lambda a, b: b >> a if a < 256 else 0,
}
"""By opcode; `a` was on top of the stack."""

_UNARIES: Final[dict[int, Callable[[int], int]]] = {
    op.ISZERO: lambda a: 0 if a else 1,
    op.NOT: lambda a: _LARGEST - a,
}


class Program(dict[int, Run]):
    """The runs of one code by position. Threads may share it: a run can only be decoded twice.

    A position that nobody asked for is decoded when it is looked up; callers ask only where runs start.
    """

    __slots__ = ("_code", "_destinations", "checked")

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self._code = code
        self._destinations = JumpDestinations(code)
        self.checked: set[int] = set()
        """Jump destinations found valid."""

    def check(self, destination: int) -> None:
        """Raises InvalidJumpDestination unless there is a JUMPDEST that is not data."""
        code = self._code
        if (
            destination >= len(code)
            or code[destination] != op.JUMPDEST
            or destination not in self._destinations
        ):
            raise InvalidJumpDestination("Invalid Jump Destination")
        self.checked.add(destination)

    def __missing__(self, position: int) -> Run:
        run = self[position] = _decode(self._code, position)
        return run


def _decode(code: bytes, position: int) -> Run:
    """The run that starts at `position`."""
    start, gas, work = position, 0, 0
    height = lowest = highest = 0  # of the stack, against its height at the entry
    steps: list[Step] = []
    while True:
        opcode = code[position] if position < len(code) else op.STOP
        if opcode == op.JUMPDEST and position > start:
            end, what = GO_ON, None
            break
        takes, puts = ARITIES.get(opcode, (0, 0))
        gas += FIXED_GAS.get(opcode, 0)
        work += OPCODES.get(opcode, UNDEFINED)
        lowest = min(lowest, height - takes)
        height += puts - takes
        highest = max(highest, height)
        position += 1
        if opcode in ENDS:
            end, what = _end(opcode, steps)
            break
        if op.PUSH0 <= opcode <= op.PUSH32:
            size = opcode - op.PUSH0
            data = code[position : position + size].ljust(size, b"\0")
            steps.append((PUSH, int.from_bytes(data, "big")))
            position += size
        elif opcode == op.PC:
            steps.append((PUSH, position - 1))
        elif opcode != op.JUMPDEST:
            steps.append(_STEPS[opcode])
    return gas, work, -lowest, STACK_LIMIT - highest, tuple(steps), end, what, position


def _end(opcode: int, steps: list[Step]) -> tuple[int, Any]:
    """How the run ends. A destination that was pushed is taken off the steps."""
    if opcode not in (op.JUMP, op.JUMPI):
        return OPERATION_AT_END, opcode
    destination = steps.pop()[1] if steps and steps[-1][0] == PUSH else None
    return (JUMP if opcode == op.JUMP else JUMPI), destination


def _step(opcode: int) -> Step:
    if op.DUP1 <= opcode <= op.DUP16:
        return DUP, op.DUP1 - opcode - 1
    if op.SWAP1 <= opcode <= op.SWAP16:
        return SWAP, op.SWAP1 - opcode - 2
    if opcode == op.POP:
        return POP, None
    if opcode in _BINARIES:
        return BINARY, _BINARIES[opcode]
    if opcode in _UNARIES:
        return UNARY, _UNARIES[opcode]
    return OPERATION, opcode


_STEPS: Final = {opcode: _step(opcode) for opcode in Computation.opcodes}


@lru_cache(maxsize=_PROGRAMS)
def program_of(code: bytes) -> Program:
    """The program of a contract's code, kept while it is among the last few used."""
    return Program(code)
