"""How much history of the state a node keeps: a choice of its operator, no matter of consensus.

Blocks, receipts, logs and code are kept for ever in every mode; what goes is the state at old heights, which
is what balances, storage, calls and proofs "at" an old block read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from node.chain.errors import LedgerError

FEWEST_RECENT: Final = 16
"""A client that was told a height reads there a few blocks later: proofs into header h+1, calls at the block
it has just seen. Fewer states than this would refuse it.
"""

SNAPSHOT_RECENT: Final = 128
"""Recent states that `snapshot` keeps beside its snapshots; the number that Ethereum nodes keep."""

MOST_SNAPSHOTS: Final = 64

_FORMS: Final = (
    "archive, recent:N with N from 16 on, or snapshot:EVERY or snapshot:EVERY:KEEP with KEEP from 1 to 64"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """Which states stay. All of them without arguments.

    Attributes:
        recent: the states of the last so many heights stay, the tip's among them; None: all of them.
        every: so do those of heights divisible by this; 0: none.
        keep: of these the last so many.
    """

    recent: int | None = None
    every: int = 0
    keep: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`archive`, `recent:N`, `snapshot:EVERY`, `snapshot:EVERY:KEEP`.

        Raises LedgerError ledger.retention.
        """
        if text == "archive":
            return cls()
        form = re.fullmatch(r"(recent|snapshot):([1-9][0-9]{0,17})(?::([1-9][0-9]{0,17}))?", text, re.ASCII)
        if form is not None:
            number, keep = int(form[2]), int(form[3] or 2)
            if form[1] == "snapshot" and keep <= MOST_SNAPSHOTS:
                return cls(SNAPSHOT_RECENT, number, keep)
            if form[1] == "recent" and form[3] is None and number >= FEWEST_RECENT:
                return cls(number)
        raise LedgerError("ledger.retention", "not a way to keep history", text, _FORMS)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        if self.every:
            return f"snapshot:{self.every}:{self.keep}"
        return "archive" if self.recent is None else f"recent:{self.recent}"

    def oldest(self, tip: int) -> int:
        """The height from which on every state stays."""
        return 0 if self.recent is None else max(0, tip - self.recent + 1)

    def snapshots(self, low: int, high: int, tip: int) -> tuple[int, ...]:
        """The heights in [low, high) whose states stay as snapshots, ascending."""
        if not self.every:
            return ()
        first = max(low, (tip // self.every - self.keep + 1) * self.every, 0)
        return tuple(range(-(-first // self.every) * self.every, min(high, tip + 1), self.every))

    def keeps(self, height: int, tip: int) -> bool:
        """Whether the state after `height` stays when the tip is `tip`."""
        return height >= self.oldest(tip) or height in self.snapshots(height, height + 1, tip)


ARCHIVE: Final = Retention()
