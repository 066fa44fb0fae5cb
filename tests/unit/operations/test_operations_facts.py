"""From readings to facts: who signed, how many may fail, whose clock is off, how fast the disk fills."""

from __future__ import annotations

import os
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.operations.activity import Activity, Committed
from network.operations.compose import clock_ahead_s
from network.operations.growth import (
    EVERY_S,
    KEPT_S,
    LEAST_S,
    Size,
    days_left,
    growth_per_day,
    load_sizes,
    noted,
    save_sizes,
)
from network.operations.machine import Measured, directory_bytes, read_process
from network.operations.page import format_age, format_offset, format_size
from network.operations.signing import SignedBlock, SigningWindow, quorum_left, signer_of
from tests.helpers.ledger import Chain

SECOND = 1_000_000_000
A, B, C, D = (bytes([one]) * 20 for one in (1, 2, 3, 4))


def naive_quorum_left(powers: list[int], silent: int) -> int:
    """The largest number of which every choice may go and more than two thirds of all power are left."""
    total = sum(powers) + silent
    best = -1
    for count in range(len(powers) + 1):
        rest = [sum(powers) - sum(gone) for gone in combinations(powers, count)]
        if all(3 * left > 2 * total for left in rest):
            best = count
    return best


@given(st.lists(st.integers(1, 50), min_size=0, max_size=7), st.integers(0, 100))
def test_how_many_may_fail_is_what_trying_all_choices_gives(powers: list[int], silent: int) -> None:
    if sum(powers) + silent:
        assert quorum_left(powers, silent) == naive_quorum_left(powers, silent)


@pytest.mark.parametrize(
    ("powers", "silent", "left"), [([10] * 4, 0, 1), ([10] * 3, 10, 0), ([10] * 2, 20, -1), ([10], 0, 0)]
)
def test_four_equal_validators_tolerate_one(powers: list[int], silent: int, left: int) -> None:
    assert quorum_left(powers, silent) == left


def block(
    height: int, *, absent: tuple[bytes, ...] = (), late: dict[bytes, int] | None = None
) -> SignedBlock:
    """Everybody voted at `height` seconds, but for who was absent, and later or earlier as told."""
    votes: dict[bytes, int | None] = {
        who: height * SECOND + (late or {}).get(who, 0) for who in (A, B, C, D) if who not in absent
    }
    return SignedBlock(height, votes, frozenset(absent), (A, B, C, D)[height % 4])


def test_missed_blocks_and_silence_are_counted_over_the_window() -> None:
    blocks = [block(height, absent=(D,) if height >= 6 else ()) for height in range(1, 9)]
    signer = signer_of(D, blocks)
    assert (signer.missed, signer.counted, signer.silent) == (3, 8, True)
    assert not signer_of(A, blocks).silent
    assert sum(signer_of(who, blocks).proposed for who in (A, B, C, D)) == 8


def test_a_validator_that_missed_one_of_the_last_three_is_not_silent() -> None:
    assert not signer_of(D, [block(1, absent=(D,)), block(2), block(3, absent=(D,))]).silent


def test_a_clock_that_is_off_shows_in_the_times_of_votes() -> None:
    blocks = [block(height, late={D: 5 * SECOND}) for height in range(1, 9)]
    assert signer_of(D, blocks).clock_s == pytest.approx(5.0)
    assert signer_of(A, blocks).clock_s == pytest.approx(0.0)
    assert clock_ahead_s(D, blocks, ()) == pytest.approx(5.0)


def moments(*seconds: float) -> list[Committed]:
    return [Committed(height, int(at * SECOND)) for height, at in enumerate(seconds, 1)]


def test_a_block_committed_before_the_others_voted_for_it_means_a_clock_behind() -> None:
    blocks = [block(height) for height in range(1, 4)]
    assert clock_ahead_s(b"", blocks, moments(-2.0, -0.5, 1.0)) == pytest.approx(-3.0)


def test_one_late_block_is_no_clock_ahead() -> None:
    blocks = [block(height) for height in range(1, 5)]
    assert clock_ahead_s(b"", blocks, moments(31.0, 2.02, 3.01, 4.05)) == pytest.approx(0.01)


