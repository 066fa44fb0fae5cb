"""Programs that take as much time for their gas as somebody could make them take: one for each class of
opcodes and each precompile. `bench.work` runs them.

A program is a loop that never ends by itself, its body repeated so that the jump back counts for little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_MNEMONICS: Final = """
    00 STOP ADD MUL SUB DIV SDIV MOD SMOD ADDMOD MULMOD EXP SIGNEXTEND
    10 LT GT SLT SGT EQ ISZERO AND OR XOR NOT BYTE SHL SHR SAR
    20 KECCAK256
    30 ADDRESS BALANCE ORIGIN CALLER CALLVALUE CALLDATALOAD CALLDATASIZE CALLDATACOPY
    38 CODESIZE CODECOPY GASPRICE EXTCODESIZE EXTCODECOPY RETURNDATASIZE RETURNDATACOPY EXTCODEHASH
    40 BLOCKHASH COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID SELFBALANCE
    48 BASEFEE BLOBHASH BLOBBASEFEE
    50 POP MLOAD MSTORE MSTORE8 SLOAD SSTORE JUMP JUMPI PC MSIZE GAS JUMPDEST TLOAD TSTORE MCOPY PUSH0
    80 DUP1 DUP2 DUP3 DUP4 DUP5 DUP6 DUP7 DUP8 DUP9 DUP10 DUP11 DUP12 DUP13 DUP14 DUP15 DUP16
    90 SWAP1 SWAP2 SWAP3 SWAP4 SWAP5 SWAP6 SWAP7 SWAP8 SWAP9 SWAP10 SWAP11 SWAP12 SWAP13 SWAP14 SWAP15 SWAP16
    a0 LOG0 LOG1 LOG2 LOG3 LOG4
    f0 CREATE CALL CALLCODE RETURN DELEGATECALL CREATE2
    fa STATICCALL
    fd REVERT INVALID SELFDESTRUCT
