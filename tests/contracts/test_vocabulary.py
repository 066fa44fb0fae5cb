"""The numbers in Python are the numbers in Solidity."""

from __future__ import annotations

import re
from enum import IntEnum

import pytest

from contracts.system import CONTRACTS_DIR
from contracts.vocabulary import (
    ANCHOR_KINDS,
    CASE_STATES,
    DELIVERY_STATES,
    DOCUMENT_STATES,
    DOMAINS,
    ENTRY_KINDS,
    ORDER_KINDS,
    ORDER_STATES,
    ORGANISATION_KINDS,
    ROLES,
    STEPS,
    TOPICS,
    AddresseeError,
    CaseState,
    DeliveryState,
    DocumentState,
    EntryKind,
    OrderState,
    Role,
    Topic,
    pack_recipients,
)


def constants(source: str) -> dict[str, int]:
    text = (CONTRACTS_DIR / "src" / source).read_text(encoding="utf-8")
    return {name: int(value) for name, value in re.findall(r"constant (\w+) = (\d+);", text)}


@pytest.mark.parametrize(
    ("source", "enum", "renamed"),
    [
        ("correction/CorrectionCases.sol", CaseState, {}),
        ("correction/CorrectionDocuments.sol", DocumentState, {}),
        ("correction/CorrectionDocuments.sol", DeliveryState, {}),
        ("sharing/SharingOrders.sol", OrderState, {}),
        ("sharing/LoveBank.sol", EntryKind, {}),
        ("consortium/Voting.sol", Topic, {}),
    ],
)
def test_states_have_the_same_numbers(source: str, enum: type[IntEnum], renamed: dict[str, str]) -> None:
    known = constants(source)
    shared = {member.name for member in enum} & set(known)
    assert len(shared) >= len(enum) - 2, "renamed on one side"
    for name in shared:
        assert known[name] == enum[name], renamed.get(name, name)


def test_roles_have_the_same_bits() -> None:
    known = constants("access/Constants.sol")
    assert {role.name: role.value for role in Role} == {
        str(role.name): known[str(role.name)] for role in Role
    }


def test_every_number_has_a_word() -> None:
    tables = (ANCHOR_KINDS, CASE_STATES, DELIVERY_STATES, DOCUMENT_STATES, DOMAINS, ENTRY_KINDS, ORDER_STATES)
    for words in (*tables, ORGANISATION_KINDS, ROLES, STEPS, TOPICS):
        enum = type(next(iter(words)))
        assert set(words) == set(enum)


def test_nine_categories_of_two_services_and_eight_kinds_of_items() -> None:
    services = [kind for kind in ORDER_KINDS.values() if kind.number < 100]
    assert len(services) == 18
    assert len({kind.category for kind in services}) == 9
    assert len(ORDER_KINDS) == 26
    assert all(100 <= kind.weight <= 150 for kind in services)
    assert all(100 <= kind.weight <= 300 for kind in ORDER_KINDS.values())


def test_too_many_addressees_are_refused() -> None:
    with pytest.raises(AddresseeError):
        pack_recipients(range(1, 10))
    with pytest.raises(AddresseeError):
        pack_recipients((0,))
