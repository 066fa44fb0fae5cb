"""Everybody who merges the same enrolments gets the same bytes; what cannot be one chain is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from ceremony_agencies import CHAIN, NAMES, NOW, PARAMETERS, TIME_NS, Agency, agency, four_agencies
from ceremony_refusals import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bindings import consortium
from identity.keys import ED25519, key_pair, p256_private_key
from network.consortium.certificates import make_certificate
from network.consortium.enrolment import Enrolment, make_enrolment
from network.consortium.merge import Merged, faults_tolerated, merge
from node.chain.genesis import decode_genesis, encode_genesis

FOUR = tuple(one.enrolment() for one in four_agencies())
SEVEN = (*FOUR, *(agency(kind).enrolment() for kind in ("community", "auditor", "data_bureau")))


def merged(*agencies: Agency) -> Merged:
    return merge([one.enrolment() for one in agencies], **PARAMETERS)  # type: ignore[arg-type]


def remark_codes(*agencies: Agency) -> set[str]:
    return {remark.code for remark in merged(*agencies).remarks}


@settings(deadline=None, max_examples=20)
@given(st.permutations(SEVEN), st.sampled_from([("correction", "sharing"), ("sharing", "correction")]))
def test_the_order_of_files_and_systems_changes_nothing(
    files: Sequence[Enrolment], systems: tuple[str, ...]
) -> None:
    again = merge(files, chain_name=CHAIN, systems=systems, genesis_time_ns=TIME_NS)
    assert again == BOTH


BOTH = merge(SEVEN, chain_name=CHAIN, systems=("correction", "sharing"), genesis_time_ns=TIME_NS)


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(("community", "auditor", "data_bureau"))), st.integers(0, 10**10))
def test_each_set_of_members_and_each_time_is_a_chain_of_its_own(others: set[str], seconds: int) -> None:
    files = [*FOUR, *(one for one in SEVEN if one.content.kind in others)]
    time_ns = seconds * 1_000_000_000 + TIME_NS
    if seconds > 600_000_000:  # beyond the certificates' end
        with refused("certificate.expired"):
            merge(files, chain_name=CHAIN, systems=("correction",), genesis_time_ns=time_ns)
        return
    genesis = merge(files, chain_name=CHAIN, systems=("correction",), genesis_time_ns=time_ns).genesis
    same = not others and time_ns == TIME_NS
    assert (genesis.hash == merge(FOUR, **PARAMETERS).genesis.hash) == same  # type: ignore[arg-type]


def test_the_genesis_says_what_the_enrolments_say() -> None:
    genesis = decode_genesis(encode_genesis(BOTH.genesis))
    assert [(one.id, one.kind) for one in genesis.organisations] == [
        (1, "police"),
        (2, "procuratorate"),
        (3, "court"),
        (4, "justice"),
        (5, "community"),
        (6, "auditor"),
        (7, "data_bureau"),
    ]
    for id, (organisation, one) in enumerate(zip(genesis.organisations, BOTH.enrolments, strict=True), 1):
        content = one.content
        assert organisation.name == content.name
        assert organisation.encryption_key == content.encryption_key
        assert organisation.ca_certificate == content.certificate.pem
        [validator] = [two for two in genesis.validators if two.organisation == id]
        assert content.validator is not None
        assert validator.public_key == content.validator.public_key
        found = [two for two in genesis.registrars if two.organisation == id]
        assert [two.public_key for two in found] == [two.public_key for two in content.registrars]
    assert genesis.purpose == "production"


def test_the_contracts_get_peers_and_certificates_too() -> None:
    calls = [
        consortium.decode_call(call.data) for call in BOTH.genesis.calls if call.to == consortium.ADDRESS
    ]
    peers = [arguments for name, arguments in calls if name == "setPeer"]
    assert [(peer.node_id, peer.organisation, peer.allowed) for peer in peers] == [
        (one.content.node_id, id, True) for id, one in enumerate(BOTH.enrolments, 1)
    ]
    members = [arguments for name, arguments in calls if name == "addOrganisation"]
    assert [member.certificate for member in members] == [
        one.content.certificate.fingerprint for one in BOTH.enrolments
    ]


def test_two_courts_of_different_names_are_numbered_by_name() -> None:
    second = agency("court", name="示例区第二人民法院", seed="2", address="court-2.example:26656")
    names = [one.name for one in merged(second, *four_agencies()).genesis.organisations]
    courts = [name for name in names if "法院" in name]
    assert courts == sorted(courts, key=str.encode)
    assert len(courts) == 2


# ---- conflicts


def test_an_enrolment_for_another_chain_is_refused() -> None:
    other = agency("court", chain_name="another-chain")
    with refused("ceremony.other_chain") as caught:
        merged(other, *four_agencies()[1:])
    assert NAMES["court"] in caught.value.message
    assert (caught.value.got, caught.value.expected) == ("another-chain", CHAIN)


def test_a_demo_agency_is_refused_in_production() -> None:
    with refused("ceremony.other_purpose"):
        merged(agency("court", purpose="demo"), *four_agencies()[1:])


def test_the_same_file_twice_and_an_older_one_beside_the_newer_are_refused() -> None:
    with refused("ceremony.organisation_twice"):
        merge([*FOUR, FOUR[0]], **PARAMETERS)  # type: ignore[arg-type]
    with refused("ceremony.organisation_twice"):
        merged(*four_agencies(), agency("court", address="new.court.example:26656"))
    with refused("ceremony.organisation_twice"):
        merged(*four_agencies(), agency("court", seed="another machine", address="b.example:1"))


def test_one_agency_is_of_one_kind() -> None:
    with refused("ceremony.two_kinds"):
        merged(*four_agencies(), agency("auditor", name=NAMES["court"]))
    court = four_agencies()[0]
    twin = agency("auditor")
    same_ca = make_certificate(p256_private_key(court.ca.secret), twin.name, "auditor", NOW)
    content = replace(twin.content(), certificate=same_ca)
    enrolment = make_enrolment(content, court.sign_ca, twin.sign_validator, twin.sign_node)
    with refused("ceremony.two_kinds"):
        merge([*FOUR, enrolment], **PARAMETERS)  # type: ignore[arg-type]


def test_a_key_belongs_to_one_agency() -> None:
    court = four_agencies()[0]
    shared = (key_pair(ED25519, court.secret("registrar 1")), key_pair(ED25519, court.secret("other")))
    with refused("ceremony.key_twice") as caught:
        merged(*four_agencies(), agency("auditor", registrar_keys=shared))
    assert NAMES["court"] in caught.value.message
    assert NAMES["auditor"] in caught.value.message


def test_a_registrar_stands_for_one_agency() -> None:
    taken = tuple(one.identity for one in FOUR[0].content.registrars)
    with refused("ceremony.registrar_twice"):
        merged(*four_agencies(), agency("auditor", identities=taken))


def test_an_address_is_one_nodes() -> None:
    with refused("ceremony.address_twice"):
        merged(*four_agencies(), agency("auditor", address="court.example:26656"))


@pytest.mark.parametrize("left_out", range(4))
def test_correction_needs_all_four_offices(left_out: int) -> None:
    three = [one for number, one in enumerate(four_agencies()) if number != left_out]
    with refused("ceremony.kind_missing") as caught:
        merged(*three)
    assert caught.value.got == [four_agencies()[left_out].kind]


def test_sharing_needs_its_community_and_its_bureau() -> None:
    with refused("ceremony.kind_missing"):
        merge(FOUR, chain_name=CHAIN, systems=("correction", "sharing"), genesis_time_ns=TIME_NS)


def test_a_chain_has_one_bureau() -> None:
    second = agency("data_bureau", name="第二数统局", seed="2", address="second.example:1")
    with refused("ceremony.kind_twice"):
        merged(*four_agencies(), agency("data_bureau"), second)


def test_wrong_parameters_are_refused() -> None:
    for changes, code in (
        ({"systems": ()}, "ceremony.systems"),
        ({"systems": ("correction", "lottery")}, "ceremony.systems"),
        ({"chain_name": "No"}, "ceremony.chain_name"),
        ({"genesis_time_ns": 1 << 70}, "ceremony.bad_value"),
        ({"genesis_time_ns": 0}, "certificate.not_yet_valid"),
    ):
        with refused(code):
            merge(FOUR, **{**PARAMETERS, **changes})  # type: ignore[arg-type]
    with refused("ceremony.nobody"):
        merge([], **PARAMETERS)  # type: ignore[arg-type]


def test_a_chain_without_validators_is_refused() -> None:
    with refused("ceremony.no_validator"):
        merged(*(replace(one, power=0) for one in four_agencies()))


# ---- remarks


def test_four_equal_validators_need_no_remark() -> None:
    assert remark_codes(*four_agencies()) == set()


def test_whoever_can_stop_the_chain_alone_is_named() -> None:
    court, *others = four_agencies()
    strong = merged(replace(court, power=15), *others)
    assert [remark.code for remark in strong.remarks] == ["ceremony.third_of_power"]
    assert NAMES["court"] in strong.remarks[0].message
    assert remark_codes(replace(court, power=14), *others) == set()


def test_three_validators_tolerate_nothing() -> None:
    court, *others = four_agencies()
    assert "ceremony.few_validators" in remark_codes(replace(court, power=0), *others)


def test_an_address_of_this_machine_and_a_certificate_that_ends_are_named() -> None:
    court, *others = four_agencies()
    assert remark_codes(replace(court, address="127.0.0.1:26656"), *others) == {
        "ceremony.address_of_this_machine"
    }
    old = make_certificate(
        p256_private_key(court.ca.secret), court.name, "court", NOW - timedelta(days=19 * 365)
    )
    assert remark_codes(replace(court, certificate=old), *others) == {"ceremony.certificate_ends_soon"}


@settings(deadline=None)
@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=12))
def test_faults_tolerated_is_what_trying_out_says(powers: list[int]) -> None:
    """The worst case: the strongest fail first. A block needs more than two thirds of the power."""
    count = faults_tolerated(powers)
    strongest = sorted(powers, reverse=True)
    assert sum(strongest[count:]) * 3 > sum(powers) * 2
    assert sum(strongest[count + 1 :]) * 3 <= sum(powers) * 2
