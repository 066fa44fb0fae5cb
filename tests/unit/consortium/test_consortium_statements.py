"""What is signed cannot be taken for anything else that the same keys sign; figures are easy to read out."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from network.consortium import statements
from network.consortium.statements import spoken, statement, statement_hash

TAGS = [
    statements.CA_OF_ENROLMENT,
    statements.VALIDATOR_OF_ENROLMENT,
    statements.NODE_OF_ENROLMENT,
    statements.REGISTRAR,
    statements.CA_OF_GENESIS,
]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(TAGS))
def test_a_statement_is_no_vote_and_no_challenge(content: bytes, tag: str) -> None:
    message = statement(tag, content)
    # CometBFT's sign bytes begin with their own length; the challenge of a connection has 32 bytes.
    assert message[0] != len(message) - 1
    assert len(message) > 32
    assert message[0] != 0x30


def test_each_purpose_has_its_own_statement() -> None:
    assert len({statement(tag, b"the same") for tag in TAGS}) == len(TAGS)
    assert len({statement_hash(tag, b"the same") for tag in TAGS}) == len(TAGS)
    assert not any(one != other and one.startswith(other + "\n") for one in TAGS for other in TAGS)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_hash_is_read_out_as_eight_groups_of_five_figures(hash: bytes) -> None:
    assert re.fullmatch(r"\d{5}( \d{5}){7}", spoken(hash))
    assert int(spoken(hash).replace(" ", "")) == int.from_bytes(hash, "big") % 10**40
