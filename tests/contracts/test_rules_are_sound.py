"""What the Consortium lets through, the node can run: no vote adds a row that the node ignores."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.bindings import consortium
from contracts.district import district
from contracts.genesis import FIRST_RULES
from contracts.sandbox import CallFailed
from contracts.system import SYSTEM
from node.chain.rules import decode_rules, rules_slots

BOX = district()
GOOD = consortium.Rules(100, *FIRST_RULES.as_tuple()[1:])


def near(value: int, bits: int) -> st.SearchStrategy[int]:
    """Values around a good one, and the ends of the type."""
    top = (1 << bits) - 1
    return st.one_of(st.just(value), st.sampled_from((0, 1, top)), st.integers(0, min(top, value * 3 + 2)))


ROWS = st.builds(
    consortium.Rules,
    activation_height=near(100, 64),
    block_gas=near(FIRST_RULES.block_gas, 64),
    transaction_gas=near(FIRST_RULES.transaction_gas, 64),
    correction_gas=near(FIRST_RULES.correction_gas, 64),
    identity_gas=near(FIRST_RULES.identity_gas, 64),
    max_transaction_bytes=near(FIRST_RULES.max_transaction_bytes, 32),
    byte_gas=near(FIRST_RULES.byte_gas, 32),
    base_gas=near(FIRST_RULES.base_gas, 32),
    max_calls=near(FIRST_RULES.max_calls, 16),
    max_validity=near(FIRST_RULES.max_validity, 32),
    fork=st.sampled_from((0, 1, 1, 1, 2)),
    scheme_gas=st.tuples(*(near(6_000, 32) for _ in range(8))),
)


@given(ROWS)
@example(replace(GOOD, activation_height=(1 << 64) - 1))
@example(replace(GOOD, activation_height=(1 << 40) + 1))
@settings(max_examples=150, deadline=None)
def test_an_accepted_row_is_a_sound_row(row: consortium.Rules) -> None:
    box = BOX.fork()
    try:
        box.send(SYSTEM, consortium.add_rules(row))
        accepted = True
    except CallFailed:
        accepted = False
    words = [box.overlay.storage(consortium.ADDRESS, slot) for slot in rules_slots(2)]
    assert (decode_rules(2, *words) is not None) == accepted
    assert not accepted or row.activation_height <= 1 << 40


def test_the_first_rules_with_a_height_are_accepted() -> None:
    view = BOX.fork()
    view.send(SYSTEM, consortium.add_rules(GOOD))
    assert consortium.decode_rules_version(view.read(consortium.rules_version())) == 2
