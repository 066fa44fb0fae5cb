"""Deleting trie nodes that no held state needs: one small step at a time, each step one batch.

A node is *in* the states from the height that wrote it (its *birth*, at the front of its row) up to the one
before the height in whose journal it stands. It may go when none of these states is to stay. The journal is
worked off in order of height; to work off height s is to give up the state before s, unless that is a
snapshot. Three things make it more than a loop of deletions:

- **Nodes come back.** A node that left at s and was written again later has the later birth in its row. Then
  the old journal entry deletes nothing: the node is alive, or stands in the journal again further up.
- **Snapshots lie below what is worked off.** A node that one of them needs goes to the table `held`, with the
  snapshots it is held for, until none of them is left. If the node came back, its row no longer tells since
  when it was there; it is then held for every snapshot before s, which is too long at worst.
- **Commits run beside.** A node may come back between a step's reads and its write. Whoever writes the step
  takes such nodes out of it first (`Step.spare`).

A step's batch is whole in itself: it deletes nodes, notes what is held, takes away the journal rows it has
worked off, and says in `history` which states are gone by it. So it need not be synced: a power cut can
lose some of the last steps, in any combination, and each one that is lost still has its journal rows and
is done again. Doing a step again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from node.state.blocks import load_tip
from node.state.database import Batch
from node.state.history import History, add_history, load_history
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import HELD, NODES, STALE

STEP_KEYS: Final = 256
"""A step takes journal rows until it has so many node keys; as many rows of `held`."""


class Keeping(Protocol):
    """Which states are to stay, when the tip's height is `tip`."""

    def oldest(self, tip: int) -> int:
        """The height from which on every state stays. Never falls as the tip rises."""
        ...

    def snapshots(self, low: int, high: int, tip: int) -> tuple[int, ...]:
        """The heights in [low, high) whose states stay although later ones do not, ascending."""
        ...

    def keeps(self, height: int, tip: int) -> bool:
        """Whether the state after `height` is to stay."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """Keeps what a database says that it holds, and gives up everything else as soon as a later state is
    there. A chain executed anew under this, with steps taken after every block, ends with exactly the nodes
    of the states in `history`: no node can come back before its journal row is worked off.
    """

    history: History

    def oldest(self, tip: int) -> int:
        return min(self.history.oldest, tip)

    def snapshots(self, low: int, high: int, tip: int) -> tuple[int, ...]:
        return tuple(height for height in self.history.snapshots if low <= height < high)

    def keeps(self, height: int, tip: int) -> bool:
        return height >= self.oldest(tip) or height in self.history.snapshots


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next step goes on. Forgetting it costs a search, no correctness.

    Attributes:
        journal: encoded key of `stale` to begin at; rows before it have been worked off.
        held: encoded key of `held` to begin at.
        released: the snapshots that were there when the walk through `held` began.
        has_begun: not the first step since the ledger was opened.
    """

    journal: bytes = b""
    held: bytes = b""
    released: tuple[int, ...] | None = None
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A bounded piece of work, read from a snapshot and not yet written."""

    batch: Batch
    cursor: Cursor
    history: History
    deleted: int

    def spare(self, written: Collection[bytes]) -> None:
        """Delete none of these nodes: they were written again since the step was read."""
        for key in written:
            self.batch.rows.pop(NODES.prefix + key, None)


def plan_step(reads: DatabaseSnapshot, keeping: Keeping, cursor: Cursor) -> Step | None:
    """The next step, or None when nothing is to be done. LedgerError `state.*`."""
    tip = load_tip(reads)
    if tip is None:
        return None
    before = load_history(reads)
    if not cursor.has_begun:
        # A power cut may have lost a step of the last walk through `held` and kept the one that ended it.
        left_over = next(reads.scan(HELD, limit=1), None) is not None
        before = replace(before, releasing=before.releasing or left_over)
        cursor = replace(cursor, has_begun=True)
    target = max(keeping.oldest(tip.height), before.oldest)
    parts = list(_parts(reads, cursor.journal, target))
    history = _history_after(before, keeping, parts[-1][0][0] if parts else target, tip.height)
    if not parts and history == before and not history.releasing:
        return None
    settle = _Settling(reads, history.snapshots)
    for (height, part), keys in parts:
        settle.batch.delete(STALE, (height, part))
        cursor = replace(cursor, journal=STALE.encode_key((height, part)) + b"\x00")
        for key in keys:
            settle.leave(key, height)
    if not parts and history.releasing:
        cursor, history = _release(reads, settle, cursor, history)
    add_history(settle.batch, history)
    return Step(settle.batch, cursor, history, settle.deleted)


def _parts(
    reads: DatabaseSnapshot, start: bytes, target: int
) -> Iterator[tuple[tuple[int, int], tuple[bytes, ...]]]:
    """Rows of the journal up to the height `target`, until they hold STEP_KEYS keys."""
    count = 0
    for place, keys in reads.scan(STALE, start=start):
        if place[0] > target or (count and count + len(keys) > STEP_KEYS):
            return
        yield place, keys
        count += len(keys)


def _history_after(before: History, keeping: Keeping, oldest: int, tip: int) -> History:
    """What is held once the journal is worked off up to the height `oldest`."""
    oldest = max(oldest, before.oldest)
    kept = tuple(height for height in before.snapshots if keeping.keeps(height, tip))
    kept += keeping.snapshots(before.oldest, oldest, tip)
    return History(oldest, kept, before.releasing or not set(before.snapshots) <= set(kept))


class _Settling:
    """What becomes of nodes that have left the state, given the snapshots that stay."""

    __slots__ = ("_reads", "_snapshots", "batch", "deleted")

    def __init__(self, reads: DatabaseSnapshot, snapshots: tuple[int, ...]) -> None:
        self._reads = reads
        self._snapshots = snapshots
        self.batch = Batch()
        self.deleted = 0

    def leave(self, key: bytes, left: int) -> None:
        """The node stands in the journal of height `left`."""
        birth = self._birth(key)
        if not self._snapshots:
            self._delete(key, left, birth)
            return
        since = 0 if birth is None or birth >= left else birth
        holders = {height for height in self._snapshots if since <= height < left}
        held = self.batch.rows.get(HELD.key(key)) or self._reads.get_raw(HELD.key(key))
        if held is not None:
            was_left, *others = HELD.decode_value(held)
            left = max(left, was_left)
            holders |= set(others) & set(self._snapshots)
        if holders and birth is not None:
            self.batch.put(HELD, key, (left, *sorted(holders)))
            return
        if held is not None:
            self.batch.delete(HELD, key)
        self._delete(key, left, birth)

    def release(self, key: bytes, left: int, holders: Collection[int]) -> None:
        """The node is in `held`, for `holders`."""
        if set(self._snapshots).isdisjoint(holders):
            self.batch.delete(HELD, key)
            self._delete(key, left, self._birth(key))

    def _birth(self, key: bytes) -> int | None:
        row = self._reads.get_raw(NODES.prefix + key)
        return None if row is None else int.from_bytes(row[:8], "big")

    def _delete(self, key: bytes, left: int, birth: int | None) -> None:
        """Unless it came back after it had left."""
        if birth is not None and birth < left:
            self.batch.rows[NODES.prefix + key] = None
            self.deleted += 1


def _release(
    reads: DatabaseSnapshot, settle: _Settling, cursor: Cursor, history: History
) -> tuple[Cursor, History]:
    """Walk on through `held`, and let go what is held for no snapshot that stays."""
    if cursor.released is None:
        cursor = replace(cursor, held=b"", released=history.snapshots)
    last: bytes | None = None
    count = 0
    for key, (left, *holders) in reads.scan(HELD, start=cursor.held, limit=STEP_KEYS):
        settle.release(key, left, holders)
        last, count = key, count + 1
    if last is not None and count == STEP_KEYS:
        return replace(cursor, held=last + b"\x00"), history
    done = cursor.released == history.snapshots
    return replace(cursor, held=b"", released=None), replace(history, releasing=not done)
