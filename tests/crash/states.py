"""The states a recorded run can be found in after a crash, and what must hold in each of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.commit import EMPTY_COMMIT, Commit, decode_commit
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis
from node.chain.header import Header, decode_header
from node.ledger import DecidedBlock, Ledger
from node.ledger.check import check_ledger
from tests.crash.disk import POWER_CUTS, Disk, Image, Killed, write_image
from tests.crash.driver import LEDGER
from tests.crash.recording import Kind, Recording

BETWEEN_NO_BLOCKS: Final = ("state.missing", "ledger.no_genesis")
"""What opening may say before the creation was acknowledged; creating it again must then succeed."""


@dataclass(frozen=True, slots=True)
class CrashState:
    """A directory as a crash may have left it, and what had been acknowledged before.

    `boundary` is the number of calls that were made, `mark` the last one; `acknowledged` the last height, -1
    before the creation; `begun` the greatest height that can be there.
    """

    boundary: int
    way: str
    image: Image
    mark: str
    acknowledged: int
    begun: int

    @property
    def name(self) -> str:
        return f"after call {self.boundary}, {self.way}"


@dataclass(frozen=True, slots=True)
class Made:
    """A block that the recorded run made."""

    block: DecidedBlock
    header: Header
    commit: Commit
    last_commit: Commit
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What the run made, whole: the genesis and every block by height."""

    genesis: Genesis
    blocks: dict[int, Made]
    genesis_app_hash: bytes

    def app_hash(self, height: int) -> bytes:
        return self.blocks[height].app_hash if height else self.genesis_app_hash


def load_expected(path: Path) -> Expected:
    """From the ledger that a run left in which nothing crashed."""
    blocks: dict[int, Made] = {}
    with Ledger.open(path) as ledger, ledger.snapshot() as snapshot:
        last_commit = EMPTY_COMMIT
        for height in range(1, ledger.tip.height + 1):
            record = snapshot.block(height)
            header, commit = snapshot.header(height), snapshot.commit(height)
            assert record is not None
            assert header is not None
            assert commit is not None
            transactions = snapshot.transactions(height)
            decided = DecidedBlock(height, record.time_ns, record.hash, record.proposer_address, transactions)
            made = Made(decided, decode_header(header), decode_commit(commit), last_commit, record.state_root)
            blocks[height] = made
            last_commit = made.commit
        first = snapshot.block(0)
        assert first is not None
        return Expected(ledger.genesis, blocks, first.state_root)


def crash_states(
    recording: Recording, seed: int, *, step: int = 1, first: int = 0, posix: bool = False
) -> Iterator[CrashState]:
    """Every state of every `step`-th boundary from `first` on; equal ones once. `posix`: see `Disk`.

    `seed` and the boundary decide what a power cut leaves, so that a state can be had again.
    """
    disk = Disk(posix=posix)
    seen: set[int] = set()
    mark, acknowledged, begun = "", -1, 0
    for boundary, call in enumerate(recording.calls, start=1):
        disk.apply(call)
        if call.kind is Kind.MARK:
            mark = call.path
            if mark.startswith("height "):
                acknowledged = int(mark.split()[1])
            acknowledged = max(acknowledged, 0)
            begun = acknowledged + 1
        if boundary % step != first % step:
            continue
        ways = {"killed": Killed()}
        if disk.uncertain():
            for name, make in POWER_CUTS.items():
                ways[name] = make(random.Random(f"{seed} {boundary} {name}"))
        for way, choice in ways.items():
            image = disk.image(choice)
            print_of = hash((acknowledged, tuple(sorted(image.items(), key=lambda item: item[0]))))
            if print_of not in seen:
                seen.add(print_of)
                yield CrashState(boundary, way, image, mark, acknowledged, begun)


def put_on_disk(state: CrashState, scratch: Path) -> Path:
    """The ledger's directory of the state, below `scratch`, in place of the one before."""
    directory = scratch / "state"
    shutil.rmtree(directory, ignore_errors=True)
    write_image(state.image, directory)
    return directory / LEDGER


def require_sound(
    path: Path, expected: Expected, name: str, *, acknowledged: int, begun: int, whole: bool = False
) -> int:
    """Restart on the ledger at `path`; returns the height found. With `whole` everything is checked in the
    end.

    The ledger opens with every acknowledged block, its tip is a block of the run, and the block after it
    gives what it gave then. `name` tells in a failure which state it was.
    """
    try:
        ledger = Ledger.open(path, expected.genesis)
    except LedgerError as error:
        if acknowledged >= 0 or error.code not in BETWEEN_NO_BLOCKS:
            raise AssertionError(f"{name}: {error}") from error
        ledger = Ledger.create(path, expected.genesis)
    with ledger:
        found = ledger.tip.height
        assert acknowledged <= found <= begun, f"{name}: height {found}"
        assert ledger.tip.app_hash == expected.app_hash(found), name
        made = expected.blocks.get(found + 1)
        if made is not None:
            finalized = ledger.finalize(made.block)
            assert finalized.app_hash == made.app_hash, name
            ledger.commit(finalized, made.header, made.commit, made.last_commit)
    if whole:
        report = check_ledger(path, expected.genesis)
        assert report.ok, f"{name}: {report.findings}"
    return found
