"""Which files of CometBFT's log go, and when: never one that a start could still read."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from network.comet.wal import KEPT, WalPruning


def write(directory: Path, *names: str) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(b"x")


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_a_file_goes_two_blocks_after_it_was_complete_and_the_newest_stays(tmp_path: Path) -> None:
    pruning = WalPruning(tmp_path)
    write(tmp_path, "wal", "wal.000", "wal.001", "wal.002")
    assert pruning.look(10) == pruning.look(11) == ()
    assert pruning.look(12) == (0, 1)
    assert names(tmp_path) == ["wal", "wal.002"]
    write(tmp_path, "wal.003")
    assert pruning.look(13) == (2,)  # complete since height 10
    assert pruning.look(100) == ()


def test_no_gap_is_left_below_a_file_that_is_still_wanted(tmp_path: Path) -> None:
    pruning = WalPruning(tmp_path)
    write(tmp_path, "wal.007")
    pruning.look(10)
    write(tmp_path, "wal.006", "wal.008", "wal.009")  # the oldest is new to us
    assert pruning.look(12) == ()
    assert pruning.look(14) == (6, 7, 8)


def test_nothing_else_is_touched_and_nothing_need_be_there(tmp_path: Path) -> None:
    assert WalPruning(tmp_path / "none").look(1) == ()
    write(tmp_path, "wal", "wal.CORRUPTED", "wal.12", "other.000", "wal.000.tmp", "wal.001", "wal.1000")
    pruning = WalPruning(tmp_path)
    pruning.look(1)
    assert pruning.look(9) == (1,)
    assert names(tmp_path) == ["other.000", "wal", "wal.000.tmp", "wal.1000", "wal.12", "wal.CORRUPTED"]


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_what_a_start_looks_for_is_always_there(
    steps: list[tuple[int, int]], tmp_path_factory: object
) -> None:
    """A model of CometBFT: a block's end is noted before the block is committed; files grow and rotate."""
    directory = tmp_path_factory.mktemp("wal")  # type: ignore[attr-defined]
    pruning = WalPruning(directory)
    ends: dict[int, int] = {}  # height -> the number of the file where its end is
    number = tip = noted = 0
    for blocks, rotations in steps:
        for _ in range(blocks):
            tip = noted  # what was noted is committed
            noted += 1
            ends[noted] = number
        for _ in range(rotations):
            write(directory, f"wal.{number:03d}")
            number += 1
        pruning.look(tip)
        present = {int(name[4:]) for name in names(directory)} | {number}
        for height in (tip, noted):
            assert height == 0 or ends[height] in present
        assert len(present) == len(range(min(present), number + 1)) or not present
        assert number < KEPT or number - KEPT in present