def test_who_does_not_vote_waits_for_some_blocks_before_it_says_anything() -> None:
    assert clock_ahead_s(b"", [block(1), block(2)], moments(9.0, 9.0)) is None
    assert clock_ahead_s(b"", [], ()) is None


def test_the_window_reads_each_block_once_and_keeps_a_hundred(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path)
    window = SigningWindow(5)
    for _ in range(4):
        chain.add_block([])
    with chain.ledger.snapshot() as snapshot:
        window.advance(snapshot, 1)
    assert [one.height for one in window.blocks] == [1, 2, 3], "the tip's commit stands in the next block"
    first = window.blocks[0]
    for _ in range(3):
        chain.add_block([])
    with chain.ledger.snapshot() as snapshot:
        window.advance(snapshot, 1)
    assert [one.height for one in window.blocks] == [2, 3, 4, 5, 6]
    assert all(not one.absent and one.votes for one in window.blocks)
    assert first not in window.blocks
    chain.ledger.close()


def test_minutes_count_what_was_committed_and_times_what_was_submitted(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path)
    now = [60 * SECOND * 1_000]
    taken: list[float] = []
    activity = Activity(lambda: now[0], lambda: True, taken.append)
    chain.ledger.add_listener(activity.committed)
    now[0] += 60 * SECOND
    chain.add_block([])
    chain.add_block([])
    now[0] += 120 * SECOND
    read = activity.read()
    assert [one.blocks for one in read.minutes] == [2, 0]
    assert (read.blocks, read.transactions) == (2, 0)
    assert [one.height for one in read.moments] == [1, 2]
    assert taken == []
    chain.ledger.close()


def test_growth_is_forecast_only_from_hours_of_data() -> None:
    sizes = (Size(0, 1_000),)
    assert growth_per_day(sizes, Size(LEAST_S - 1, 5_000)) is None
    assert growth_per_day(sizes, Size(86_400, 3_000)) == 2_000
    assert days_left(10_000, 2_000) == 5
    assert days_left(10_000, 0) is None
    assert days_left(10_000, -5) is None


@given(st.lists(st.integers(1, 4 * EVERY_S), max_size=60))
def test_sizes_are_noted_once_an_hour_for_a_week(gaps: list[int]) -> None:
    sizes: tuple[Size, ...] = ()
    at = 0
    for gap in gaps:
        at += gap
        sizes = noted(sizes, Size(at, at))
    times = [one.at_s for one in sizes]
    assert all(later - earlier >= EVERY_S for earlier, later in pairwise(times))
    assert all(at - KEPT_S <= one <= at for one in times)
    assert bool(times) == bool(gaps)


def test_sizes_survive_a_restart_and_a_damaged_file_begins_again(tmp_path: Path) -> None:
    place = tmp_path / "sizes.json"
    assert load_sizes(place) == ()
    save_sizes(place, (Size(1, 2), Size(3, 4)))
    assert load_sizes(place) == (Size(1, 2), Size(3, 4))
    place.write_text('{"no": 1')
    assert load_sizes(place) == ()


def test_a_directory_is_measured_with_all_below_it_and_only_now_and_then(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(bytes(100_000))
    size = directory_bytes(tmp_path)
    assert 100_000 <= size < 200_000
    now = [0.0]
    measured = Measured(tmp_path, 60, lambda: now[0])
    assert measured.read() == size
    (tmp_path / "more").write_bytes(bytes(500_000))
    assert measured.read() == size
    now[0] = 61
    assert measured.read() >= size + 500_000


def test_this_very_process_can_be_read() -> None:

    read = read_process(os.getpid())
    assert read is not None
    assert read.memory_bytes > 1 << 20
    assert 0 < read.open_files <= read.open_files_limit
    assert read_process(2**22 + 1) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (-3, "-3.0 s"),
    ],
)
def test_ages_in_words(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


def test_sizes_and_offsets_in_words() -> None:
    assert [format_size(one) for one in (0, 1023, 1024, 3 << 30, -2048)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "3.0 GiB",
        "-2.0 KiB",
    ]
    assert [format_offset(one) for one in (0.001, -0.001, 0.25, -3)] == [
        "0.00 s",
        "0.00 s",
        "+0.25 s",
        "-3.00 s",
    ]
