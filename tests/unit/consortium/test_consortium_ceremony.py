"""Signatures over one genesis: nobody signs what they did not enrol for; an auditor sees who signed what."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ceremony_agencies import CHAIN, PARAMETERS, TIME_NS, agency, four_agencies
from ceremony_refusals import code_of, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from network.consortium.ceremony import (
    GenesisSignature,
    Record,
    check_ceremony,
    check_record,
    compare,
    decode_record,
    decode_signature,
    encode_record,
    encode_signature,
    require_own,
    sign_genesis,
    verify_genesis_signature,
)
from network.consortium.merge import merge
from network.consortium.statements import CA_OF_GENESIS, statement
from node.chain.encoding import encode_canonical_json
from node.chain.genesis import Genesis, build_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger

AGENCIES = four_agencies()
MEMBERS = tuple(one.enrolment() for one in AGENCIES)
GENESIS = merge(MEMBERS, **PARAMETERS).genesis  # type: ignore[arg-type]
LATER = merge(MEMBERS, chain_name=CHAIN, systems=("correction",), genesis_time_ns=TIME_NS + 10**9).genesis
SIGNATURES = tuple(
    sign_genesis(GENESIS, MEMBERS, member, one.sign_ca) for one, member in zip(AGENCIES, MEMBERS, strict=True)
)
RECORD = encode_record(Record(GENESIS.hash, MEMBERS, SIGNATURES))
SIGNATURE = encode_signature(SIGNATURES[0])


def altered(change: Callable[[dict[str, Any]], object], genesis: Genesis = GENESIS) -> Genesis:
    """A genesis that is sound in itself and says something else."""
    document = json.loads(genesis.canonical)
    change(document)
    return build_genesis(document)


def signed_anyway(genesis: Genesis) -> tuple[GenesisSignature, ...]:
    """What members would have signed who compared it with a release that makes this genesis."""
    found = []
    for one, signature in zip(AGENCIES, SIGNATURES, strict=True):
        document = json.loads(encode_signature(replace(signature, genesis_hash=genesis.hash)))
        del document["signature"]
        message = statement(CA_OF_GENESIS, encode_canonical_json(document))
        found.append(replace(signature, genesis_hash=genesis.hash, signature=one.sign_ca(message)))
    return tuple(found)


def test_when_everybody_has_signed_the_ceremony_is_complete() -> None:
    standing = check_ceremony(GENESIS, MEMBERS, SIGNATURES)
    assert standing.is_complete
    assert standing.signed_decide
    assert standing.other_release == ()
    assert {one.hash for one in standing.signed} == {one.hash for one in MEMBERS}


@settings(deadline=None, max_examples=16)
@given(st.sets(st.integers(0, 3)))
def test_who_is_missing_is_named(signers: set[int]) -> None:
    standing = check_ceremony(GENESIS, MEMBERS, [SIGNATURES[number] for number in signers])
    assert {one.hash for one in standing.missing} == {
        one.hash for number, one in enumerate(MEMBERS) if number not in signers
    }
    assert standing.is_complete == (len(signers) == 4)
    assert standing.signed_decide == (len(signers) >= 3)


def test_the_real_ledger_runs_the_merged_genesis(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", GENESIS).close()
    assert check_ledger(tmp_path / "ledger", GENESIS).ok


# ---- what is signed


def test_nobody_signs_a_genesis_without_their_own_enrolment() -> None:
    outsider = agency("auditor")
    with refused("ceremony.own_enrolment"):
        sign_genesis(GENESIS, MEMBERS, outsider.enrolment(), outsider.sign_ca)


def test_an_older_enrolment_of_ones_own_is_noticed() -> None:
    newer = agency("court", address="new.court.example:26656")
    with refused("ceremony.own_enrolment") as caught:
        sign_genesis(GENESIS, MEMBERS, newer.enrolment(), newer.sign_ca)
    assert caught.value.got == [MEMBERS[0].hash]


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("organisations[2].name", lambda d: d["organisations"][2].update(name="示例区第二法院")),
        (
            "organisations[2].encryption_key",
            lambda d: d["organisations"][2].update(encryption_key="0x" + "07" * 32),
        ),
        ("organisations[2].ca_certificate", lambda d: d["organisations"][2].update(ca_certificate="")),
        ("validators[0].power", lambda d: d["validators"][0].update(power=1_000)),
        ("validators[0].organisation", lambda d: d["validators"][0].update(organisation=2)),
        ("registrars[0].identity", lambda d: d["registrars"][0].update(identity="0x" + "0f" * 16)),
        (
            "relying_parties[0].origins",
            lambda d: d["relying_parties"][0].update(origins=["https://evil.example"]),
        ),
        ("purpose", lambda d: d.update(purpose="demo")),
    ],
)
def test_a_genesis_that_says_something_else_is_refused_with_the_place(
    place: str, change: Callable[[dict[str, Any]], object]
) -> None:
    genesis = altered(change)
    for act in (
        lambda: compare(genesis, MEMBERS),
        lambda: sign_genesis(genesis, MEMBERS, MEMBERS[0], AGENCIES[0].sign_ca),
        lambda: check_ceremony(genesis, MEMBERS, ()),
    ):
        with refused("ceremony.genesis_differs") as caught:
            act()
        assert any(place in str(found) for found in caught.value.got)  # type: ignore[attr-defined]


def test_a_member_whom_nobody_enrolled_is_noticed() -> None:
    with_auditor = merge([*MEMBERS, agency("auditor").enrolment()], **PARAMETERS)  # type: ignore[arg-type]
    with refused("ceremony.genesis_differs"):
        compare(with_auditor.genesis, MEMBERS)
    with refused("ceremony.genesis_differs"):
        compare(GENESIS, with_auditor.enrolments)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["calls"].pop(),
        lambda d: d["calls"].append({"to": "0x" + "00" * 18 + "5101", "data": "0x00"}),
        lambda d: d["alloc"].append({"address": "0x" + "77" * 20, "code": "0x", "nonce": 1}),
        lambda d: d["alloc"][1].update(code="0x00"),
        lambda d: d["rules"].update(block_gas=d["rules"]["block_gas"] + 1),
        lambda d: d["consensus_params"].update(block_max_bytes=1_000_000),
    ],
)
def test_a_back_door_in_the_machines_part_is_not_signed(change: Callable[[dict[str, Any]], object]) -> None:
    genesis = altered(change)
    assert compare(genesis, MEMBERS) != ()
    with refused("ceremony.other_release"):
        sign_genesis(genesis, MEMBERS, MEMBERS[0], AGENCIES[0].sign_ca)
    with refused("ceremony.other_release"):
        check_ceremony(genesis, MEMBERS, signed_anyway(genesis)[:3])


def test_an_auditor_with_a_later_release_relies_on_everybodys_signature() -> None:
    genesis = altered(lambda d: d["rules"].update(block_gas=d["rules"]["block_gas"] + 1))
    standing = check_ceremony(genesis, MEMBERS, signed_anyway(genesis))
    assert standing.is_complete
    assert standing.other_release == ("rules.block_gas",)


# ---- whose signature


def test_a_signature_of_another_genesis_is_refused() -> None:
    other = sign_genesis(LATER, MEMBERS, MEMBERS[0], AGENCIES[0].sign_ca)
    with refused("ceremony.other_genesis"):
        check_ceremony(GENESIS, MEMBERS, [other])
    with refused("ceremony.signature"):
        check_ceremony(GENESIS, MEMBERS, [replace(other, genesis_hash=GENESIS.hash)])


def test_a_signature_of_a_stranger_is_refused() -> None:
    with refused("ceremony.unknown_signer"):
        check_ceremony(GENESIS, MEMBERS, [replace(SIGNATURES[0], enrolment=b"\1" * 32)])
    with refused("ceremony.unknown_signer"):
        check_ceremony(GENESIS, MEMBERS, [replace(SIGNATURES[0], organisation="示例区第二法院")])
    with refused("ceremony.signature"):
        check_ceremony(GENESIS, MEMBERS, [replace(SIGNATURES[0], signature=SIGNATURES[1].signature)])


def test_the_same_signature_twice_counts_once() -> None:
    again = sign_genesis(GENESIS, MEMBERS, MEMBERS[0], AGENCIES[0].sign_ca)
    standing = check_ceremony(GENESIS, MEMBERS, [SIGNATURES[0], again, SIGNATURES[0]])
    assert [one.hash for one in standing.signed] == [MEMBERS[0].hash]


def accepted(raw: bytes) -> object:
    return verify_genesis_signature(decode_signature(raw), GENESIS.hash, MEMBERS)


def test_a_signature_comes_back_and_no_byte_of_it_can_be_changed() -> None:
    assert decode_signature(SIGNATURE) == SIGNATURES[0]
    for place in range(len(SIGNATURE)):
        changed = SIGNATURE[:place] + bytes([SIGNATURE[place] ^ 1]) + SIGNATURE[place + 1 :]
        assert code_of(lambda raw=changed: accepted(raw)) is not None, place


# ---- the record


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(4)), st.permutations(range(4)))
def test_the_record_is_the_same_whoever_collects_it(members: list[int], signers: list[int]) -> None:
    record = Record(GENESIS.hash, tuple(MEMBERS[n] for n in members), tuple(SIGNATURES[n] for n in signers))
    assert encode_record(record) == RECORD
    assert encode_record(decode_record(RECORD)) == RECORD


@settings(deadline=None)
@given(st.integers(0, len(RECORD) - 1), st.integers(1, 255))
def test_no_byte_of_the_record_can_be_changed(place: int, mask: int) -> None:
    changed = RECORD[:place] + bytes([RECORD[place] ^ mask]) + RECORD[place + 1 :]
    assert code_of(lambda: check_record(GENESIS, decode_record(changed))) is not None


def test_an_older_enrolment_does_not_slip_into_the_record() -> None:
    older = agency("court", address="old.court.example:26656").enrolment()
    record = Record(GENESIS.hash, (older, *MEMBERS[1:]), SIGNATURES)
    decoded = decode_record(encode_record(record))
    with refused("ceremony.genesis_differs"):
        check_record(GENESIS, decoded)
    with refused("ceremony.other_genesis"):
        check_record(LATER, decode_record(RECORD))


def test_signatures_do_not_carry_over_to_another_time() -> None:
    later = altered(lambda d: d.update(genesis_time_ns=d["genesis_time_ns"] + 1))
    assert compare(later, MEMBERS) == ()
    with refused("ceremony.other_genesis"):
        check_ceremony(later, MEMBERS, SIGNATURES)


def test_ones_own_enrolment_is_found() -> None:
    for one in MEMBERS:
        require_own(MEMBERS, one)
