"""Which states are held: every one from a height on, and single ones below it.

A database that was never pruned has no row of this and holds every state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.state.database import Batch
from node.state.rows import decode_row, encode_row, integer
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import META

_HISTORY: Final = b"history"


@dataclass(frozen=True, slots=True)
class History:
    """The heights whose states can be read.

    Attributes:
        oldest: this state and every later one, up to the tip's, are held.
        snapshots: heights below `oldest` whose states are held too, ascending.
        releasing: rows of `held` may name snapshots that are gone; what they kept is still to be deleted.
    """

    oldest: int = 0
    snapshots: tuple[int, ...] = ()
    releasing: bool = False

    def holds(self, height: int) -> bool:
        return height >= self.oldest or height in self.snapshots

    def described(self, tip: int) -> str:
        """The heights in words, for error messages."""
        single = "".join(f"{height}, " for height in self.snapshots)
        return f"{single}{self.oldest} to {tip}"


def add_history(batch: Batch, history: History) -> None:
    fields = (history.oldest, int(history.releasing), *history.snapshots)
    batch.put(META, _HISTORY, encode_row(fields))


def load_history(snapshot: DatabaseSnapshot) -> History:
    raw = snapshot.get(META, _HISTORY)
    return History() if raw is None else decode_history(raw)


def decode_history(raw: bytes) -> History:
    """LedgerError `state.row_malformed`."""
    oldest, releasing, *snapshots = map(integer, decode_row(raw))
    return History(oldest, tuple(snapshots), bool(releasing))
