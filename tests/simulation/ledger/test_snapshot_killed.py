"""kill -9 anywhere in making or restoring a snapshot: nothing half-made passes for whole, and doing it again
gives the same.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.chain.errors import LedgerError
from node.ledger import Ledger, chunks
from node.ledger import building as ledger_building
from node.ledger.check import check_ledger
from node.ledger.restore import Restore, finish_restore
from node.ledger.shelf import SavedSnapshot, Shelf
from node.state import building
from node.state.database import Database
from tests.helpers.ledger import Chain
from tests.property.ledger_snapshots.states import add_anything, everything, files, restore, take

CHUNK_BYTES = 4_000

NAMES = ("rename", "replace", "write_bytes", "mkdir")


def is_killed(after: int, action: Callable[[], None]) -> bool:
    """Do it in a process of its own that is killed at the call of this number among all that change names or
    files; False if it came to its end before.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _make_mortal(after)
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "see what it has printed"
    return status == signal.SIGKILL


def _make_mortal(after: int) -> None:
    left = after

    def mortal(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in NAMES:
        setattr(Path, name, mortal(getattr(Path, name)))
    shutil.rmtree = mortal(shutil.rmtree)
    Database.write = mortal(Database.write)  # type: ignore[method-assign]
    os.fsync = mortal(os.fsync)


@pytest.fixture(scope="module")
def small_chunks() -> Iterator[None]:
    """And small batches, sorted in files: many steps to be killed at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", CHUNK_BYTES)
        patch.setattr(ledger_building, "_ROWS", 100)
        patch.setattr(building, "IN_MEMORY", 40)
        yield


@pytest.fixture(scope="module")
def source(small_chunks: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SavedSnapshot]:
    directory = tmp_path_factory.mktemp("source")
    chain = Chain.create(directory / "ledger")
    add_anything(chain, random.Random(11), storage=6)
    chain.add_block()
    saved = take(chain, directory / "snapshots")
    chain.close()
    assert len(saved.manifest.chunks) > 4
    return chain.path, saved


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_a_snapshot_is_made(
    source: tuple[Path, SavedSnapshot], tmp_path: Path, seed: int
) -> None:
    path, saved = source
    shelf = Shelf(tmp_path / "snapshots")

    def make() -> None:
        with Ledger.open(path) as ledger, ledger.snapshot() as snapshot:
            shelf.create(snapshot, ledger.genesis)

    chance = random.Random(seed)
    deaths, after = 0, chance.randint(1, 4)
    while is_killed(after, make):
        deaths += 1
        after += chance.randint(2, 5)
        for height in shelf.heights():
            assert files(SavedSnapshot.load(shelf.directory / str(height))) == files(saved)
    assert deaths > 4
    (height,) = shelf.heights()
    assert files(SavedSnapshot.load(shelf.directory / str(height))) == files(saved)
    shelf.clean()
    assert [entry.name for entry in shelf.directory.iterdir()] == [str(height)]


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_a_snapshot_is_restored(
    source: tuple[Path, SavedSnapshot], tmp_path: Path, seed: int
) -> None:
    original, saved = source
    node = tmp_path / "node"
    with Ledger.open(original) as ledger:
        genesis = ledger.genesis

    def again() -> None:
        finish_restore(node / "ledger")
        if not (node / "ledger").exists():
            restore(saved, genesis, node)

    chance = random.Random(100 + seed)
    deaths, after = 0, chance.randint(1, 9)
    while is_killed(after, again):
        deaths += 1
        after += chance.randint(1, 4)
        require_none_or_whole(node / "ledger", saved)
    assert deaths > 8
    root = saved.manifest.app_hash
    assert everything(node / "ledger", root) == everything(original, root)
    finish_restore(node / "ledger")
    report = check_ledger(node / "ledger", snapshots=saved.directory.parent)
    assert (report.findings, report.base, len(report.unverified)) == ([], saved.manifest.height, 2)


def require_none_or_whole(path: Path, saved: SavedSnapshot) -> None:
    """What a node finds where it looks is no ledger, or all of it."""
    try:
        with Ledger.open(path) as ledger:
            assert ledger.tip.app_hash == saved.manifest.app_hash
            assert ledger.tip.height == saved.manifest.height
    except LedgerError as error:
        if error.code != "state.missing":
            raise


def test_chunks_that_came_before_a_kill_are_not_asked_for_again(
    source: tuple[Path, SavedSnapshot], tmp_path: Path
) -> None:
    original, saved = source
    with Ledger.open(original) as ledger:
        genesis = ledger.genesis
    path = tmp_path / "node" / "ledger"

    def begin() -> Restore:
        return Restore.begin(path, genesis, saved.encoded, saved.manifest.app_hash)

    count = len(saved.manifest.chunks)
    restoring = begin()
    for index in (0, 2, 3):
        restoring.add_chunk(index, saved.load_stored(index) or b"")
    assert begin().missing == tuple(index for index in range(count) if index not in (0, 2, 3))
    # A power cut may leave a file without its bytes: it is fetched again.
    held = next((tmp_path / "node").rglob("000002.chunk"))
    held.write_bytes(held.read_bytes()[:50])
    held.with_name("000001.chunk.part").write_bytes(b"half")
    assert begin().missing == tuple(index for index in range(count) if index not in (0, 3))
    assert not list((tmp_path / "node").rglob("*.part"))
    whole = begin()
    for index in whole.missing:
        whole.add_chunk(index, saved.load_stored(index) or b"")
    whole.build().put_in_place(path, tmp_path / "node" / "snapshots")
    with Ledger.open(path) as ledger:
        assert ledger.tip.app_hash == saved.manifest.app_hash


def test_another_snapshot_begins_anew(source: tuple[Path, SavedSnapshot], tmp_path: Path) -> None:
    original, saved = source
    chain = Chain.open(original)
    genesis = chain.ledger.genesis
    chain.close()
    path = tmp_path / "node" / "ledger"
    first = Restore.begin(path, genesis, saved.encoded, saved.manifest.app_hash)
    first.add_chunk(0, saved.load_stored(0) or b"")
    restored = Chain.open(restore(saved, genesis, tmp_path / "other"))
    add_anything(restored, random.Random(12), storage=6)
    later = take(restored, tmp_path / "other" / "snapshots")
    restored.close()
    second = Restore.begin(path, genesis, later.encoded, later.manifest.app_hash)
    assert len(second.missing) == len(later.manifest.chunks)
