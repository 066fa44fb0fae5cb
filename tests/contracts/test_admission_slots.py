"""The node's readers find in the contracts' storage what the genesis calls put there."""

from __future__ import annotations

from contracts.bindings import consortium, identity_registry
from contracts.district import (
    COURT,
    DATA_BUREAU,
    NOW,
    PEOPLE,
    POLICE,
    SERVICE_PARTY,
    SHARING_PARTY,
    STAFF_PARTY,
    VALIDATING,
    WEBAUTHN,
    district_spec,
    handler,
    node_of,
    registrar,
)
from contracts.genesis import FIRST_RULES
from contracts.sandbox import Sandbox
from contracts.system import SYSTEM, SYSTEM_CONTRACTS
from contracts.vocabulary import Domain
from node.chain import rules as node_rules
from node.chain.encoding import keccak256, sha256
from node.chain.genesis import ORGANISATION_KINDS


def read(sandbox: Sandbox, address: bytes, slots: tuple[int, ...]) -> list[int]:
    return [sandbox.overlay.storage(address, slot) for slot in slots]


def test_addresses_are_the_nodes() -> None:
    assert consortium.ADDRESS == node_rules.CONSORTIUM
    assert identity_registry.ADDRESS == node_rules.IDENTITY_REGISTRY


def test_every_credential_reads_back(sandbox: Sandbox) -> None:
    for person in PEOPLE:
        slots = node_rules.credential_slots(person.account)
        credential = node_rules.decode_credential(*read(sandbox, identity_registry.ADDRESS, slots))
        assert credential is not None
        assert credential.identity == person.identity
        assert (credential.domain, credential.scheme, credential.status, credential.flags) == (
            person.domain,
            WEBAUTHN,
            1,
            0,
        )
        assert (credential.valid_from, credential.valid_until) == (NOW, 0)


def test_suspending_an_identity_stops_admission(sandbox: Sandbox) -> None:
    person = handler(COURT)
    sandbox.send(registrar(COURT, 1).account, identity_registry.suspend(person.identity))
    slots = node_rules.credential_slots(person.account)
    credential = node_rules.decode_credential(*read(sandbox, identity_registry.ADDRESS, slots))
    assert credential is not None
    assert credential.status == 2


def test_every_relying_party_reads_back(sandbox: Sandbox) -> None:
    for spec in district_spec().relying_parties:
        slots = node_rules.relying_party_slots(spec.id)
        party = node_rules.decode_relying_party(*read(sandbox, consortium.ADDRESS, slots))
        assert party == node_rules.RelyingParty(
            sha256(b"localhost"),
            0,
            0,
            spec.organisation,
            spec.any_contract,
            spec.localhost_any_port,
            spec.domain,
        )
    assert party is not None
    assert party.organisation == DATA_BUREAU


def test_origins_callables_and_deployers_read_back(sandbox: Sandbox) -> None:
    address = consortium.ADDRESS
    assert read(
        sandbox, address, (node_rules.origin_slot(STAFF_PARTY, keccak256(b"http://localhost:8600")),)
    ) == [1]
    assert read(
        sandbox, address, (node_rules.origin_slot(STAFF_PARTY, keccak256(b"http://localhost:8601")),)
    ) == [0]
    for contract in SYSTEM_CONTRACTS:
        assert read(sandbox, address, (node_rules.callable_slot(SHARING_PARTY, contract.address),)) == [1]
        assert read(sandbox, address, (node_rules.callable_slot(SERVICE_PARTY, contract.address),)) == [0]
    assert read(sandbox, address, (node_rules.deployer_slot(bytes([0xDE]) * 20),)) == [1]


def test_rules_read_back(sandbox: Sandbox) -> None:
    words = read(sandbox, consortium.ADDRESS, node_rules.rules_slots(1))
    assert node_rules.decode_rules(1, *words) == node_rules.FIRST_RULES
    assert FIRST_RULES.as_tuple()[:4] == (0, 40_000_000, 30_000_000, 10_000_000)


def test_validators_read_back_and_follow_a_change(sandbox: Sandbox) -> None:
    address = consortium.ADDRESS

    def table() -> dict[bytes, int]:
        count = sandbox.overlay.storage(address, node_rules.VALIDATOR_COUNT_SLOT)
        keys = [
            sandbox.overlay.storage(address, node_rules.validator_key_slot(index)).to_bytes(32, "big")
            for index in range(count)
        ]
        return {key: sandbox.overlay.storage(address, node_rules.validator_power_slot(key)) for key in keys}

    genesis = {item.public_key: item.power for item in district_spec().validators}
    assert table() == genesis
    version = sandbox.overlay.storage(address, node_rules.VALIDATORS_VERSION_SLOT)
    first = next(iter(genesis))
    sandbox.send(SYSTEM, consortium.change_validators((first,), (0,), (COURT,)))
    assert table() == {key: power for key, power in genesis.items() if key != first}
    assert sandbox.overlay.storage(address, node_rules.VALIDATORS_VERSION_SLOT) == version + 1
    assert sandbox.overlay.storage(address, node_rules.validator_power_slot(first)) == 0


def test_a_validators_organisation_reads_back(sandbox: Sandbox) -> None:
    for item in district_spec().validators:
        slot = node_rules.validator_organisation_slot(item.public_key)
        assert sandbox.overlay.storage(consortium.ADDRESS, slot) == item.organisation


def test_one_slot_tells_whose_node_may_connect(sandbox: Sandbox) -> None:
    def admitted(node_id: bytes) -> int:
        return sandbox.overlay.storage(consortium.ADDRESS, node_rules.peer_slot(node_id))

    assert {organisation: admitted(node_of(organisation)) for organisation in VALIDATING} == {
        organisation: organisation for organisation in VALIDATING
    }
    newcomer = bytes(range(20))
    assert admitted(newcomer) == 0
    sandbox.send(SYSTEM, consortium.set_peer(newcomer, POLICE, True))
    assert admitted(newcomer) == POLICE
    sandbox.send(SYSTEM, consortium.suspend_organisation(POLICE))
    assert (admitted(newcomer), admitted(node_of(POLICE)), admitted(node_of(COURT))) == (0, 0, COURT)
    sandbox.send(SYSTEM, consortium.resume_organisation(POLICE))
    assert (admitted(newcomer), admitted(node_of(POLICE))) == (POLICE, POLICE)
    sandbox.send(SYSTEM, consortium.set_peer(newcomer, POLICE, False))
    assert admitted(newcomer) == 0


def test_kinds_and_domains_have_the_nodes_numbers() -> None:
    assert [kind.lower() for kind in ORGANISATION_KINDS] == [
        "police",
        "procuratorate",
        "court",
        "justice",
        "community",
        "auditor",
        "data_bureau",
    ]
    domains = (node_rules.DOMAIN_STAFF, node_rules.DOMAIN_SHARING, node_rules.DOMAIN_SERVICE)
    assert domains == (Domain.STAFF, Domain.SHARING, Domain.SERVICE)
