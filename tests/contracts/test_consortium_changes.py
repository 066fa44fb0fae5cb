"""How peers, validators and agency keys change: by vote, by the right people, never so that blocks stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.bindings import consortium, identity_registry
from contracts.district import (
    COURT,
    JUSTICE,
    KINDS,
    NOW,
    POLICE,
    PROCURATORATE,
    RESIDENTS,
    STAFF_PARTY,
    VALIDATING,
    WEBAUTHN,
    Person,
    approver,
    district_spec,
    handler,
    node_of,
    registrar,
    sealer,
    service,
)
from contracts.genesis import ValidatorSpec
from contracts.sandbox import CallFailed, Sandbox
from contracts.vocabulary import OrganisationKind, Topic
from node.chain.encoding import sha256
from node.chain.transaction import Call
from node.chain.validators import Validator, sort_validators
from node.ledger.membership import load_validator_updates

NEWCOMER = 8
NEW_KEY = sha256(b"new key")
NEW_NODE = sha256(b"new node")[:20]
OLD_KEY = district_spec().validators[0].public_key

VOTED = {
    "setPeer": consortium.set_peer(NEW_NODE, COURT, True),
    "changeValidators": consortium.change_validators((NEW_KEY,), (5,), (COURT,)),
    "rotateValidatorKey": consortium.rotate_validator_key(OLD_KEY, NEW_KEY),
    "removeRegistrar": identity_registry.remove_registrar(registrar(COURT, 1).identity),
}


def decide(
    sandbox: Sandbox, call: Call, voters: tuple[int, ...] = (COURT, PROCURATORATE, POLICE, JUSTICE, 5)
) -> None:
    """Put to the vote by the court, approved by each of `voters`, carried out by the court."""
    proposal = sha256(call.data)
    sandbox.send(approver(COURT).account, consortium.propose(proposal, call.to, call.data))
    for organisation in voters:
        sandbox.send(approver(organisation).account, consortium.vote(proposal, True))
    sandbox.send(approver(COURT).account, consortium.execute(proposal, call.to, call.data))


def refusal(act: Callable[[], object]) -> tuple[str, dict[str, object]]:
    """Name and values of the custom error."""
    with pytest.raises(CallFailed) as caught:
        act()
    error = caught.value.got
    return error.name, error.args  # type: ignore[attr-defined]


def table(sandbox: Sandbox) -> dict[bytes, tuple[int, int]]:
    """Key to power and organisation."""
    answer = consortium.decode_validators(sandbox.read(consortium.validators()))
    return dict(zip(answer.keys, zip(answer.powers, answer.organisations, strict=True), strict=True))


def test_a_member_joins_with_its_node_and_its_validator(sandbox: Sandbox) -> None:
    call = consortium.add_organisation(
        NEWCOMER, OrganisationKind.POLICE, sha256(b"sealing"), sha256(b"certificate")
    )
    decide(sandbox, call)
    people = (registrar(NEWCOMER, 1), registrar(NEWCOMER, 2))
    for person in people:
        install = identity_registry.install_registrar(
            NEWCOMER, person.identity, WEBAUTHN, person.public_key, STAFF_PARTY
        )
        decide(sandbox, install, (COURT, PROCURATORATE, POLICE, JUSTICE, 5, 6))
    decide(sandbox, consortium.set_peer(NEW_NODE, NEWCOMER, True), tuple(range(1, 7)))
    decide(sandbox, consortium.change_validators((NEW_KEY,), (10,), (NEWCOMER,)), tuple(range(1, 7)))

    row = consortium.decode_organisation(sandbox.read(consortium.organisation(NEWCOMER)))
    assert (row.status, row.certificate) == (1, sha256(b"certificate"))
    assert consortium.decode_peer(sandbox.read(consortium.peer(NEW_NODE))) == NEWCOMER
    assert table(sandbox)[NEW_KEY] == (10, NEWCOMER)
    for person in people:
        sandbox.send(person.account, consortium.rotate_encryption_key(sha256(b"another")))
    row = consortium.decode_organisation(sandbox.read(consortium.organisation(NEWCOMER)))
    assert row.encryption_key == sha256(b"another")


def test_a_member_leaves(sandbox: Sandbox) -> None:
    decide(sandbox, consortium.change_validators((OLD_KEY,), (0,), (COURT,)))
    decide(sandbox, consortium.set_peer(node_of(COURT), COURT, False))
    decide(sandbox, consortium.suspend_organisation(COURT))
    assert OLD_KEY not in table(sandbox)
    assert consortium.decode_peer(sandbox.read(consortium.peer(node_of(COURT)))) == 0
    name, _ = refusal(lambda: decide(sandbox, consortium.set_deployer(bytes(20), True)))
    assert name == "NoStanding"


def test_the_list_of_peers_is_read_page_by_page(sandbox: Sandbox) -> None:
    pages = [consortium.decode_peers(sandbox.read(consortium.peers(start, 3))) for start in range(0, 9, 3)]
    assert {page.total for page in pages} == {len(VALIDATING)}
    assert [node for page in pages for node in page.node_ids] == [node_of(item) for item in VALIDATING]
    assert [item for page in pages for item in page.organisations] == list(VALIDATING)


# ---- who may


@pytest.mark.parametrize("function", VOTED)
@pytest.mark.parametrize(
    "person",
    [handler(COURT), approver(COURT), sealer(COURT), registrar(COURT, 1), service(COURT), RESIDENTS[0]],
    ids=lambda person: person.name,
)
def test_nobody_makes_a_voted_call_alone(sandbox: Sandbox, function: str, person: Person) -> None:
    name, _ = refusal(lambda: sandbox.send(person.account, VOTED[function]))
    assert name == "WrongCaller"


@pytest.mark.parametrize(("function", "topic"), [
    ("setPeer", Topic.MEMBERSHIP),
    ("changeValidators", Topic.VALIDATORS),
    ("rotateValidatorKey", Topic.VALIDATORS),
    ("removeRegistrar", Topic.MEMBERSHIP),
])  # fmt: skip
def test_more_than_two_thirds_of_the_members_decide(sandbox: Sandbox, function: str, topic: Topic) -> None:
    call = VOTED[function]
    answer = sandbox.read(consortium.topic_of(call.to, call.data[:4]))
    assert consortium.decode_topic_of(answer) == topic
    name, values = refusal(lambda: decide(sandbox, call, (COURT, PROCURATORATE, POLICE, JUSTICE)))
    assert name == "MajorityMissing"
    assert values == {"approving": 4, "total": len(KINDS), "numerator": 2, "denominator": 3}


@pytest.mark.parametrize(
    ("person", "error"),
    [
        (handler(COURT), "RoleMissing"),
        (approver(COURT), "RoleMissing"),
        (sealer(COURT), "RoleMissing"),
        (service(COURT), "WrongDomain"),
        (RESIDENTS[0], "WrongDomain"),
        (registrar(NEWCOMER, 1), "NoStanding"),
    ],
    ids=lambda item: item if isinstance(item, str) else item.name,
)
def test_only_registrars_replace_a_certificate(sandbox: Sandbox, person: Person, error: str) -> None:
    name, _ = refusal(lambda: sandbox.send(person.account, consortium.rotate_certificate(NEW_KEY)))
    assert name == error


def test_registrars_replace_the_certificate_of_their_own_organisation(sandbox: Sandbox) -> None:
    call = consortium.rotate_certificate(NEW_KEY)
    sandbox.send(registrar(COURT, 1).account, call)
    sandbox.send(registrar(POLICE, 1).account, call)
    events = sandbox.events(sandbox.send(registrar(POLICE, 2).account, call))
    assert consortium.CertificateRotated(POLICE, bytes(32), NEW_KEY) in events
    certificates = {
        organisation: consortium.decode_organisation(
            sandbox.read(consortium.organisation(organisation))
        ).certificate
        for organisation in KINDS
    }
    assert certificates == {organisation: bytes(32) for organisation in KINDS} | {POLICE: NEW_KEY}


def test_a_proposal_tells_who_has_voted(sandbox: Sandbox) -> None:
    proposal, call = sha256(b"proposal"), VOTED["setPeer"]
    sandbox.send(approver(COURT).account, consortium.propose(proposal, call.to, call.data))
    sandbox.send(approver(COURT).account, consortium.vote(proposal, True))
    sandbox.send(approver(POLICE).account, consortium.vote(proposal, False))
    votes = {
        organisation: consortium.decode_vote_of(sandbox.read(consortium.vote_of(proposal, organisation)))
        for organisation in KINDS
    }
    assert {organisation: vote for organisation, vote in votes.items() if vote} == {COURT: 1, POLICE: 2}


# ---- a dry run


@pytest.mark.parametrize(
    "call",
    [
        consortium.set_peer(node_of(COURT), COURT, True),
        consortium.set_peer(NEW_NODE, NEWCOMER, True),
        consortium.change_validators((NEW_KEY,), (14,), (COURT,)),
        consortium.rotate_validator_key(NEW_KEY, OLD_KEY),
        *VOTED.values(),
    ],
    ids=lambda call: call.data[:4].hex() + call.data[-4:].hex(),
)
def test_a_call_from_the_contract_itself_tells_what_a_vote_would_do(sandbox: Sandbox, call: Call) -> None:
    """What `eth_call` with `from` = the Consortium answers is what `execute` answers."""

    def outcome(act: Callable[[], object]) -> object:
        try:
            act()
        except CallFailed as error:
            return error.got
        return None

    before = table(sandbox)
    foreseen = outcome(lambda: sandbox.read(call, consortium.ADDRESS))
    assert table(sandbox) == before
    assert outcome(lambda: decide(sandbox, call)) == foreseen


# ---- what the engine is told


def test_a_rotation_is_one_key_removed_and_one_added() -> None:
    keys = [
        Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
        for number in range(1, 6)
    ]
    spec = replace(
        district_spec(),
        validators=tuple(ValidatorSpec(key, 10, owner) for key, owner in zip(keys, VALIDATING, strict=False)),
    )
    before = Sandbox.create(spec, NOW)
    after = before.fork()
    decide(after, consortium.rotate_validator_key(keys[1], keys[4]))
    told = sort_validators(Validator(key, 10) for key in keys[:4])
    updates = load_validator_updates(before.overlay, after.overlay, told)
    assert {update.public_key: update.power for update in updates} == {keys[1]: 0, keys[4]: 10}
    assert table(after)[keys[4]] == (10, PROCURATORATE)
