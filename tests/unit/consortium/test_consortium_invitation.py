"""An invitation is good for one agency with its keys, once, until it ends; every changed byte voids it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from ceremony_agencies import NOW, PARAMETERS, Agency, agency, four_agencies
from hypothesis import given, settings
from hypothesis import strategies as st

from network.consortium.ceremony import Record, sign_genesis
from network.consortium.invitation import (
    Invitation,
    InvitationContent,
    InvitationError,
    check_invitation,
    decode_invitation,
    encode_invitation,
    make_invitation,
)
from network.consortium.keys import NodeKeys
from network.consortium.merge import merge


@cache
def settled(kind: str, seed: str = "1") -> Agency:
    """An agency whose certificate stays the same: each one made has a random number."""
    one = agency(kind, seed=seed, power=0 if kind == "auditor" else 10)
    return replace(one, certificate=one.content().certificate)


def founders() -> tuple[Agency, ...]:
    return tuple(settled(one.kind) for one in four_agencies())


NEWCOMER = settled("auditor")
COURT = settled("court")
LATER = NOW + timedelta(days=60)
DAY_S = 86_400


@cache
def content() -> InvitationContent:
    """The court invites the auditor; every founder has signed the genesis."""
    merged = merge([one.enrolment() for one in founders()], **PARAMETERS)  # type: ignore[arg-type]
    signatures = tuple(
        sign_genesis(merged.genesis, merged.enrolments, one.enrolment(), one.sign_ca) for one in founders()
    )
    return InvitationContent(
        genesis=merged.genesis,
        record=Record(merged.genesis.hash, merged.enrolments, signatures),
        enrolment=NEWCOMER.enrolment().hash,
        organisation=5,
        peers=("ab" * 20 + "@court.example:26656",),
        rpc_servers=("http://court.example:26657", "http://police.example:26657"),
        trust_height=1_000,
        trust_hash=b"\x07" * 32,
        inviter=COURT.name,
        certificate=COURT.content().certificate,
        valid_until=int(LATER.timestamp()) + DAY_S,
        nonce=b"\x01" * 16,
    )


@cache
def made() -> Invitation:
    return make_invitation(content(), COURT.sign_ca)


def keys_of(one: Agency) -> NodeKeys:
    return NodeKeys(one.secret("node"), one.secret("validator"))


def refusal(invitation: Invitation, own: Agency = NEWCOMER, **more: object) -> str:
    keys = more.pop("keys", keys_of(own))
    now = more.pop("now", LATER)
    with pytest.raises(InvitationError) as caught:
        check_invitation(invitation, own.enrolment(), keys, now, **more)  # type: ignore[arg-type]
    return caught.value.code


def test_the_agency_that_is_invited_may_join() -> None:
    read = decode_invitation(encode_invitation(made()))
    assert read == made()
    check_invitation(read, NEWCOMER.enrolment(), keys_of(NEWCOMER), LATER)
    assert read.content.state_sync().trust_height == 1_000


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_changed_byte_voids_it(data: st.DataObject) -> None:
    raw = bytearray(encode_invitation(made()))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_invitation(bytes(raw))
    except InvitationError:
        return
    with pytest.raises(InvitationError):
        check_invitation(read, NEWCOMER.enrolment(), keys_of(NEWCOMER), LATER)


@pytest.mark.parametrize("length", [0, 1, 1_000, -1])
def test_a_cut_file_is_none(length: int) -> None:
    with pytest.raises(InvitationError) as caught:
        decode_invitation(encode_invitation(made())[:length])
    assert caught.value.code == "invitation.malformed"


def test_it_is_for_nobody_else() -> None:
    other = settled("police")
    assert refusal(made(), other) == "invitation.other_enrolment"
    moved = replace(NEWCOMER, address="elsewhere.example:1")
    assert refusal(made(), moved) == "invitation.other_enrolment"
    elsewhere = replace(NEWCOMER, chain_name="another-chain")
    assert refusal(made(), elsewhere) == "invitation.other_chain"
    assert refusal(made(), keys=keys_of(other)) == "invitation.other_keys"


def test_it_ends_and_is_good_once() -> None:
    end = LATER + timedelta(days=1)
    assert refusal(made(), now=end) == "invitation.expired"
    check_invitation(made(), NEWCOMER.enrolment(), keys_of(NEWCOMER), end - timedelta(seconds=1))
    assert refusal(made(), used=[made().hash]) == "invitation.used"
    again = make_invitation(replace(content(), nonce=b"\x02" * 16), COURT.sign_ca)
    check_invitation(again, NEWCOMER.enrolment(), keys_of(NEWCOMER), LATER, used=[made().hash])


def test_only_a_member_whose_certificate_is_known_invites() -> None:
    """A stranger with a certificate in the court's name, or the court's certificate and another's key."""
    posing = settled("court", "2")
    own = replace(content(), certificate=posing.content().certificate)
    forged = make_invitation(own, posing.sign_ca)
    assert refusal(forged) == "invitation.inviter"
    assert refusal(make_invitation(content(), posing.sign_ca)) == "invitation.signature"
    # Compared by telephone: an agency that came later, or has a new CA.
    check_invitation(
        forged,
        NEWCOMER.enrolment(),
        keys_of(NEWCOMER),
        LATER,
        vouched=posing.content().certificate.fingerprint,
    )
    # A founder does not sign in another founder's name.
    named = make_invitation(replace(content(), inviter=settled("police").name), COURT.sign_ca)
    assert refusal(named) == "invitation.inviter"


def test_a_genesis_that_not_everybody_signed_is_looked_through() -> None:
    record = content().record
    assert record is not None
    other = merge(
        [one.enrolment() for one in founders()],
        chain_name="district-correction",
        systems=("correction",),
        genesis_time_ns=int(LATER.timestamp()) * 1_000_000_000,
    )
    swapped = replace(content(), genesis=other.genesis)
    assert refusal(make_invitation(swapped, COURT.sign_ca)) == "invitation.genesis"


def test_state_sync_asks_two() -> None:
    alone = replace(content(), rpc_servers=("http://court.example:26657",))
    with pytest.raises(InvitationError) as caught:
        make_invitation(alone, COURT.sign_ca)
    assert caught.value.code == "invitation.malformed"
    with pytest.raises(InvitationError):
        make_invitation(replace(content(), peers=("nobody",)), COURT.sign_ca)
