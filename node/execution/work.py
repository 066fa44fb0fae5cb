"""Work: the second meter beside gas, because gas is not time.

Gas prices opcodes as Ethereum's clients find them; this node's EVM has other proportions, and a transaction
could take seconds for little gas. So a transaction may do `WORK_PER_GAS` units of work for each unit of gas
that is left after its intrinsic gas, one unit being a nanosecond on the reference machine (docs/WORK.md), and
a block's gas limit bounds its time. Work is no part of gas used and no contract can see it; a transaction
that runs out of it fails as a whole, with all of its gas.

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

WORK_PER_GAS: Final = 10

NOT_LIMITED: Final = 1 << 62
WORK_BETWEEN_QUESTIONS: Final = 100_000
"""How much is done between two questions whether to go on: 0.1 ms, and the rest of an opcode."""

PLAIN: Final = 60
"""An opcode that has no price of its own."""

RUN: Final = 140
"""Added to the opcodes that end or start a run."""

# What depends on sizes and on the state. A word is 32 bytes, begun words count whole.
MEMORY_WORD: Final = 20
COPY_WORD: Final = 10
KECCAK_WORD: Final = 120
LOG_WORD: Final = 200
EXP_BYTE: Final = 2_000
COLD_ACCOUNT: Final = 20_000
COLD_SLOT: Final = 15_000
CHANGED_SLOT: Final = 60_000
INITCODE_BYTE: Final = 500
FURTHER_CALL: Final = 60_000
"""Each call of a batch but the first: its frame, and the account it goes to."""

# Precompiles. Modexp is priced by its gas, which follows the sizes of its numbers (EIP-2565).
ECRECOVER: Final = 300_000
HASH: Final = 5_000
SHA256_WORD: Final = 100
RIPEMD160_WORD: Final = 200
MODEXP: Final = 20_000
MODEXP_GAS: Final = 100
BLAKE2F: Final = 10_000
BLAKE2F_ROUND: Final = 100

_PRICES: Final[dict[int, int]] = {}
"""Fixed prices of opcodes that are dearer than `PLAIN`."""


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


def price_of(opcode: int) -> int:
    """The fixed price of an opcode, defined or not."""
    return _PRICES.get(opcode, PLAIN)


def words(size: int) -> int:
    """Words of 32 bytes that `size` bytes begin."""
    return (size + 31) >> 5
