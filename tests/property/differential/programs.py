"""Random EVM programs that mostly do something: a generator that knows how high the stack is.

A program is a row of statements. Each pushes what its opcode takes, mostly numbers that make sense there, and
leaves the stack as high as it was or a little higher; now and then one takes what it finds, runs into too
small a stack, jumps nowhere, or is not an opcode at all. Contracts know each other's addresses, so they call,
delegate, create and destroy one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from eth.vm import opcode_values as op

LARGEST: Final = (1 << 256) - 1
PRECOMPILES: Final = tuple(number.to_bytes(20, "big") for number in (1, 2, 3, 4, 5, 9))

TAKES: Final[dict[int, int]] = {
    **dict.fromkeys((op.ADD, op.MUL, op.SUB, op.DIV, op.SDIV, op.MOD, op.SMOD, op.EXP, op.SIGNEXTEND), 2),
    **dict.fromkeys((op.LT, op.GT, op.SLT, op.SGT, op.EQ, op.AND, op.OR, op.XOR, op.BYTE), 2),
    **dict.fromkeys((op.SHL, op.SHR, op.SAR), 2),
    **dict.fromkeys((op.ADDMOD, op.MULMOD), 3),
    **dict.fromkeys((op.ISZERO, op.NOT), 1),
    **dict.fromkeys((op.ADDRESS, op.ORIGIN, op.CALLER, op.CALLVALUE, op.CALLDATASIZE, op.CODESIZE), 0),
    **dict.fromkeys((op.GASPRICE, op.RETURNDATASIZE, op.COINBASE, op.TIMESTAMP, op.NUMBER), 0),
    **dict.fromkeys((op.PREVRANDAO, op.GASLIMIT, op.CHAINID, op.SELFBALANCE, op.BASEFEE), 0),
    **dict.fromkeys((op.BLOBBASEFEE, op.PC, op.MSIZE, op.GAS), 0),
    **dict.fromkeys((op.BLOCKHASH, op.BLOBHASH), 1),
}
"""Opcodes whose arguments may be any numbers, and how many they take; each gives one."""


class Writer:
    """One program being written. `addresses` are the accounts it may name."""

    def __init__(self, chance: Random, addresses: Sequence[bytes], nesting: int = 2) -> None:
        self._chance = chance
        self._addresses = addresses
        self._nesting = nesting
        self._code = bytearray()
        self._height = 0
        self._statements: list[tuple[int, Callable[[], None]]] = [
            (10, self._compute),
            (7, self._memory),
            (9, self._storage),
            (3, self._transient),
            (6, self._call),
            (3, self._account),
            (3, self._copy),
            (2, self._hash),
            (2, self._log),
            (4, self._branch),
            (2, self._loop),
            (4, self._create),
            (3, self._stack),
            (1, self._deep_stack),
            (1, self._anything),
            (1, self._end),
        ]

    def write(self, statements: int) -> bytes:
        weights = [weight for weight, _ in self._statements]
        for _ in range(statements):
            self._chance.choices(self._statements, weights)[0][1]()
        self._end()
        return bytes(self._code)

    # Pieces

    def _emit(self, *opcodes: int) -> None:
        self._code += bytes(opcodes)

    def _push(self, value: int) -> None:
        value &= LARGEST
        size = (value.bit_length() + 7) // 8
        if size == 0 and self._chance.random() < 0.1:
            size = 1
        elif size and self._chance.random() < 0.05:
            size = self._chance.randrange(size, 33)
        self._emit(op.PUSH0 + size)
        self._code += value.to_bytes(size, "big")
        self._height += 1

    def _push_bytes(self, value: bytes) -> None:
        self._push(int.from_bytes(value, "big"))

    def _number(self) -> int:
        pick = self._chance.random()
        if pick < 0.5:
            return self._chance.randrange(40)
        if pick < 0.7:
            return self._chance.choice((31, 32, 33, 255, 256, 1 << 32, 1 << 64, 1 << 128, 1 << 255))
        if pick < 0.8:
            return LARGEST - self._chance.randrange(3)
        return self._chance.getrandbits(self._chance.choice((16, 64, 160, 256)))

    def _offset(self) -> int:
        """Of memory or data: small, rarely so large that no gas pays for it."""
        if self._chance.random() < 0.003:
            return self._chance.choice((1 << 20, 1 << 32, 1 << 64, LARGEST))
        return self._chance.choice((0, 0, 1, 31, 32, 64, self._chance.randrange(300)))

    def _size(self) -> int:
        if self._chance.random() < 0.003:
            return self._chance.choice((1 << 16, 1 << 40, LARGEST))
        return self._chance.choice((0, 1, 20, 32, 32, 64, self._chance.randrange(200)))

    def _slot(self) -> int:
        return self._chance.choice((0, 1, 2, 3, 3, LARGEST, self._chance.randrange(12)))

    def _push_address(self) -> None:
        pick = self._chance.random()
        if pick < 0.08:
            self._emit(op.ADDRESS)
            self._height += 1
        elif pick < 0.12:
            self._emit(op.CALLER)
            self._height += 1
        elif pick < 0.2:
            self._push_bytes(self._chance.choice(PRECOMPILES))
        elif pick < 0.25:
            self._push(self._chance.getrandbits(160))
        elif pick < 0.3 and self._height:
            self._emit(op.DUP1)  # whatever is there: perhaps an address of a contract just made
            self._height += 1
        else:
            self._push_bytes(self._chance.choice(self._addresses))

    def _drop(self, opcode: int, takes: int, gives: int = 0) -> None:
        self._emit(opcode)
        self._height += gives - takes

    # Statements

    def _compute(self) -> None:
        opcode = self._chance.choice(list(TAKES))
        takes = TAKES[opcode]
        found = min(self._height, takes, self._chance.randrange(3))
        for _ in range(takes - found):
            self._push(self._number())
        self._drop(opcode, takes, 1)

    def _memory(self) -> None:
        if self._chance.random() < 0.4:
            self._push(self._offset())
            self._drop(op.MLOAD, 1, 1)
        elif self._chance.random() < 0.2:
            for value in (self._size(), self._offset(), self._offset()):
                self._push(value)
            self._drop(op.MCOPY, 3)
        else:
            if not self._height or self._chance.random() < 0.5:
                self._push(self._number())
            self._push(self._offset())
            self._drop(self._chance.choice((op.MSTORE, op.MSTORE, op.MSTORE8)), 2)

    def _storage(self) -> None:
        if self._chance.random() < 0.4:
            self._push(self._slot())
            self._drop(op.SLOAD, 1, 1)
        else:
            if not self._height or self._chance.random() < 0.6:
                self._push(self._chance.choice((0, 0, 1, 2, self._number())))
            self._push(self._slot())
            self._drop(op.SSTORE, 2)

    def _transient(self) -> None:
        if self._chance.random() < 0.5:
            self._push(self._slot())
            self._drop(op.TLOAD, 1, 1)
        else:
            self._push(self._number())
            self._push(self._slot())
            self._drop(op.TSTORE, 2)

    def _call(self) -> None:
        opcode = self._chance.choice((op.CALL, op.CALL, op.CALLCODE, op.DELEGATECALL, op.STATICCALL))
        for value in (self._size(), self._offset(), self._size(), self._offset()):
            self._push(value)
        takes = 6
        if opcode in (op.CALL, op.CALLCODE):
            self._push(self._chance.choice((0, 0, 0, 1, 7, self._number())))
            takes = 7
        self._push_address()
        if self._chance.random() < 0.1:
            self._emit(op.GAS)
            self._height += 1
        else:
            self._push(self._chance.choice((0, 100, 2_300, 9_000, 30_000, 30_000, 60_000, 60_000, 150_000)))
        self._drop(opcode, takes, 1)

    def _account(self) -> None:
        self._push_address()
        self._drop(self._chance.choice((op.BALANCE, op.EXTCODESIZE, op.EXTCODEHASH)), 1, 1)

    def _copy(self) -> None:
        opcode = self._chance.choice((op.CALLDATACOPY, op.CODECOPY, op.RETURNDATACOPY, op.EXTCODECOPY))
        if opcode == op.RETURNDATACOPY and self._chance.random() < 0.8:
            self._emit(op.RETURNDATASIZE, op.PUSH0)
            self._height += 2
            self._push(self._offset())
            self._drop(opcode, 3)
            return
        for value in (self._size(), self._offset(), self._offset()):
            self._push(value)
        if opcode == op.EXTCODECOPY:
            self._push_address()
            self._drop(opcode, 4)
        else:
            self._drop(opcode, 3)

    def _hash(self) -> None:
        if self._chance.random() < 0.3:
            self._push(self._offset())
            self._drop(op.CALLDATALOAD, 1, 1)
        else:
            self._push(self._size())
            self._push(self._offset())
            self._drop(op.SHA3, 2, 1)

    def _log(self) -> None:
        topics = self._chance.randrange(5)
        for _ in range(topics):
            self._push(self._number())
        self._push(self._size())
        self._push(self._offset())
        self._drop(op.LOG0 + topics, topics + 2)

    def _branch(self) -> None:
        """Some statements jumped over if a number is not zero; now and then a jump to anywhere."""
        if self._chance.random() < 0.05:
            self._push(self._chance.randrange(len(self._code) + 40))
            self._drop(op.JUMP, 1)
            return
        if self._chance.random() < 0.2:
            # Over one byte; where that is a PUSH1, the destination is its data and no destination at all.
            target = len(self._code) + 5
            skipped = self._chance.choice((0xFE, 0xFE, 0xFE, op.PUSH1))
            self._emit(op.PUSH2, *target.to_bytes(2, "big"), op.JUMP, skipped, op.JUMPDEST)
            return
        if not self._height:
            self._push(self._chance.randrange(2))
        inside = self._part(self._chance.randrange(1, 4))
        target = len(self._code) + 4 + len(inside)
        self._emit(op.PUSH2, *target.to_bytes(2, "big"), op.JUMPI)
        self._height -= 1
        self._code += inside
        self._emit(op.JUMPDEST)

    def _loop(self) -> None:
        """Some statements a few times. They may leave the stack higher: the counter is in memory."""
        counter = 0x400 + 32 * self._chance.randrange(4)
        times = self._chance.randrange(1, 5)
        self._push(times)
        self._push(counter)
        self._drop(op.MSTORE, 2)
        start = len(self._code)
        self._emit(op.JUMPDEST)
        self._code += self._part(self._chance.randrange(1, 3))
        self._push(1)
        self._push(counter)
        self._emit(op.MLOAD, op.SUB, op.DUP1)
        self._push(counter)
        self._emit(op.MSTORE, op.PUSH2, *start.to_bytes(2, "big"), op.JUMPI)
        self._height -= 3

    def _part(self, statements: int) -> bytes:
        """Straight statements that end with the stack as high as it was."""
        height, before = self._height, len(self._code)
        for _ in range(statements):
            self._chance.choice(
                (
                    self._compute,
                    self._memory,
                    self._storage,
                    self._storage,
                    self._transient,
                    self._call,
                    self._log,
                )
            )()
        while self._height > height:
            self._drop(op.POP, 1)
        while self._height < height:
            self._push(0)
        part = bytes(self._code[before:])
        del self._code[before:]
        self._height = height
        return part

    def _create(self) -> None:
        """A contract made from code written into memory, kept on the stack and perhaps called."""
        initcode = self._initcode()
        for start in range(0, len(initcode), 32):
            self._push_bytes(initcode[start : start + 32].ljust(32, b"\0"))
            self._push(start)
            self._drop(op.MSTORE, 2)
        opcode = self._chance.choice((op.CREATE, op.CREATE2))
        if opcode == op.CREATE2:
            self._push(self._chance.randrange(2))
        self._push(len(initcode))
        self._push(0)
        self._push(self._chance.choice((0, 0, 1)))
        self._drop(opcode, 4 if opcode == op.CREATE2 else 3, 1)
        if self._chance.random() < 0.7:
            self._emit(op.PUSH0, op.PUSH0, op.PUSH0, op.PUSH0, op.PUSH0, op.DUP6, op.GAS, op.CALL)
            self._height += 1

    def _initcode(self) -> bytes:
        if self._nesting == 0 or self._chance.random() < 0.05:
            return bytes(self._chance.getrandbits(8) for _ in range(self._chance.randrange(40)))
        inner = Writer(self._chance, self._addresses, self._nesting - 1)
        if self._chance.random() < 0.3:  # made and destroyed in one transaction (EIP-6780)
            inner._storage()
            inner._push_address()
            inner._drop(op.SELFDESTRUCT, 1)
            code = bytes(inner._code)
            return code if self._chance.random() < 0.4 else deployment(code)
        if self._chance.random() < 0.3:
            return inner.write(self._chance.randrange(1, 5))
        return deployment(inner.write(self._chance.randrange(1, 6)))

    def _stack(self) -> None:
        if self._height >= 2 and self._chance.random() < 0.5:
            self._emit(op.SWAP1 + self._chance.randrange(min(16, self._height - 1)))
        elif self._height and self._chance.random() < 0.7:
            self._emit(op.DUP1 + self._chance.randrange(min(16, self._height)))
            self._height += 1
        elif self._height:
            self._drop(op.POP, 1)

    def _deep_stack(self) -> None:
        """The far positions of DUP and SWAP, then mostly back to where it was."""
        pushed = self._chance.randrange(9, 18)
        for _ in range(pushed):
            self._push(self._chance.getrandbits(8 * self._chance.randrange(33)))
        for _ in range(self._chance.randrange(1, 4)):
            position = self._chance.randrange(min(16, self._height))
            if self._chance.random() < 0.5:
                self._emit(op.DUP1 + position)
                self._height += 1
            else:
                self._emit(op.SWAP1 + min(position, self._height - 2))
        for _ in range(self._chance.choice((0, pushed, pushed))):
            self._drop(op.POP, 1)

    def _anything(self) -> None:
        """A byte that is not looked at: an opcode without arguments, data, or none at all."""
        if self._chance.random() < 0.3:
            self._emit(self._chance.randrange(256))

    def _end(self) -> None:
        pick = self._chance.random()
        if pick < 0.35:
            self._emit(op.STOP)
        elif pick < 0.65:
            self._push(self._size())
            self._push(self._offset())
            self._drop(op.RETURN, 2)
        elif pick < 0.8:
            self._push(self._size())
            self._push(self._offset())
            self._drop(op.REVERT, 2)
        elif pick < 0.92:
            self._push_address()
            self._drop(op.SELFDESTRUCT, 1)
        elif pick < 0.95:
            self._emit(0xFE)


def deployment(code: bytes) -> bytes:
    """Initcode that deploys `code`."""
    return (
        bytes((op.PUSH2, *len(code).to_bytes(2, "big"), op.DUP1, op.PUSH1, 10, op.PUSH0, op.CODECOPY))
        + bytes((op.PUSH0, op.RETURN))
        + code
    )
