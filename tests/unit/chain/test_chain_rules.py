"""Slots and packing, computed here a second time from the ABI encoding and Solidity's layout rules."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from eth_abi import encode
from eth_utils import keccak

from node.chain.rules import (
    ADMISSION_BASE,
    CREDENTIALS_BASE,
    FIRST_RULES,
    PEERS_SLOT,
    SCHEME_SLOTS,
    VALIDATOR_COUNT_SLOT,
    VALIDATORS_VERSION_SLOT,
    Credential,
    RelyingParty,
    callable_slot,
    credential_slots,
    decode_credential,
    decode_relying_party,
    decode_rules,
    deployer_slot,
    encode_credential,
    encode_relying_party,
    encode_rules,
    is_localhost_origin,
    origin_slot,
    peer_slot,
    relying_party_slots,
    rules_are_sound,
    rules_at,
    rules_slots,
    validator_key_slot,
    validator_organisation_slot,
    validator_power_slot,
)
from node.chain.signing import SCHEMES, SECP256K1

ADDRESS = bytes(range(20))
ADDRESS_TEXT = "0x" + ADDRESS.hex()
PARTY = bytes([0xAA] * 32)


def namespace(name: str) -> int:
    inner = int.from_bytes(keccak(text=name), "big") - 1
    return int.from_bytes(keccak(encode(["uint256"], [inner])), "big") & ~0xFF


def mapping(kind: str, key: object, base: int) -> int:
    return int.from_bytes(keccak(encode([kind, "uint256"], [key, base])), "big")


def test_slots_are_solidity_s() -> None:
    identity, consortium = (
        namespace("shelian.identity.credentials"),
        namespace("shelian.consortium.admission"),
    )
    assert (identity, consortium) == (CREDENTIALS_BASE, ADMISSION_BASE)
    first = mapping("address", ADDRESS_TEXT, identity)
    assert credential_slots(ADDRESS) == (first, first + 1)
    first = mapping("bytes32", PARTY, consortium)
    assert relying_party_slots(PARTY) == (first, first + 1)
    origin = keccak(b"http://localhost:8600")
    assert origin_slot(PARTY, origin) == mapping("bytes32", origin, mapping("bytes32", PARTY, consortium + 1))
    assert callable_slot(PARTY, ADDRESS) == mapping(
        "address", ADDRESS_TEXT, mapping("bytes32", PARTY, consortium + 2)
    )
    assert deployer_slot(ADDRESS) == mapping("address", ADDRESS_TEXT, consortium + 3)
    first = mapping("uint256", 7, consortium + 4)
    assert rules_slots(7) == (first, first + 1, first + 2)
    assert consortium + 5 == VALIDATORS_VERSION_SLOT
    assert consortium + 6 == VALIDATOR_COUNT_SLOT
    array = int.from_bytes(keccak(encode(["uint256"], [consortium + 6])), "big")
    assert [validator_key_slot(index) for index in range(3)] == [array, array + 1, array + 2]
    assert validator_power_slot(PARTY) == mapping("bytes32", PARTY, consortium + 7)
    assert validator_organisation_slot(PARTY) == mapping("bytes32", PARTY, consortium + 8)
    assert consortium + 9 == PEERS_SLOT
    assert peer_slot(ADDRESS) == mapping("bytes20", ADDRESS, consortium + 9)


def solidity_word(*values: tuple[str, object]) -> int:
    """Packed storage: the last value stands highest, so encodePacked in reverse order."""
    from eth_abi.packed import encode_packed

    kinds, items = zip(*reversed(values), strict=True)
    return int.from_bytes(encode_packed(list(kinds), list(items)), "big")


def test_a_credential_is_packed_as_solidity_packs_it() -> None:
    credential = Credential(bytes(range(16)), 1, 2, 1, 0, 1_700_000_000, 1_800_000_000, PARTY)
    word = solidity_word(
        ("bytes16", bytes(range(16))),
        ("uint8", 1),
        ("uint8", 2),
        ("uint8", 1),
        ("uint8", 0),
        ("uint48", 1_700_000_000),
        ("uint48", 1_800_000_000),
    )
    assert encode_credential(credential) == (word, int.from_bytes(PARTY, "big"))
    assert decode_credential(*encode_credential(credential)) == credential
    assert decode_credential(0, 0) is None


@pytest.mark.parametrize(
    ("valid_until", "now", "in_time"),
    [(0, 99, False), (0, 100, True), (0, 2**47, True), (200, 199, True), (200, 200, False)],
)
def test_a_credential_is_valid_from_and_until(valid_until: int, now: int, in_time: bool) -> None:
    assert Credential(bytes(16), 1, 1, 1, 0, 100, valid_until, PARTY).in_time(now) is in_time


def test_a_relying_party_is_packed_as_solidity_packs_it() -> None:
    party = RelyingParty(PARTY, 5, 9, 3, any_contract=True, localhost_any_port=False, domain=2)
    word = solidity_word(("uint64", 5), ("uint64", 9), ("uint16", 3), ("uint8", 1 | 4), ("uint8", 2))
    assert encode_relying_party(party) == (int.from_bytes(PARTY, "big"), word)
    assert decode_relying_party(*encode_relying_party(party)) == party
    local = replace(party, any_contract=False, localhost_any_port=True)
    assert decode_relying_party(*encode_relying_party(local)) == local
    assert decode_relying_party(1, word & ~(4 << 144)) is None
    assert [height for height in range(12) if party.in_force(height)] == [5, 6, 7, 8]
    assert replace(party, until_height=0).in_force(10**9)


def test_a_rules_row_is_packed_as_solidity_packs_it() -> None:
    rules = replace(FIRST_RULES, version=2, activation_height=77, scheme_gas=tuple(range(SCHEME_SLOTS)))
    word0 = solidity_word(
        ("uint64", 77), ("uint64", 40_000_000), ("uint64", 30_000_000), ("uint64", 10_000_000)
    )
    word1 = solidity_word(
        ("uint64", 30_000_000),
        ("uint32", 131_072),
        ("uint32", 8),
        ("uint32", 21_000),
        ("uint16", 100),
        ("uint32", 86_400),
        ("uint8", 1),
    )
    word2 = solidity_word(*(("uint32", gas) for gas in range(SCHEME_SLOTS)))
    assert encode_rules(rules) == (word0, word1, word2)
    assert decode_rules(2, word0, word1, word2) == rules
    assert decode_rules(2, word0, word1 | 1 << 216, word2) is None


@pytest.mark.parametrize(
    "change",
    [
        {"activation_height": 1},
        {"version": 2},
        {"block_gas": 0},
        {"block_gas": 2**63},
        {"transaction_gas": 0},
        {"transaction_gas": 40_000_001},
        {"correction_gas": 40_000_000},
        {"identity_gas": 0},
        {"max_transaction_bytes": 0},
        {"max_transaction_bytes": (1 << 20) + 1},
        {"byte_gas": 0},
        {"base_gas": 0},
        {"max_calls": 0},
        {"max_calls": 1_001},
        {"max_validity": 0},
        {"fork": 0},
        {"fork": 2},
        {"scheme_gas": (0,) * 7},
        {"scheme_gas": (0,) * 7 + (2**32,)},
    ],
    ids=str,
)
def test_rules_that_no_chain_can_run_under_are_no_rules(change: dict[str, object]) -> None:
    assert rules_are_sound(FIRST_RULES)
    bad = replace(FIRST_RULES, **change)
    assert not rules_are_sound(bad)
    if "scheme_gas" not in change:
        assert decode_rules(bad.version, *encode_rules(bad)) is None


def table(*rows: tuple[int, int, int]) -> dict[int, int]:
    return {
        slot: word
        for version, row in enumerate(rows, 2)
        for slot, word in zip(rules_slots(version), row, strict=True)
    }


def row(version: int, activation: int, **changes: int) -> tuple[int, int, int]:
    return encode_rules(replace(FIRST_RULES, version=version, activation_height=activation, **changes))


def test_rows_take_effect_one_after_the_other_at_their_heights() -> None:
    slots = table(row(2, 10), row(3, 10), row(4, 20), row(5, 15))

    def version_at(height: int) -> int:
        return rules_at(height, FIRST_RULES, lambda slot: slots.get(slot, 0)).version

    assert [version_at(height) for height in (1, 9, 10, 15, 19, 20, 21)] == [1, 1, 3, 3, 3, 5, 5]


def test_an_unsound_row_is_passed_over() -> None:
    slots = table(row(2, 5, fork=9), row(3, 6))

    def read(slot: int) -> int:
        return slots.get(slot, 0)

    assert rules_at(5, FIRST_RULES, read).version == 1
    assert rules_at(6, FIRST_RULES, read).version == 3
    assert rules_at(7, rules_at(6, FIRST_RULES, read), read).version == 3


def test_gas_and_schemes_of_the_first_rules() -> None:
    assert FIRST_RULES.imi_intrinsic_gas(1, 500) == 21_000 + FIRST_RULES.scheme_gas[1] + 8 * 500
    assert FIRST_RULES.imi_intrinsic_gas(255, 500) == 21_000 + 8 * 500
    enabled = {scheme for scheme in range(300) if FIRST_RULES.scheme_enabled(scheme)}
    assert enabled == {SECP256K1, *SCHEMES}
    assert len(fields(FIRST_RULES)) == 13


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"http://localhost:1", True),
        (b"http://localhost:8600", True),
        (b"http://localhost:65535", True),
        (b"http://localhost:65536", False),
        (b"http://localhost:0", False),
        (b"http://localhost:0800", False),
        (b"http://localhost:", False),
        (b"http://localhost", False),
        (b"https://localhost:8600", False),
        (b"http://localhost:8600/", False),
        (b"http://localhost:86 0", False),
        (b"http://localhost.example:80", False),
        (b"http://localhost:123456", False),
        ("http://localhost:８６".encode(), False),
    ],
)
def test_localhost_with_any_port_is_exactly_that(origin: bytes, allowed: bool) -> None:
    assert is_localhost_origin(origin) is allowed