"""

_OPCODES: Final = {
    name: number
    for first, *names in (line.split() for line in _MNEMONICS.split("\n") if line.strip())
    for number, name in enumerate(names, int(first, 16))
}

_ENVIRONMENT: Final = (
    "ADDRESS", "ORIGIN", "CALLER", "CALLVALUE", "CALLDATASIZE", "CODESIZE", "GASPRICE", "RETURNDATASIZE",
    "COINBASE", "TIMESTAMP", "NUMBER", "PREVRANDAO", "GASLIMIT", "CHAINID", "SELFBALANCE", "BASEFEE",
    "BLOBBASEFEE", "PC", "MSIZE", "GAS",
)  # fmt: skip

BIG: Final = (1 << 256) - 0x1234567
HALF: Final = (1 << 128) + 0x7654321
ROWS_FROM: Final = 1 << 64
"""Accounts and slots that `bench.work` puts into the database are numbered from here on."""
EMPTY: Final = 1 << 80
"""An address where nothing is."""

_ECRECOVER_INPUT: Final = bytes.fromhex(
    "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
    "000000000000000000000000000000000000000000000000000000000000001c"
    "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
    "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
)


@dataclass(frozen=True, slots=True)
class WorstCase:
    """`code` at an address of its own is called with `data`.

    `lasting`: what it changes is to stay, so it stops by itself once there is no more gas than the first word
    of its data says. `peak`: its memory is of interest, too.
    """

    name: str
    code: bytes
    data: bytes = b""
    lasting: bool = False
    peak: bool = False


@dataclass(frozen=True, slots=True)
class Helpers:
    """Addresses of contracts that the programs call."""

    stop: int
    """Does nothing."""
    returns: int
    """Returns 64 kB."""
    reverts: int
    """Reverts with 64 kB."""
    large: int
    """24,576 bytes of code, the first of which stops it."""

    @staticmethod
    def codes() -> tuple[bytes, ...]:
        """In the order of the fields."""
        return (
            asm("STOP"),
            asm(1 << 16, 0, "RETURN"),
            asm(1 << 16, 0, "REVERT"),
            asm("STOP") * 24_576,
        )


def asm(*items: str | int | bytes) -> bytes:
    """Code of mnemonics (several in one string), numbers to push, and raw bytes."""
    code = b""
    for item in items:
        if isinstance(item, bytes):
            code += item
        elif isinstance(item, int):
            size = (item.bit_length() + 7) // 8
            code += bytes([0x5F + size]) + item.to_bytes(size, "big")
        else:
            code += bytes(_OPCODES[name] for name in item.split())
    return code


def forever(*body: str | int | bytes, setup: bytes = b"", copies: int = 40) -> bytes:
    """`setup`, then the body again and again."""
    return setup + asm("JUMPDEST") + asm(*body) * copies + asm(len(setup), "JUMP")


def while_gas(*body: str | int | bytes, setup: bytes = b"", copies: int = 10) -> bytes:
    """`setup`, then the body again and again while there is more gas than the first word of the data says."""
    again = asm(0, "CALLDATALOAD GAS GT", len(setup), "JUMPI STOP")
    return setup + asm("JUMPDEST") + asm(*body) * copies + again


def memory(content: bytes) -> bytes:
    """Code that writes `content` to memory from 0 on."""
    return b"".join(
        asm(int.from_bytes(content[at : at + 32].ljust(32, b"\0"), "big"), at, "MSTORE")
        for at in range(0, len(content), 32)
    )


def worst_cases(helpers: Helpers) -> Iterator[WorstCase]:
    """All of them."""
    for name, code in _plain():
        yield WorstCase(name, code)
    for name, code in _memory():
        yield WorstCase(name, code)
    yield WorstCase("CALLDATALOAD", forever(0, "CALLDATALOAD POP"), b"\xff" * 32)
    yield WorstCase("CALLDATACOPY 128 kB", forever(100_000, 0, 0, "CALLDATACOPY"), b"\xff" * 100_000)
    for name, code in _state(helpers):
        yield WorstCase(name, code)
    for name, code in _changes():
        yield WorstCase(name, code, lasting=True)
    yield from _calls(helpers)
    yield from _creations()
    for name, number, content, size in _precompiles():
        body = (0, 0, size, 0, number, "GAS STATICCALL POP")
        yield WorstCase(name, forever(*body, setup=memory(content)))


def _plain() -> Iterator[tuple[str, bytes]]:
    yield "JUMPDEST", forever("JUMPDEST", copies=2_000)
    yield "JUMP to a number", asm("JUMPDEST", 0, "JUMP")
    yield "JUMP from the stack", asm(2, "JUMPDEST DUP1 JUMP")
    yield "JUMPI not taken", forever(0, 0, "JUMPI")
    yield "JUMPI taken", asm("JUMPDEST", 1, 0, "JUMPI")
    yield "PUSH0, POP", forever("PUSH0 POP", copies=500)
    yield "PUSH32, POP", forever(BIG, "POP")
    yield "DUP, POP", forever("DUP16 POP", setup=asm(*[BIG] * 16), copies=500)
    yield "SWAP", forever("SWAP16", setup=asm(*[BIG] * 17), copies=500)
    for name in ("ADD", "SUB", "MUL", "AND", "LT", "EQ", "SHL", "SAR", "BYTE", "SIGNEXTEND", "SLT"):
        yield name, forever("DUP2 DUP2", name, "POP", setup=asm(BIG, 7 if name[0] in "SB" else BIG - 9))
    for name in ("DIV", "MOD", "SDIV", "SMOD"):
        yield name, forever("DUP2 DUP2", name, "POP", setup=asm(HALF, BIG))
    yield "NOT, ISZERO", forever("NOT ISZERO NOT", setup=asm(BIG), copies=300)
    for name in ("ADDMOD", "MULMOD"):
        yield name, forever("DUP3 DUP3 DUP3", name, "POP", setup=asm(HALF, BIG, BIG - 5))
    yield "EXP of 32 bytes", forever("DUP2 DUP2 EXP POP", setup=asm(BIG, BIG))
    yield "EXP of 1 byte", forever("DUP2 DUP2 EXP POP", setup=asm(255, BIG))
    for name in _ENVIRONMENT:
        yield name, forever(name, "POP", copies=300)
    for name in ("BLOCKHASH", "BLOBHASH"):
        yield name, forever(0, name, "POP")


def _memory() -> Iterator[tuple[str, bytes]]:
    large = 1 << 20
    grown = asm(0, large, "MSTORE")
    for name in ("MSTORE", "MSTORE8"):
        yield name, forever(BIG, 0, name)
    yield "MLOAD", forever(0, "MLOAD POP")
    yield "memory, as much as there is", forever("MSIZE", 1 << 15, "ADD MLOAD POP")
    yield "MCOPY 32 B", forever(32, 0, 32, "MCOPY", setup=asm(0, 64, "MSTORE"))
    yield "MCOPY 1 MB", forever(large, 0, 31, "MCOPY", setup=grown)
    yield "CODECOPY 1 B", forever(1, 0, 0, "CODECOPY")
    yield "CODECOPY 1 MB", forever(large, 0, 0, "CODECOPY", setup=grown)
    yield "RETURNDATACOPY 0 B", forever(0, 0, 0, "RETURNDATACOPY")
    yield "KECCAK256 0 B", forever(0, 0, "KECCAK256 POP")
    yield "KECCAK256 32 B", forever(32, 0, "KECCAK256 POP")
    yield "KECCAK256 136 B", forever(136, 0, "KECCAK256 POP")
    yield "KECCAK256 1 MB", forever(large, 0, "KECCAK256 POP", setup=grown)


def _state(helpers: Helpers) -> Iterator[tuple[str, bytes]]:
    count = asm(ROWS_FROM)
    yield "SLOAD warm", forever(0, "SLOAD POP")
    yield "SLOAD cold", forever(1, "ADD DUP1 SLOAD POP", setup=count)
    yield "SLOAD cold, no such slot", forever(1, "ADD DUP1 SLOAD POP", setup=asm(1 << 200))
    yield "SSTORE to and fro", forever(1, 0, "SSTORE", 0, 0, "SSTORE")
    yield "SSTORE of the same", forever(0, 0, "SSTORE")
    yield "TLOAD", forever(0, "TLOAD POP")
    yield "TSTORE of one slot", forever(BIG, 0, "TSTORE")
    yield "TSTORE of new slots", forever(1, "ADD DUP1 DUP1 TSTORE", setup=asm(BIG >> 1))
    for name in ("BALANCE", "EXTCODESIZE", "EXTCODEHASH"):
        yield f"{name} cold", forever(1, "ADD DUP1", name, "POP", setup=count)
        yield f"{name} warm", forever(helpers.large, name, "POP")
    yield "EXTCODECOPY cold", forever(1, "ADD", 1, 0, 0, "DUP4 EXTCODECOPY", setup=count)
    yield "EXTCODECOPY 24 kB", forever(24_576, 0, 0, helpers.large, "EXTCODECOPY")


def _changes() -> Iterator[tuple[str, bytes]]:
    yield "SSTORE of new slots", while_gas(1, "ADD DUP1 DUP1 SSTORE", setup=asm(1 << 200))
    yield "LOG0 empty", while_gas(0, 0, "LOG0")
    yield "LOG4 empty", while_gas(BIG, BIG - 1, BIG - 2, "GAS", 0, 0, "LOG4")
    yield "LOG1 100 B", while_gas("GAS", 100, 0, "LOG1")
    yield "LOG0 4 kB", while_gas(1 << 12, 0, "LOG0")
    yield "CREATE of nothing", while_gas(0, 0, 0, "CREATE POP")
    yield "CREATE2 of nothing", while_gas(1, "ADD DUP1", 0, 0, 0, "CREATE2 POP", setup=asm(1 << 40))
    runtime = memory(asm(24_576, 0, "RETURN").rjust(13, b"\x5b"))
    yield "CREATE of large contracts", while_gas(13, 0, 0, "CREATE POP", setup=runtime, copies=1)
    destroyed = asm("CALLER SELFDESTRUCT")
    setup = memory(destroyed.ljust(32, b"\0"))
    yield "SELFDESTRUCT in CREATE", while_gas(len(destroyed), 0, 0, "CREATE POP", setup=setup)
    stored = b"".join(asm(slot, slot, "SSTORE") for slot in range(1, 9))
    for name, code in (("that stays", stored), ("that is destroyed", stored + asm("CALLER SELFDESTRUCT"))):
        body = (len(code), 0, 0, "CREATE POP")
        yield f"CREATE with 8 slots {name}", while_gas(*body, setup=memory(code), copies=1)


def _calls(helpers: Helpers) -> Iterator[WorstCase]:
    for name in ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"):
        value = (0,) if name in ("CALL", "CALLCODE") else ()
        body = (0, 0, 0, 0, *value, helpers.stop, "GAS", name, "POP")
        yield WorstCase(f"{name} of an empty contract", forever(*body))
    yield WorstCase("CALL of nobody", forever(0, 0, 0, 0, 0, EMPTY, "GAS CALL POP"))
    yield WorstCase(
        "CALL of cold accounts",
        forever(1, "ADD", 0, 0, 0, 0, 0, "DUP6 GAS CALL POP", setup=asm(ROWS_FROM)),
    )
    yield WorstCase("CALL of a large contract", forever(0, 0, 0, 0, 0, helpers.large, "GAS CALL POP"))
    big = asm(0, 1 << 20, "MSTORE")
    yield WorstCase(
        "CALL with 1 MB", forever(0, 0, 1 << 20, 0, 0, helpers.stop, "GAS CALL POP", setup=big), peak=True
    )
    back = (1 << 16, 0, 0, 0, 0)
    yield WorstCase("CALL that returns 64 kB", forever(*back, helpers.returns, "GAS CALL POP"))
    yield WorstCase("CALL that reverts with 64 kB", forever(*back, helpers.reverts, "GAS CALL POP"))
    none = (0, 0, 0, 0, 0)
    yield WorstCase("CALL that fails", forever(*none, "ADDRESS", 0, "CALL POP"))
    yield WorstCase("recursion", asm("JUMPDEST", *none, "ADDRESS GAS CALL POP", 0, "JUMP"), peak=True)
    yield WorstCase(
        "recursion with memory", asm(0, 3_900 * 32, "MSTORE", *none, "ADDRESS GAS CALL STOP"), peak=True
    )
    logs = asm(0, 0, "LOG0") * 8
    yield WorstCase("recursion with logs", logs + asm(*none, "ADDRESS GAS CALL STOP"), peak=True)


def _creations() -> Iterator[WorstCase]:
    for name, initcode in (
        ("of JUMPDEST", b"\x5b" * 49_152),
        ("of PUSH0, POP", b"\x5f\x50" * 24_576),
        ("of jumps", b"".join(asm(at + 4, "JUMP JUMPDEST").rjust(5, b"\x5b") for at in range(0, 1_000, 5))),
    ):
        setup = asm(len(initcode), 0, 0, "CALLDATACOPY")
        code = forever(len(initcode), 0, 0, "CREATE POP", setup=setup)
        yield WorstCase(f"CREATE with long initcode {name}", code, initcode, peak=True)


def _precompiles() -> Iterator[tuple[str, int, bytes, int]]:
    """Name, address, input, size of the input: behind it memory is zero."""
    yield "ecrecover", 1, _ECRECOVER_INPUT, 128
    for name, number in (("sha256", 2), ("ripemd160", 3), ("identity", 4)):
        yield f"{name} 0 B", number, b"", 0
        yield f"{name} 64 kB", number, b"", 1 << 16
    for base, exponent, modulus in (
        (32, 32, 32), (64, 64, 64), (128, 128, 128), (256, 3, 256), (256, 256, 256), (512, 64, 512),
        (1_024, 8, 1_024), (8, 1_024, 8), (1, 4_096, 1), (1_024, 1, 1), (1, 1, 1_024),
    ):  # fmt: skip
        sizes = b"".join(size.to_bytes(32, "big") for size in (base, exponent, modulus))
        content = sizes + b"\xff" * (base + exponent + modulus - 1) + b"\xfd"
        yield f"modexp {base}, {exponent}, {modulus} B", 5, content, len(content)
    for rounds in (0, 12, 10_000, 1_000_000):
        yield f"blake2f {rounds:,} rounds", 9, rounds.to_bytes(4, "big") + b"\x55" * 208 + b"\1", 213
