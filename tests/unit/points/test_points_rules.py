"""The rules as data: who may do what in which state, and what a person is told otherwise."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sharing_points.app import contract_errors
from apps.sharing_points.projection import Order
from apps.sharing_points.rules import (
    CLOSED,
    PRIMARY,
    STATES,
    STEP_WORDS,
    WAY,
    Step,
    Tariff,
    next_step,
    points_of,
    possible_steps,
    waiting_for,
    why_not,
)
from apps.sharing_points.taxonomy import CATEGORIES, KINDS
from contracts.vocabulary import OrderState

ASKS, HELPS, STRANGER = "a1" * 16, "b2" * 16, "c3" * 16
START = 1_800_000_000
LONG_AGO = START - 9_000
TARIFF = Tariff({21: 120}, 72 * 3_600, 1_800, 200, 20, 50, 1_000, 500)


def order(state: OrderState, **changes: object) -> Order:
    taken = state is not OrderState.PUBLISHED
    base = Order(
        id="0f" * 32,
        kind=21,
        offer=False,
        units=4,
        amount=5,
        start_at=START,
        commitment="00" * 32,
        publisher=ASKS,
        requester=ASKS,
        provider=HELPS if taken else "",
        state=state,
        published_at=START - 7_200,
        changed_at=START - 3_600,
        published_position=1,
        position=1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


S = OrderState
TABLE = [
    (S.PUBLISHED, {}, ASKS, (Step.CANCEL,)),
    (S.PUBLISHED, {}, HELPS, (Step.ACCEPT,)),
    (S.ACCEPTED, {}, ASKS, (Step.CONFIRM, Step.CANCEL)),
    (S.ACCEPTED, {}, HELPS, (Step.CANCEL,)),
    (S.ACCEPTED, {}, STRANGER, ()),
    (S.CONFIRMED, {}, ASKS, (Step.CHECK_IN, Step.CANCEL, Step.DISPUTE)),
    (S.CONFIRMED, {"requester_in": START}, ASKS, (Step.CANCEL, Step.DISPUTE)),
    (S.CONFIRMED, {"requester_in": 1, "start_at": LONG_AGO}, ASKS, (Step.NO_SHOW, Step.CANCEL, Step.DISPUTE)),
    (S.CONFIRMED, {"provider_in": 1, "start_at": LONG_AGO}, ASKS, (Step.CHECK_IN, Step.CANCEL, Step.DISPUTE)),
    (S.IN_SERVICE, {}, HELPS, (Step.FINISH, Step.DISPUTE)),
    (S.IN_SERVICE, {}, ASKS, (Step.DISPUTE,)),
    (S.FINISHED, {}, ASKS, (Step.COMPLETE, Step.DISPUTE)),
    (S.FINISHED, {}, HELPS, (Step.DISPUTE,)),
    (S.FINISHED, {"changed_at": START - 73 * 3_600}, HELPS, (Step.POKE, Step.DISPUTE)),
    (S.COMPLETED, {}, ASKS, (Step.RATE,)),
    (S.RATED, {"provider_stars": 4}, ASKS, (Step.RATE,)),
    (S.RATED, {"requester_stars": 4}, ASKS, ()),
    (S.COMPLETED, {}, STRANGER, ()),
    (S.CANCELLED, {}, ASKS, ()),
    (S.NO_SHOW, {}, HELPS, ()),
    (S.DISPUTED, {}, ASKS, ()),
    (S.ARBITRATED, {}, ASKS, ()),
]  # fmt: skip


@pytest.mark.parametrize(("state", "changes", "who", "steps"), TABLE)
def test_who_may_do_what(state: S, changes: dict[str, object], who: str, steps: tuple[Step, ...]) -> None:
    found = order(state, **changes)
    assert possible_steps(found, who, START, TARIFF) == steps
    for step in Step:
        refusal = why_not(found, step, who, START, TARIFF)
        assert (refusal is None) == (step in steps)
        assert refusal is None or (refusal.zh and refusal.en)


@pytest.mark.parametrize(("state", "changes", "who", "steps"), TABLE)
def test_there_is_at_most_one_obvious_next_step_and_words_when_there_is_none(
    state: S, changes: dict[str, object], who: str, steps: tuple[Step, ...]
) -> None:
    found = order(state, **changes)
    urged = [step for step in steps if step in PRIMARY]
    assert len(urged) <= 1
    assert next_step(found, who, START, TARIFF) == (urged[0] if urged else None)
    assert waiting_for(found, who).zh


def test_every_state_and_step_has_a_word_in_both_languages_and_states_differ_in_colour() -> None:
    assert set(STATES) == set(OrderState)
    assert set(STEP_WORDS) == set(Step)
    assert all(text.zh and text.en for text in STEP_WORDS.values())
    assert len({look.colour for look in STATES.values()}) == len(STATES)
    assert set(WAY) | CLOSED | {OrderState.DISPUTED} == set(OrderState)


@given(st.integers(1, 65_535), st.integers(1, 10_000))
def test_points_are_quarters_times_weight_rounded_half_up_exactly(units: int, weight: int) -> None:
    exact = Fraction(units * weight, 100)
    points = points_of(units, weight)
    assert Fraction(-1, 2) < points - exact <= Fraction(1, 2)


def test_there_are_nine_categories_of_two_kinds() -> None:
    assert len(CATEGORIES) == 9
    assert all(len(category.kinds) == 2 for category in CATEGORIES)
    assert len({category.mark for category in CATEGORIES}) == 9
    assert sorted(KINDS) == sorted(kind.number for category in CATEGORIES for kind in category.kinds)


def test_every_error_of_the_two_contracts_has_a_sentence_and_no_sentence_is_left_over() -> None:
    errors = contract_errors()
    assert errors.names() == set(errors.sentences)
