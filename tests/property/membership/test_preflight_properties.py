"""Preflight against a plain picture of the network: machines that run, and what they can still decide."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from contracts.bindings import consortium
from network.consortium.findings import Sight
from network.consortium.governance import Attendance, Governance, Member, PeerRow, Seat, apply_calls
from network.consortium.preflight import preflight
from node.chain.encoding import sha256
from node.chain.transaction import Call
from node.chain.validators import Validator, validator_address

KEYS = [bytes(SigningKey(sha256(bytes([number]))).verify_key) for number in range(8)]
patient = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
NODES = [sha256(b"n" + bytes([number]))[:20] for number in range(8)]


@st.composite
def networks(draw: st.DrawFn) -> Governance:
    """Members 1 to n; each has a node, some have a validator, some of those run."""
    count = draw(st.integers(2, 7))
    ids = range(1, count + 1)
    members = tuple(
        Member(
            id,
            id,
            True,
            registrars=draw(st.sampled_from([0, 1, 2])),
            voters=draw(st.sampled_from([0, 1])),
        )
        for id in ids
    )
    powers = draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    assume(any(powers))
    validators = tuple(Seat(KEYS[id], power, id) for id, power in zip(ids, powers, strict=True) if power)
    running = draw(st.sets(st.sampled_from([one.public_key for one in validators])))
    blocks = draw(
        st.lists(
            st.frozensets(st.sampled_from(sorted(running)) if running else st.nothing()),
            min_size=1,
            max_size=4,
        )
    )
    signed = [frozenset(validator_address(key) for key in block) for block in blocks]
    signed[0] = frozenset(validator_address(key) for key in running)
    return Governance(
        chain_name="model",
        purpose="demo",
        genesis_hash=bytes(32),
        evm_chain_id=1,
        height=100,
        time_s=0,
        members=members,
        validators=validators,
        peers=tuple(PeerRow(NODES[id], id) for id in ids),
        in_force=tuple(Validator(one.public_key, one.power) for one in validators),
        attendance=Attendance(tuple(enumerate(signed))),
    )


@st.composite
def changes(draw: st.DrawFn) -> tuple[Call, ...]:
    id = draw(st.integers(1, 7))
    one = st.one_of(
        st.builds(
            lambda power: consortium.change_validators((KEYS[id],), (power,), (id,)), st.integers(0, 15)
        ),
        st.just(consortium.rotate_validator_key(KEYS[id], KEYS[0])),
        st.just(consortium.suspend_organisation(id)),
        st.just(consortium.set_peer(NODES[id], id, False)),
        st.just(consortium.add_organisation(9, 1, b"\x01" * 32, bytes(32))),
    )
    return tuple(draw(st.lists(one, min_size=1, max_size=2)))


def codes(governance: Governance, calls: tuple[Call, ...], **more: object) -> set[str]:
    return {one.code for one in preflight(governance, calls, **more).refusals}  # type: ignore[arg-type]


def decides(before: Governance, after: Governance) -> bool:
    """Machines one by one: those that ran before, belong to an active member whose node may connect, and
    hold a key in the table afterwards, each with no more than the power it had: more than two thirds of all?
    """
    alive = total = 0
    for seat in after.validators:
        total += seat.power
        old = [one for one in before.validators if one.public_key == seat.public_key]
        ran = any(validator_address(seat.public_key) in block for _, block in before.attendance.blocks)
        owner = [one for one in after.members if one.id == seat.organisation]
        node = [one for one in after.peers if one.organisation == seat.organisation]
        if old and ran and owner and owner[0].is_active and node:
            alive += min(old[0].power, seat.power)
    return total > 0 and 3 * alive > 2 * total


@patient
@given(networks(), changes())
def test_what_passes_leaves_a_network_that_decides(governance: Governance, calls: tuple[Call, ...]) -> None:
    """And what touches no validator is not refused for the quorum."""
    after = apply_calls(governance, calls)
    found = codes(governance, calls)
    owners = {one.organisation for one in governance.validators}
    touched = (
        after.validators != governance.validators
        or {one.id for one in after.members if one.is_active and one.id in owners}
        != {one.id for one in governance.members if one.is_active and one.id in owners}
        or {one for one in after.peers if one.organisation in owners}
        != {one for one in governance.peers if one.organisation in owners}
    )
    if touched and set(after.validators) != set(governance.validators) and not decides(governance, after):
        assert "preflight.quorum" in found
    if decides(governance, after):
        assert "preflight.quorum" not in found


@patient
@given(networks(), changes())
def test_what_passes_can_be_changed_again(governance: Governance, calls: tuple[Call, ...]) -> None:
    """A majority of those who can vote is left wherever the change touched who can."""
    after = apply_calls(governance, calls)
    active = [one for one in after.members if one.is_active]
    able = [one for one in active if one.voters or one.registrars >= 2]
    changed = [(one.id, one.is_active) for one in governance.members] != [
        (one.id, one.is_active) for one in after.members
    ]
    locked = 3 * len(able) <= 2 * len(active)
    assert ("preflight.lockout" in codes(governance, calls)) == (locked and changed)


@patient
@given(networks())
def test_nothing_speaks_against_changing_nothing(governance: Governance) -> None:
    found = preflight(governance, (consortium.set_deployer(b"\x05" * 20, True),))
    assert found.findings == ()
    assert found.before == found.after
    assert found.in_force is None


@patient
@given(networks(), st.integers(1, 7))
def test_a_validators_last_node_is_never_struck_off(governance: Governance, id: int) -> None:
    assume(governance.member(id) is not None)
    found = codes(governance, (consortium.set_peer(NODES[id], id, False),))
    assert ("preflight.last_node" in found) == bool(governance.seats_of(id))
    # Power that was taken away counts until that is in force.
    left = tuple(one for one in governance.validators if one.organisation != id)
    assume(left)
    gone = replace(governance, validators=left)
    strike = (consortium.set_peer(NODES[id], id, False),)
    assert ("preflight.last_node" in codes(gone, strike)) == bool(governance.seats_of(id))
    in_force = tuple(Validator(one.public_key, one.power) for one in left)
    assert "preflight.last_node" not in codes(replace(gone, in_force=in_force), strike)


@patient
@given(networks(), st.sampled_from([None, 0, 2, 3, 50]))
def test_a_newcomers_node_must_be_in_step(governance: Governance, behind: int | None) -> None:
    newcomer = Member(9, 1, True, registrars=2)
    admitted = replace(
        governance,
        members=(*governance.members, newcomer),
        peers=(*governance.peers, PeerRow(NODES[0], 9)),
    )
    calls = (consortium.change_validators((KEYS[0],), (1,), (9,)),)
    found = codes(admitted, calls, sight=Sight({NODES[0]: behind}))
    assert ("preflight.not_in_step" in found) == (behind is None or behind > 2)
    assert "preflight.not_in_step" in codes(admitted, calls, sight=Sight({}))
    unseen = preflight(admitted, calls)
    assert "preflight.not_looked_at" in {one.code for one in unseen.warnings}
    without = replace(admitted, peers=governance.peers)
    assert "preflight.no_node" in codes(without, calls)


@patient
@given(networks(), st.binary(min_size=32, max_size=32))
def test_a_key_that_would_stop_the_table_is_refused(governance: Governance, key: bytes) -> None:
    """Points of small order, and what is no point at all; a key of libsodium's passes."""
    id = governance.members[0].id
    small = [bytes(32), (1).to_bytes(32, "little"), bytes([0xEC]) + b"\xff" * 30 + b"\x7f"]
    for bad in small:
        calls = (consortium.change_validators((bad,), (1,), (id,)),)
        assert "preflight.validator_key" in codes(governance, calls)
    good = bytes(SigningKey(key).verify_key)
    assert "preflight.validator_key" not in codes(
        governance, (consortium.change_validators((good,), (1,), (id,)),)
    )


@patient
@given(networks())
def test_validators_change_once_at_a_time(governance: Governance) -> None:
    one = consortium.change_validators((KEYS[0],), (1,), (1,))
    two = consortium.rotate_validator_key(KEYS[0], KEYS[7])
    assert "preflight.changes_apart" in codes(governance, (one, two))
    pending = replace(governance, in_force=governance.in_force[1:])
    assert "preflight.change_pending" in codes(pending, (one,), executing=True)
    assert "preflight.change_pending" not in codes(pending, (one,))
    assert "preflight.change_pending" not in codes(governance, (one,), executing=True)
