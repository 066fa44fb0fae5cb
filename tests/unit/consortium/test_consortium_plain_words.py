"""What is voted on is said in words, whatever it is; where a vote stands follows from who voted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.bindings import consortium, identity_registry
from contracts.system import DESCRIPTORS_DIR
from identity.descriptors import selector_of, title_of_vote
from network.consortium.governance import Governance, Member, Seat
from network.consortium.motions import Motion, Proposal, proposal_ids
from network.consortium.plain_words import (
    UNREADABLE,
    State,
    call_words,
    calls_words,
    missing_voters,
    state_of,
    tallies,
)
from node.chain.encoding import sha256
from node.chain.rules import CONSORTIUM
from node.chain.transaction import Call

KEY = sha256(b"key")
GOVERNANCE = Governance(
    chain_name="c",
    purpose="demo",
    genesis_hash=bytes(32),
    evm_chain_id=1,
    height=10,
    time_s=1_000,
    members=tuple(Member(id, id, True, registrars=2, voters=1) for id in range(1, 5)),
    validators=(Seat(KEY, 10, 3),),
    peers=(),
    in_force=(),
    names={3: "示例区人民法院"},
)


def motion(*calls: Call, votes: tuple[tuple[int, bool], ...] = (), until: int = 2_000) -> Motion:
    ids = proposal_ids(len(calls), lambda length: b"\x01" * length)
    return Motion(
        tuple(
            Proposal(id, 1, 3, b"\x01" * 16, until, 5, call, votes)
            for id, call in zip(ids, calls, strict=True)
        )
    )


def voted_functions() -> list[tuple[bytes, str]]:
    """Contract and signature of everything that a vote may call."""
    found = []
    for path in sorted(Path(DESCRIPTORS_DIR).glob("*.json")):
        descriptor = json.loads(path.read_text())
        for signature, function in descriptor["display"]["formats"].items():
            if function["signer"] == "vote":
                for deployment in descriptor["context"]["contract"]["deployments"]:
                    found.append((bytes.fromhex(deployment["address"][2:]), signature))
    return found


@pytest.mark.parametrize(("address", "signature"), voted_functions())
def test_everything_that_may_be_voted_on_has_a_title(address: bytes, signature: str) -> None:
    assert title_of_vote(Call(address, selector_of(signature))) is not None


def test_what_cannot_be_read_says_so() -> None:
    assert call_words(GOVERNANCE, Call(CONSORTIUM, b"\x01\x02\x03\x04")) == UNREADABLE
    assert call_words(GOVERNANCE, Call(b"\x09" * 20, b"\x01\x02\x03\x04")) == UNREADABLE
    cut = consortium.set_peer(b"\x01" * 20, 3, True).data[:-3]
    assert call_words(GOVERNANCE, Call(CONSORTIUM, cut)) == UNREADABLE


def test_names_powers_and_keys_stand_in_the_words() -> None:
    words = call_words(GOVERNANCE, consortium.change_validators((KEY,), (0,), (3,)))
    assert "示例区人民法院" in words.zh
    assert KEY[:6].hex() in words.zh
    assert "10" in words.zh
    origin = call_words(GOVERNANCE, consortium.set_origin(KEY, b"https://evil\x1b[2J.example", True))
    assert "https://evil" in origin.zh
    assert "\x1b" not in origin.zh


def test_a_member_admitted_by_a_motion_is_known_to_its_later_lines() -> None:
    admitted = consortium.add_organisation(5, 6, b"\x01" * 32, bytes(32))
    peer = consortium.set_peer(b"\x02" * 20, 5, True)
    _, second = calls_words(GOVERNANCE, (admitted, peer))
    assert "审计" in second.zh
    assert "不是成员" in call_words(GOVERNANCE, peer).zh
    registrar = identity_registry.install_registrar(5, b"\x03" * 16, 2, b"\x04" * 32, KEY)
    assert ("03" * 16) in calls_words(GOVERNANCE, (admitted, registrar))[1].zh


def test_where_a_motion_stands() -> None:
    peer = consortium.set_peer(b"\x02" * 20, 3, True)
    yes, no = (1, True), (2, False)
    assert state_of(GOVERNANCE, motion(peer, votes=(yes,))) is State.OPEN
    three = (yes, (3, True), (4, True))
    assert state_of(GOVERNANCE, motion(peer, votes=(yes, (3, True)))) is State.OPEN, (
        "two of four are not enough"
    )
    assert state_of(GOVERNANCE, motion(peer, votes=three)) is State.PASSED
    assert state_of(GOVERNANCE, motion(peer, votes=(no, (3, False)))) is State.LOST
    assert state_of(GOVERNANCE, motion(peer, votes=three, until=999)) is State.EXPIRED
    done = motion(peer)
    done = Motion(tuple(replace(one, executed=9) for one in done.proposals))
    assert state_of(GOVERNANCE, done) is State.EXECUTED
    assert missing_voters(GOVERNANCE, motion(peer, votes=(yes, no))) == (3, 4)
    # The vote of a member that is suspended counts no more.
    members = tuple(replace(one, is_active=one.id != 1) for one in GOVERNANCE.members)
    assert state_of(replace(GOVERNANCE, members=members), motion(peer, votes=three)) is State.OPEN


def test_a_member_that_a_motion_admits_counts_for_its_later_calls() -> None:
    """Three of four are enough to admit, and too few for what follows: three of five."""
    calls = (
        consortium.add_organisation(5, 6, b"\x01" * 32, bytes(32)),
        consortium.set_peer(b"\x02" * 20, 5, True),
    )
    three = ((1, True), (2, True), (3, True))
    assert [one.is_passed for one in tallies(GOVERNANCE, motion(*calls, votes=three))] == [True, False]
    assert state_of(GOVERNANCE, motion(*calls, votes=three)) is State.OPEN
    assert state_of(GOVERNANCE, motion(*calls, votes=(*three, (4, True)))) is State.PASSED
