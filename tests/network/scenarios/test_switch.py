"""The network between machines does what it is told, the same for the same seed."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.network.scenarios.switch import Line, State, Switch

NUMBERS = frozenset({1, 2, 3, 4})


def frame(target: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, target]) + bytes(60)


EVERYBODY = b"\xff" * 6 + bytes(60)


def switch(state: State | None = None, seed: int = 1) -> Switch:
    return Switch(random.Random(seed), NUMBERS, state or State())


def test_a_frame_goes_to_whom_it_is_addressed_at_once() -> None:
    assert switch().route(1, frame(3), 5.0) == [(5.0, 3)]
    assert switch().route(1, EVERYBODY, 5.0) == [(5.0, 2), (5.0, 3), (5.0, 4)]
    assert switch().route(1, frame(9), 5.0) == [], "nobody has that address"


def test_across_a_partition_nothing_arrives_and_nobody_is_told() -> None:
    torn = switch(State(islands=(frozenset({1, 2}), frozenset({3}))))
    assert torn.route(1, EVERYBODY, 0.0) == [(0.0, 2)]
    assert torn.route(3, frame(1), 0.0) == []
    assert torn.route(4, EVERYBODY, 0.0) == [], "on no island"
    assert (torn.carried, torn.lost) == (1, 6)


def test_loss_is_as_often_as_was_said_and_repeatable() -> None:
    state = State({(1, 2): Line(loss=0.2)})
    counts = {}
    for _ in range(2):
        lossy = switch(state, seed=7)
        arrived = sum(bool(lossy.route(1, frame(2), 0.0)) for _ in range(1_000))
        counts[arrived] = lossy.lost
        assert arrived + lossy.lost == 1_000
    assert len(counts) == 1
    assert 750 < next(iter(counts)) < 850
    assert switch(state).route(2, frame(1), 0.0), "one direction"


@given(st.lists(st.floats(0, 1), max_size=50), st.floats(0, 0.5), st.floats(0, 0.5))
def test_late_frames_keep_their_order(gaps: list[float], delay: float, jitter: float) -> None:
    slow = switch(State({(1, 2): Line(delay, min(jitter, delay))}))
    now, last = 0.0, 0.0
    for gap in gaps:
        now += gap
        for due, _ in slow.route(1, frame(2), now):
            assert due >= max(last, now)
            assert due <= max(last, now + delay + jitter)
            last = due
            slow.arrived(1, 2)


def test_a_line_holds_so_many_frames_and_loses_the_rest() -> None:
    slow = switch(State({(1, 2): Line(delay=1.0)}))
    arrivals = [slow.route(1, frame(2), 0.0) for _ in range(2_500)]
    assert sum(bool(one) for one in arrivals) == 2_000
    slow.arrived(1, 2)
    assert slow.route(1, frame(2), 0.0)


def test_a_state_of_affairs_survives_the_pipe() -> None:
    state = State({(1, 2): Line(0.1, 0.05, 0.02)}, (frozenset({1, 2}), frozenset({3, 4})))
    assert State.decode(state.encode()) == state
