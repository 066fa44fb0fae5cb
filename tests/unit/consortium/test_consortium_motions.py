"""Motions: what belongs together is voted on together, and nobody slips a call into another's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ceremony_agencies import agency
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bindings import consortium, identity_registry
from network.consortium.governance import Governance, Member, MembershipError, apply_calls
from network.consortium.motions import (
    MAX_CALLS,
    Proposal,
    admit,
    gather,
    part,
    proposal_ids,
    propose,
    set_power,
    take_power,
)
from node.chain.encoding import sha256
from node.chain.rules import CONSORTIUM
from node.chain.transaction import Call
from node.chain.validators import Validator

EMPTY = Governance("c", "demo", bytes(32), 1, 10, 0, (Member(1, 1, True, voters=1),), (), (), ())


def stem(number: int) -> bytes:
    return sha256(bytes([number]))[:28]


def proposals(number: int, count: int, height: int = 1) -> list[Proposal]:
    ids = proposal_ids(count, lambda length: stem(number)[:length])
    return [
        Proposal(id, 1, 1, b"\x01" * 16, 99, height, Call(CONSORTIUM, bytes([number, place])))
        for place, id in enumerate(ids)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_motions_come_back_whole_and_in_order(counts: list[int], random: object) -> None:
    everything = [one for number, count in enumerate(counts) for one in proposals(number, count, number)]
    random.shuffle(everything)  # type: ignore[attr-defined]
    found = gather(everything)
    assert [len(one.proposals) for one in found] == counts[::-1], "newest first"
    for number, motion in enumerate(reversed(found)):
        assert motion.calls == tuple(one.call for one in proposals(number, counts[number]))


def test_a_motion_with_a_place_missing_or_anothers_call_in_it_is_no_motion() -> None:
    three = proposals(1, 3)
    assert [len(one.proposals) for one in gather(three[:2])] == [1, 1]
    slipped = [*three[:2], replace(three[2], organisation=2)]
    assert [len(one.proposals) for one in gather(slipped)] == [1, 1, 1]
    another = [*three[:2], replace(three[2], by=b"\x02" * 16)]
    assert [len(one.proposals) for one in gather(another)] == [1, 1, 1]


def test_ids_are_new_each_time_and_of_the_contracts_length() -> None:
    call = Call(CONSORTIUM, b"\x01\x02\x03\x04")
    ids, calls = propose([call, call], lambda length: b"\x07" * length)
    assert len(set(ids)) == 2
    assert all(len(id) == 32 for id in ids)
    assert [consortium.decode_call(one.data)[0] for one in calls] == ["propose", "propose"]
    with pytest.raises(MembershipError):
        proposal_ids(MAX_CALLS + 1, lambda length: bytes(length))
    with pytest.raises(MembershipError):
        proposal_ids(0, lambda length: bytes(length))


@pytest.mark.parametrize("kind", ["auditor", "police", "community"])
def test_what_admits_an_agency_gives_it_registrars_pages_and_a_node_but_no_power(kind: str) -> None:
    content = agency(kind).content()
    calls = admit(content, 5)
    after = apply_calls(EMPTY, calls)
    member = after.member(5)
    assert member is not None
    assert (member.registrars, member.can_vote) == (2, True)
    assert [one.node_id for one in after.peers_of(5)] == [content.node_id]
    assert after.validators == ()
    assert consortium.decode_call(calls[0].data)[0] == "addOrganisation", "the others need it"
    kinds = {identity_registry.decode_call(one.data)[0] for one in calls if one.to != CONSORTIUM}
    assert kinds == {"installRegistrar"}
    rows = [one for one in calls if one.to == CONSORTIUM]
    assert {"setRelyingParty", "setOrigin", "setCallable", "setPeer"} < {
        consortium.decode_call(one.data)[0] for one in rows
    }


def test_power_is_taken_before_the_rest_ends() -> None:
    key = sha256(b"key")
    after = apply_calls(EMPTY, set_power(key, 10, 1))
    assert [one.power for one in after.validators] == [10]
    gone = apply_calls(after, take_power(after, 1))
    assert gone.validators == ()
    with pytest.raises(MembershipError) as caught:
        take_power(gone, 1)
    assert caught.value.code == "membership.no_power"
    ended = apply_calls(gone, part(gone, 1))
    assert ended.active == ()
    with pytest.raises(MembershipError) as caught:
        part(ended, 1)
    assert caught.value.code == "membership.gone"


def test_a_table_is_settled_when_it_is_in_force() -> None:
    key = sha256(b"key")
    after = apply_calls(EMPTY, set_power(key, 10, 1))
    assert not after.is_settled
    assert replace(after, in_force=(Validator(key, 10),)).is_settled
