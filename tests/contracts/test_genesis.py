"""Genesis fills the contracts once; afterwards nobody can make the same calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.bindings import consortium, identity_registry, love_bank
from contracts.district import COURT, KINDS, NOW, STAFF_PARTY, district_spec, handler, registrar
from contracts.genesis import genesis_calls, genesis_codes
from contracts.sandbox import CallFailed, Sandbox
from contracts.system import SYSTEM_CONTRACTS
from node.chain.encoding import keccak256
from node.chain.transaction import Call


def test_every_contract_gets_its_code_at_its_address() -> None:
    codes = dict(genesis_codes())
    assert set(codes) == {contract.address for contract in SYSTEM_CONTRACTS}
    assert all(len(code) < 24_576 for code in codes.values()), "EIP-170"


def test_the_two_systems_are_apart() -> None:
    correction = {address for address, _ in genesis_codes(("correction",))}
    sharing = {address for address, _ in genesis_codes(("sharing",))}
    assert love_bank.ADDRESS not in correction
    assert correction & sharing == {
        contract.address
        for contract in SYSTEM_CONTRACTS
        if contract.name in ("Consortium", "IdentityRegistry", "Anchors")
    }


@pytest.mark.parametrize("systems", [("correction",), ("sharing",)])
def test_a_chain_of_one_system_starts(systems: tuple[str, ...]) -> None:
    sandbox = Sandbox.create(replace(district_spec(), systems=systems), NOW)
    assert consortium.decode_organisations(sandbox.read(consortium.organisations())) == tuple(KINDS)


@pytest.mark.parametrize(
    "call", genesis_calls(district_spec()), ids=lambda call: f"{call.to[-1]:02x}.{call.data[:4].hex()}"
)
def test_nobody_else_makes_a_genesis_call(call: Call) -> None:
    with pytest.raises(CallFailed) as caught:
        DISTRICT.send(handler(COURT).account, call)
    assert getattr(caught.value.got, "name", "") == "WrongCaller"


DISTRICT = Sandbox.create(district_spec(), NOW)


def test_every_organisation_has_two_registrars() -> None:
    for organisation in KINDS:
        count = DISTRICT.read(identity_registry.registrar_count(organisation))
        assert identity_registry.decode_registrar_count(count) == 2


def test_accounts_are_those_of_the_ledger() -> None:
    person = registrar(COURT, 1)
    account = DISTRICT.read(identity_registry.account_of(1, person.public_key))
    assert identity_registry.decode_account_of(account) == person.account
    secp256k1 = DISTRICT.read(identity_registry.account_of(0, person.public_key))
    assert identity_registry.decode_account_of(secp256k1) == keccak256(person.public_key)[12:]


def test_what_was_enrolled_can_be_read_from_the_events_alone() -> None:
    sandbox = Sandbox.create(replace(district_spec(), identities=()), NOW)
    newcomer = handler(COURT)
    call = identity_registry.enrol(
        newcomer.identity, 1, 4, newcomer.roles, 1, newcomer.public_key, STAFF_PARTY, 0
    )
    sandbox.send(registrar(COURT, 1).account, call)
    events = sandbox.events(sandbox.send(registrar(COURT, 2).account, call))
    added = next(event for event in events if isinstance(event, identity_registry.CredentialAdded))
    assert (added.account, added.scheme, added.public_key) == (newcomer.account, 1, newcomer.public_key)
    assert added.by == registrar(COURT, 2).identity
