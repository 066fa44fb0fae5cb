"""The tables that preflight works with are those of the contracts, after any sequence of governing calls."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from contracts.bindings import consortium, identity_registry
from contracts.district import STAFF_PARTY, WEBAUTHN, approver, district, registrar
from contracts.sandbox import CallFailed, Sandbox
from network.consortium.governance import (
    Governance,
    Member,
    PeerRow,
    Seat,
    apply_call,
    apply_calls,
    weight_of,
)
from network.consortium.motions import Proposal
from network.consortium.plain_words import tally
from node.chain.encoding import sha256
from node.chain.rules import CONSORTIUM
from node.chain.transaction import Call
from node.chain.validators import Validator

START = district()
KEYS = [sha256(b"validator" + bytes([number])) for number in range(5)] + [sha256(b"new")]
NODES = [sha256(b"node" + bytes([number]))[:20] for number in range(1, 9)]
REGISTRARS = {
    registrar(organisation, number).identity: organisation
    for organisation in range(1, 8)
    for number in (1, 2)
}
"""The district's: of organisations 1 to 7."""


def read(sandbox: Sandbox) -> Governance:
    table = consortium.decode_validators(sandbox.read(consortium.validators()))
    peers = consortium.decode_peers(sandbox.read(consortium.peers(0, 128)))
    members = []
    for id in consortium.decode_organisations(sandbox.read(consortium.organisations())):
        row = consortium.decode_organisation(sandbox.read(consortium.organisation(id)))
        count = identity_registry.decode_registrar_count(sandbox.read(identity_registry.registrar_count(id)))
        members.append(
            Member(id, row.kind, row.status == 1, row.encryption_key, row.certificate, count, voters=1)
        )
    return Governance(
        chain_name="model",
        purpose="demo",
        genesis_hash=bytes(32),
        evm_chain_id=1,
        height=sandbox.number,
        time_s=sandbox.now,
        members=tuple(members),
        validators=tuple(
            Seat(*row) for row in zip(table.keys, table.powers, table.organisations, strict=True)
        ),
        peers=tuple(PeerRow(*row) for row in zip(peers.node_ids, peers.organisations, strict=True)),
        in_force=tuple(Validator(*row) for row in zip(table.keys, table.powers, strict=True)),
        registrar_of=REGISTRARS,
    )


def tables(governance: Governance) -> tuple[object, ...]:
    """What must agree; the order of rows is nobody's business."""
    return (
        [(one.id, one.kind, one.is_active, one.registrars) for one in governance.members],
        frozenset(governance.validators),
        frozenset(governance.peers),
    )


organisations = st.integers(1, 9)
calls = st.one_of(
    st.builds(
        consortium.add_organisation,
        st.integers(7, 9),
        st.integers(1, 7),
        st.just(b"\x01" * 32),
        st.binary(min_size=32, max_size=32),
    ),
    st.builds(consortium.suspend_organisation, organisations),
    st.builds(consortium.resume_organisation, organisations),
    st.builds(consortium.set_peer, st.sampled_from(NODES), organisations, st.booleans()),
    st.builds(
        lambda key, power, owner: consortium.change_validators((key,), (power,), (owner,)),
        st.sampled_from(KEYS),
        st.integers(0, 12),
        organisations,
    ),
    st.builds(consortium.rotate_validator_key, st.sampled_from(KEYS), st.sampled_from(KEYS)),
    st.builds(
        lambda owner, number: identity_registry.install_registrar(
            owner, sha256(bytes([number]))[:16], WEBAUTHN, bytes([number]) * 64, STAFF_PARTY
        ),
        organisations,
        st.integers(1, 255),
    ),
    st.builds(identity_registry.remove_registrar, st.sampled_from(sorted(REGISTRARS))),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(calls, min_size=1, max_size=12))
def test_the_model_does_what_the_contracts_do(sequence: list[Call]) -> None:
    sandbox = START.fork()
    governance = read(sandbox)
    for call in sequence:
        sandbox.number += 2
        try:
            sandbox.send(CONSORTIUM, call)
        except CallFailed:
            continue  # the contract refuses it, so it never comes to the model
        governance = apply_call(governance, call)
        assert tables(governance) == tables(read(sandbox)), call


def test_several_calls_are_one_after_the_other() -> None:
    governance = read(START.fork())
    made = [
        consortium.add_organisation(8, 1, b"\x01" * 32, bytes(32)),
        consortium.set_peer(NODES[7], 8, True),
        consortium.suspend_organisation(8),
    ]
    after = apply_calls(governance, made)
    assert after.member(8) == Member(8, 1, False, b"\x01" * 32, bytes(32))
    assert after.peers_of(8) == (PeerRow(NODES[7], 8),)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_votes_are_counted_as_the_contract_counts(data: DataObject) -> None:
    sandbox = START.fork()
    for id in data.draw(st.sets(st.sampled_from([2, 5, 6]), max_size=1)):
        sandbox.send(CONSORTIUM, consortium.suspend_organisation(id))
    call = data.draw(
        st.sampled_from(
            [
                consortium.set_deployer(b"\x05" * 20, True),
                consortium.set_peer(NODES[7], 3, True),
            ]
        )
    )
    proposal = sha256(call.data)
    governance = read(sandbox)
    active = [one.id for one in governance.active]
    sandbox.send(approver(3).account, consortium.propose(proposal, call.to, call.data))
    votes = []
    for id in active:
        vote = data.draw(st.sampled_from([True, False, None]))
        if vote is not None:
            sandbox.send(approver(id).account, consortium.vote(proposal, vote))
            votes.append((id, vote))
    row = consortium.decode_proposal(sandbox.read(consortium.proposal(proposal)))
    counted = tally(governance, Proposal(proposal, row.topic, 3, b"", 0, 1, call, tuple(votes)))
    assert (counted.approving, counted.rejecting, counted.total) == (row.approving, row.rejecting, row.total)
    carry_out = consortium.execute(proposal, call.to, call.data)
    if counted.is_passed:
        sandbox.send(approver(3).account, carry_out)
    else:
        with pytest.raises(CallFailed) as failed:
            sandbox.send(approver(3).account, carry_out)
        assert failed.value.got.name == "MajorityMissing"  # type: ignore[attr-defined]


def test_weights_are_the_contracts() -> None:
    """Topic by topic: 6 the four offices, 7 the community twice, everything else everybody once."""
    assert [weight_of(1, kind) for kind in range(1, 8)] == [1] * 7
    assert [weight_of(6, kind) for kind in range(1, 8)] == [1, 1, 1, 1, 0, 0, 0]
    assert [weight_of(7, kind) for kind in range(1, 8)] == [0, 0, 0, 0, 2, 1, 1]
