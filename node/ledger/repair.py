"""Making a whole ledger of a damaged one, beside it; nothing of the damaged one is changed.

`repair_ledger` goes these steps, with LevelDB's lock on the damaged directory held throughout:

1. What can be read is read from a copy (`node.state.salvage`).
2. The greatest height H is found with all blocks 1..H whole (`node.ledger.salvaged`), or the lower one asked
   for.
3. A ledger with the blocks up to H is made in `NAME.repairing`: from the state at H if that is there,
   otherwise by executing all blocks again (`node.ledger.rebuild`).
4. It is verified by `check_ledger`. One made from the state that fails this is made again by execution.
5. It is compared with the damaged one, row by row (`node.ledger.damage`): that is what was damaged. If
   nothing was, the new one is thrown away.
6. If the caller agrees: `NAME.repairing` becomes `NAME.repaired`, the damaged directory `NAME.damaged-TIME`,
   then `NAME.repaired` becomes `NAME`. A repair that was cut off between the last two is finished by the next
   one.

A ledger that began at a snapshot is not repaired but restored anew: its first state is not in it.

It needs as much free space as the ledger has, and for step 4 as much again where temporary files go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from node.chain.errors import GenesisError, LedgerError
from node.chain.genesis import Genesis, decode_genesis
from node.ledger.check import check_ledger
from node.ledger.damage import Damage, find_damage
from node.ledger.findings import Report
from node.ledger.rebuild import (
    NotRebuildable,
    Progress,
    rebuild_by_execution,
    rebuild_from_state,
    sync_tree,
)
from node.ledger.salvaged import Broken, Dropped, SalvagedBlocks, load_dropped
from node.state import blocks as stored
from node.state.base import decode_base
from node.state.database import Database
from node.state.history import History, decode_history
from node.state.pruning import Recorded
from node.state.salvage import Lock, Salvage
from node.state.tables import META

FROM_STATE: Final = "state"
BY_EXECUTION: Final = "execution"


@dataclass(slots=True)
class Repair:
    """What a repair found and did.

    Attributes:
        damage: what was found; empty if there is nothing to repair.
        recorded: the tip's height before, where it could be read.
        height: the tip's height after.
        time_ns: of that block.
        transactions: in all blocks up to it.
        way: FROM_STATE or BY_EXECUTION.
        oldest: every state from this height on is held after it.
        dropped: blocks above `height` of which something could be read.
        report: of `check_ledger` on the repaired ledger; None if it was not asked.
        damaged: where the damaged directory is now; None if nothing was put in its place.
    """

    damage: list[Damage] = field(default_factory=list)
    recorded: int | None = None
    height: int = 0
    time_ns: int = 0
    transactions: int = 0
    way: str = FROM_STATE
    oldest: int = 0
    dropped: tuple[Dropped, ...] = ()
    report: Report | None = None
    damaged: Path | None = None

    @property
    def needed(self) -> bool:
        return bool(self.damage or self.dropped)


def repair_ledger(
    path: Path,
    genesis: Genesis | None,
    agree: Callable[[Repair], bool],
    *,
    stamp: str,
    to: int | None = None,
    keep_states: bool = False,
    check: bool = True,
    progress: Progress = lambda done, total: None,
) -> Repair:
    """See the module. `agree` is asked before the directories change places; `stamp` names the damaged one.

    `genesis` is that of the chain; without it the one in the ledger is taken. `to` is the greatest height to
    keep. `keep_states` executes all blocks, so that the older states stay that were held. Without `check`
    step 4 is left out.
    Raises LedgerError state.locked, state.missing, state.disk_full, state.corrupt, state.unreadable;
    repair.no_genesis, repair.not_sound, repair.begins_at_snapshot.
    """
    finish_repair(path)
    making = path.with_name(path.name + ".repairing")
    scratch = path.with_name(path.name + ".salvage")
    with Lock(path):
        for left in (making, scratch, path.with_name(path.name + ".repaired")):
            shutil.rmtree(left, ignore_errors=True)
        try:
            with Salvage(path, scratch) as source:
                # Filled in to the first block, it can be executed; its state is not that of its own blocks.
                keep_states = _require_from_genesis(source) or keep_states
                blocks = SalvagedBlocks(source, genesis or _genesis(source, path))
                repair = _make(blocks, making, to, keep_states, check, progress)
                damage, repair.transactions = find_damage(source, making, bool(repair.dropped))
                repair.damage += damage
            if repair.needed and agree(repair):
                repair.damaged = _swap(path, making, stamp)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return repair


def finish_repair(path: Path) -> None:
    """Put a finished repair into its place, if it was cut off between the renames."""
    repaired = path.with_name(path.name + ".repaired")
    if repaired.exists() and not path.exists():
        repaired.rename(path)
        _sync_names(path.parent)


def _make(
    blocks: SalvagedBlocks,
    making: Path,
    to: int | None,
    keep_states: bool,
    check: bool,
    progress: Progress,
) -> Repair:
    """Steps 2 to 4."""
    source = blocks.source
    repair = Repair(recorded=_recorded_height(source))
    if source.opened is not None:
        repair.damage.append(Damage("repair.unopenable", f"LevelDB cannot open it: {source.opened}"))
    broken = _find_height(blocks, repair, to)
    if not keep_states and repair.height > 0:
        try:
            rebuild_from_state(blocks, repair.height, making, progress)
            repair.way, repair.oldest = FROM_STATE, repair.height
        except NotRebuildable:
            _execute(blocks, making, repair, progress)
    else:
        _execute(blocks, making, repair, progress)
    if check:
        repair.report = check_ledger(making, blocks.genesis, progress)
        if not repair.report.ok and repair.way == FROM_STATE:
            _execute(blocks, making, repair, progress)
            repair.report = check_ledger(making, blocks.genesis, progress)
        if not repair.report.ok:
            found = [f"{finding.code}: {finding.message}" for finding in repair.report.findings]
            raise LedgerError("repair.not_sound", "the repaired ledger does not pass the check", found)
    repair.dropped = load_dropped(blocks, repair.height)
    if broken is not None and repair.dropped and to is None:
        repair.damage.append(Damage(broken.code, broken.message, height=broken.height))
    with Database.open(making) as database, database.snapshot() as reads:
        tip = stored.load_tip(reads)
        assert tip is not None  # noqa: S101 (for the type checker: it was just made)
        repair.time_ns = tip.time_ns
    return repair


def _find_height(blocks: SalvagedBlocks, repair: Repair, to: int | None) -> Broken | None:
    """Step 2."""
    for block in blocks.whole():
        if isinstance(block, Broken):
            return block
        if to is not None and block.header.height > to:
            return None
        repair.height = block.header.height
    return None


def _execute(blocks: SalvagedBlocks, making: Path, repair: Repair, progress: Progress) -> None:
    shutil.rmtree(making, ignore_errors=True)
    history = _history(blocks.source)
    oldest = min(history.oldest, repair.height)
    held = tuple(height for height in history.snapshots if height < oldest)
    broken = rebuild_by_execution(blocks, repair.height, making, Recorded(History(oldest, held)), progress)
    if broken is not None:
        repair.damage.append(Damage(broken.code, broken.message, height=broken.height))
        repair.height = broken.height - 1
    repair.way, repair.oldest = BY_EXECUTION, oldest


def _history(source: Salvage) -> History:
    raw = source.get(META, b"history")
    try:
        return History() if raw is None else decode_history(raw)
    except LedgerError:
        return History()


def _recorded_height(source: Salvage) -> int | None:
    raw = source.get(META, b"tip")
    try:
        return None if raw is None else stored.decode_tip(raw).height
    except LedgerError:
        return None


def _require_from_genesis(source: Salvage) -> bool:
    """Whether the ledger began at a snapshot, and was filled in. Raises LedgerError
    repair.begins_at_snapshot, repair.went_on.
    """
    if source.get(META, b"seam") is not None:
        raise LedgerError(
            "repair.went_on",
            "this ledger went on under a new genesis; move it away and make it again",
            None,
            "a ledger of one chain",
        )
    raw = source.get(META, b"base")
    if raw is not None and not _is_filled(raw):
        raise LedgerError(
            "repair.begins_at_snapshot",
            "this ledger began at a snapshot; move it away and restore one again",
            None,
            "a ledger that began at the genesis, or holds all blocks since",
        )
    return raw is not None


def _is_filled(raw: bytes) -> bool:
    try:
        return decode_base(raw).first == 0
    except LedgerError:
        return False


def _genesis(source: Salvage, path: Path) -> Genesis:
    raw = source.get(META, b"genesis")
    try:
        if raw is not None:
            return decode_genesis(raw)
    except GenesisError:
        pass
    raise LedgerError(
        "repair.no_genesis", "the genesis in the ledger cannot be read; give the file", str(path)
    )


def _swap(path: Path, making: Path, stamp: str) -> Path:
    """Step 6. LedgerError state.write_failed."""
    damaged = path.with_name(f"{path.name}.damaged-{stamp}")
    repaired = path.with_name(path.name + ".repaired")
    sync_tree(making)
    try:
        making.rename(repaired)
        _sync_names(path.parent)
        path.rename(damaged)
        _sync_names(path.parent)
        repaired.rename(path)
        _sync_names(path.parent)
    except OSError as error:
        raise LedgerError(
            "state.write_failed", f"cannot change the directories: {error.strerror}", str(path)
        ) from error
    return damaged


def _sync_names(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
