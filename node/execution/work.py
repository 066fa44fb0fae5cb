"""Work: the second meter beside gas, because gas is not time.

Gas prices opcodes as Ethereum's clients find them; this node's EVM has other proportions, and a transaction
could take seconds for little gas. So a transaction may do `BASE_WORK` units of work, and `WORK_PER_GAS` for
each unit of gas that is left after its intrinsic gas, one unit being a nanosecond on the reference machine
(docs/WORK.md), and a block's gas limit bounds its time. Work is no part of gas used and no contract can see
it; a transaction that runs out of it fails as a whole, with all of its gas.

The prices here are consensus: integers, part of the fork; to change one is a new fork. Each is above the
measured cost of its worst case (`python -m bench.work` measures them all), so what a contract does in
practice takes less time than its work says.

How it is counted: an opcode's fixed price when the run of opcodes that it stands in is entered
(`node.execution.program`), before anything in the run happens; what depends on sizes when the memory that the
opcode touches has been paid for, before the opcode does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eth.vm import opcode_values

WORK_PER_GAS: Final = 10
BASE_WORK: Final = 100_000
"""What a transaction may do besides: of its base gas, what its bytes, signature and receipt leave."""

NOT_LIMITED: Final = 1 << 62
WORK_BETWEEN_QUESTIONS: Final = 100_000
"""How much is done between two questions whether to go on: 0.1 ms, and the rest of an opcode."""

# What depends on sizes and on the state. A word is 32 bytes, begun words count whole.
MEMORY_WORD: Final = 10
"""Each word by which memory grows: it is zeroed, and mostly copied once more."""
COPY_WORD: Final = 5
"""Each word of a copy; of the input and output areas of a call; of the initcode of CREATE."""
KECCAK_WORD: Final = 100
"""Each word hashed by KECCAK256 and by CREATE2."""
LOG_WORD: Final = 300
"""Each word of a log's data: it goes into the receipt, its hash, and the store."""
EXP_BYTE: Final = 3_500
"""Each byte of the exponent, without leading zeros."""
COLD_ACCOUNT: Final = 20_000
"""An address that becomes warm (EIP-2929) while the transaction runs: an account is read, and its code."""
COLD_SLOT: Final = 15_000
"""A slot that becomes warm while the transaction runs: it is read."""
CHANGED_SLOT: Final = 35_000
"""SSTORE that changes a slot from what it was before the transaction: its part of the trie is made anew."""
CODE_WORD: Final = 300
"""Each word of the code of a new contract: it is hashed and stored."""
INITCODE_BYTE: Final = 900
"""Each byte of initcode, of CREATE, CREATE2 and of a creating transaction: it is decoded for one use."""
FURTHER_CALL: Final = 60_000
"""Each call of a batch but the first: its frame, and the account it goes to."""

# Precompiles, by size of the input or as each of them says.
ECRECOVER: Final = 110_000
HASH: Final = 2_000
SHA256_WORD: Final = 40
RIPEMD160_WORD: Final = 150
MODEXP: Final = 30_000
MODEXP_GAS: Final = 45
"""Each unit of modexp's gas (EIP-2565), which follows the sizes of base and modulus."""
MODEXP_ITERATION: Final = 150
"""Each of EIP-2565's iterations: about the bits of the exponent."""
BLAKE2F: Final = 80_000
BLAKE2F_ROUND: Final = 20

_BY_PRICE: Final[dict[int, str]] = {
    50: "POP PC PUSH0 " + " ".join(f"PUSH{n} DUP{(n + 1) // 2}" for n in range(1, 33)) + " JUMP",
    80: "AND OR XOR " + " ".join(f"SWAP{n}" for n in range(1, 17)),
    100: "STOP",
    120: "JUMPI",
    140: "ADD SUB LT GT EQ ISZERO NOT SHL SHR JUMPDEST",
    220: "MUL DIV MOD CALLER CALLVALUE CALLDATASIZE",
    400: "MLOAD MSTORE CALLDATALOAD",
    500: "ADDRESS ORIGIN CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER DIFFICULTY GASLIMIT "
    "CHAINID SELFBALANCE BASEFEE BLOBBASEFEE MSIZE GAS BLOBHASH SLOAD TLOAD",
    700: "SAR SIGNEXTEND RETURN REVERT",
    900: "BYTE SLT SGT ADDMOD SSTORE",
    1_000: "SDIV SMOD MULMOD",
    1_500: "MSTORE8 BLOCKHASH SHA3 BALANCE EXTCODESIZE EXTCODEHASH",
    2_500: "EXP MCOPY TSTORE",
    3_500: "CALLDATACOPY CODECOPY RETURNDATACOPY EXTCODECOPY",
    7_000: "LOG0",
    10_000: "LOG1",
    13_000: "LOG2",
    16_000: "LOG3",
    19_000: "LOG4",
    15_000: "SELFDESTRUCT",
    32_000: "CALL CALLCODE DELEGATECALL STATICCALL",
    50_000: "CREATE CREATE2",
}
"""Fixed prices of opcodes, by the names that py-evm gives them."""

UNDEFINED: Final = 50
"""An opcode that is none, INVALID (0xfe) among them."""


class OutOfWork(Exception):
    """The transaction has done all the work it may. Not an EVM error: it leaves through every frame."""


class Stopped(Exception):
    """A call was told to stop. Not an EVM error: it leaves through every frame."""


class WorkMeter:
    """What one transaction may still do. Shared by all of its frames.

    `left` may be taken from directly, by whoever then calls `check` once it is below `pause`: the
    interpreter's loop does so.
    """

    __slots__ = ("_limit", "_should_stop", "left", "pause")

    def __init__(self, limit: int | None = None, should_stop: Callable[[], bool] | None = None) -> None:
        """`limit` None: as much as it likes. `should_stop` is asked at once and then about every 0.1 ms."""
        self._limit = NOT_LIMITED if limit is None else limit
        self._should_stop = should_stop
        self.left = self._limit
        self.pause = 0 if should_stop is None else self._limit + 1

    @property
    def done(self) -> int:
        """Units charged so far; at most the limit."""
        return self._limit - max(self.left, 0)

    def charge(self, amount: int) -> None:
        """Raises OutOfWork, or Stopped when it is time to ask and the answer is yes."""
        self.left -= amount
        if self.left < self.pause:
            self.check()

    def check(self) -> None:
        """Raises as `charge` does."""
        if self.left < 0:
            raise OutOfWork
        if self._should_stop is not None:
            if self._should_stop():
                raise Stopped
            self.pause = max(self.left - WORK_BETWEEN_QUESTIONS, 0)


OPCODES: Final[dict[int, int]] = {
    getattr(opcode_values, name): price for price, names in _BY_PRICE.items() for name in names.split()
}
"""Fixed prices of all opcodes by number."""


def work_limit(gas: int, intrinsic_gas: int) -> int:
    """What a transaction with this gas limit may do."""
    return BASE_WORK + WORK_PER_GAS * max(gas - intrinsic_gas, 0)


def least_gas(work: int, intrinsic_gas: int) -> int:
    """The least gas limit that allows so much work."""
    return intrinsic_gas + max(0, -(-(work - BASE_WORK) // WORK_PER_GAS))


def words(size: int) -> int:
    """Words of 32 bytes that `size` bytes begin."""
    return (size + 31) >> 5
