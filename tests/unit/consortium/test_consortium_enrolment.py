"""An enrolment is what the agency's own keys signed, to the last byte, or it is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ceremony_agencies import CHAIN, NAMES, NOW, Agency, agency, registrar, secret
from ceremony_refusals import code_of, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.keys import (
    ED25519,
    ES256,
    ML_DSA_65,
    SM2,
    WEBAUTHN_P256,
    generate_key,
    key_pair,
    p256_private_key,
)
from identity.signing import sign_hash
from network.consortium.certificates import make_certificate
from network.consortium.enrolment import (
    MAX_FILE_BYTES,
    EnrolmentContent,
    MemberKey,
    check_address,
    decode_enrolment,
    encode_enrolment,
    is_this_machine,
    make_enrolment,
)
from network.consortium.registrars import Registrar, registrar_hash
from network.consortium.relying_parties import (
    RelyingParty,
    decode_relying_party,
    encode_relying_party,
    resident_page,
    services,
    staff_page,
)
from node.chain.encoding import encode_canonical_json

COURT = agency("court")
ENROLMENT = COURT.enrolment()
RAW = encode_enrolment(ENROLMENT)


def enrol(content: EnrolmentContent, by: Agency = COURT) -> None:
    make_enrolment(content, by.sign_ca, by.sign_validator, by.sign_node)


def changed_file(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(RAW)
    change(document)
    return encode_canonical_json(document)


def test_an_enrolment_comes_back_as_it_was_made() -> None:
    assert decode_enrolment(RAW) == ENROLMENT
    assert encode_enrolment(decode_enrolment(RAW)) == RAW


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_byte_of_the_file_can_be_changed() -> None:
    for place in range(len(RAW)):
        changed = RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :]
        assert code_of(lambda raw=changed: decode_enrolment(raw)) is not None, place


@settings(deadline=None)
@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_no_byte_can_become_any_other(place: int, mask: int) -> None:
    changed = RAW[:place] + bytes([RAW[place] ^ mask]) + RAW[place + 1 :]
    assert code_of(lambda: decode_enrolment(changed)) is not None


@settings(deadline=None)
@given(st.integers(0, len(RAW)), st.binary(min_size=1, max_size=4))
def test_nothing_can_be_put_in_or_cut_off(place: int, more: bytes) -> None:
    assert code_of(lambda: decode_enrolment(RAW[:place] + more + RAW[place:])) is not None
    if place < len(RAW):
        assert code_of(lambda: decode_enrolment(RAW[:place])) is not None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_and_nothing_leaks(raw: bytes) -> None:
    assert code_of(lambda: decode_enrolment(raw)) in ("ceremony.malformed", "ceremony.other_format")


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("ceremony.unknown_field", lambda d: d.update(comment="a note")),
        ("ceremony.unknown_field", lambda d: d["content"].update(telephone="0")),
        ("ceremony.missing_field", lambda d: d["content"].pop("address")),
        ("ceremony.other_format", lambda d: d.update(format="shelian-enrolment/2")),
        ("ceremony.bad_value", lambda d: d["content"].update(kind="bank")),
        ("ceremony.bad_value", lambda d: d["content"].update(chain_name="Has Capitals")),
        ("ceremony.bad_value", lambda d: d["content"].update(node_key="0x" + "00" * 32)),
        ("ceremony.bad_value", lambda d: d["content"]["validator"].update(power=0)),
        ("ceremony.bad_value", lambda d: d["content"]["validator"].update(power=True)),
        ("ceremony.bad_value", lambda d: d["content"]["registrars"].pop()),
        ("ceremony.bad_value", lambda d: d["content"].update(relying_parties=[])),
        ("ceremony.bad_value", lambda d: d["content"]["registrars"].reverse()),
        ("ceremony.bad_value", lambda d: d["content"]["relying_parties"].reverse()),
        ("ceremony.encryption_key", lambda d: d["content"].update(encryption_key="0x" + "00" * 32)),
        (
            "ceremony.registrar_twice",
            lambda d: d["content"]["registrars"].append(d["content"]["registrars"][0]),
        ),
        ("ceremony.signature", lambda d: d["content"].update(chain_name="another-chain")),
        ("ceremony.signature", lambda d: d["content"].update(address="thief.example:26656")),
        ("ceremony.signature", lambda d: d["content"]["validator"].update(power=1_000)),
        ("ceremony.signature", lambda d: d["content"].update(validator=None)),
        ("ceremony.signature", lambda d: d["signatures"].update(validator=None)),
        ("ceremony.signature", lambda d: d["signatures"].update(node=d["signatures"]["validator"])),
        ("ceremony.other_name", lambda d: d["content"].update(name="示例区第二法院")),
    ],
)
def test_a_changed_field_is_refused_by_name(code: str, change: Callable[[dict[str, Any]], object]) -> None:
    with refused(code):
        decode_enrolment(changed_file(change))


def test_another_layout_of_the_same_json_is_refused() -> None:
    with refused("ceremony.malformed"):
        decode_enrolment(json.dumps(json.loads(RAW), indent=1, sort_keys=True).encode())
    with refused("ceremony.malformed"):
        decode_enrolment(RAW + b"\n")


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    with refused("ceremony.malformed"):
        decode_enrolment(b"[" * (MAX_FILE_BYTES + 1))


def test_each_key_must_be_the_agencys_own() -> None:
    thief = agency("court", seed="thief")
    content = COURT.content()
    for ca, validator, node in (
        (thief.sign_ca, COURT.sign_validator, COURT.sign_node),
        (COURT.sign_ca, thief.sign_validator, COURT.sign_node),
        (COURT.sign_ca, COURT.sign_validator, thief.sign_node),
    ):
        with refused("ceremony.signature"):
            make_enrolment(content, ca, validator, node)


def test_a_signature_for_one_role_is_worth_nothing_in_another() -> None:
    one_key = replace(COURT.content(), node_key=validator_key_of(COURT))
    with refused("ceremony.key_twice"):
        make_enrolment(one_key, COURT.sign_ca, COURT.sign_validator, COURT.sign_validator)


def validator_key_of(one: Agency) -> bytes:
    validator = one.content().validator
    assert isinstance(validator, MemberKey)
    return validator.public_key


def test_a_registrars_key_may_not_be_a_machines() -> None:
    lazy = replace(
        COURT,
        registrar_keys=(
            key_pair(ED25519, COURT.secret("node")),
            key_pair(ED25519, COURT.secret("registrar 2")),
        ),
    )
    with refused("ceremony.key_twice"):
        lazy.enrolment()


def test_an_agency_may_run_a_node_that_signs_no_blocks() -> None:
    observer = agency("auditor", power=0).enrolment()
    assert observer.content.validator is None
    assert decode_enrolment(encode_enrolment(observer)) == observer


# ---- registrars


@pytest.mark.parametrize("algorithm", [ED25519, ES256, SM2, ML_DSA_65, WEBAUTHN_P256])
def test_registrars_sign_in_every_scheme(algorithm: Any) -> None:
    keys = (generate_key(algorithm), key_pair(ED25519, secret("second")))
    enrolment = replace(COURT, registrar_keys=keys).enrolment()
    assert {one.scheme for one in enrolment.content.registrars} == {algorithm.scheme, 2}


@pytest.mark.parametrize(
    "elsewhere",
    [
        agency("court", chain_name="another-chain"),
        agency("court", purpose="demo"),
        agency("court", name="示例区第二法院"),
        agency("police", name=NAMES["court"]),
    ],
)
def test_a_registrars_statement_counts_for_one_agency_on_one_chain(elsewhere: Agency) -> None:
    content = COURT.content()
    foreign = [
        replace(one, relying_party=content.registrars[0].relying_party)
        for one in elsewhere.registrars(COURT.page())
    ]
    with refused("ceremony.registrar_signature"):
        enrol(replace(content, registrars=tuple(sorted(foreign, key=by_identity))))


def test_a_registrar_who_signed_for_another_page_is_refused() -> None:
    other = staff_page("https://elsewhere.example", "court", "另一个签名页")
    content = COURT.content()
    signed = tuple(
        registrar(key_pair(ED25519, COURT.secret(f"registrar {n}")), bytes([n]) * 16, other, COURT)
        for n in (1, 2)
    )
    with refused("ceremony.registrar_page"):
        enrol(replace(content, registrars=signed))


def test_a_page_from_which_nobody_could_enrol_anybody_has_no_registrars() -> None:
    page = replace(COURT.page(), contracts=("CorrectionDocuments",))
    with refused("ceremony.registrar_page"):
        replace(COURT, rows=(page,)).enrolment()
    with refused("ceremony.registrar_page"):
        replace(COURT, rows=(services("程序"),)).enrolment()


def test_a_passkey_signs_on_the_listed_page_only() -> None:
    key = generate_key(WEBAUTHN_P256)
    page = COURT.page()
    below = replace(page, origins=("https://unlisted.sign.court.example",))
    one = registrar(key, b"1" * 16, page, COURT)
    hash = registrar_hash(
        CHAIN, "production", "court", COURT.name, b"1" * 16, 1, key.public_key, one.relying_party
    )
    elsewhere = sign_hash(key, hash, origin=below.origins[0], rp_id=page.rp_id)
    content = COURT.content()
    enrol(replace(content, registrars=tuple(sorted((one, content.registrars[0]), key=by_identity))))
    signed_elsewhere = replace(one, signature=elsewhere)
    with refused("ceremony.registrar_signature"):
        enrol(
            replace(
                content, registrars=tuple(sorted((signed_elsewhere, content.registrars[0]), key=by_identity))
            )
        )


def by_identity(one: Registrar) -> bytes:
    return one.identity


def test_the_same_registrar_twice_is_refused() -> None:
    key = key_pair(ED25519, COURT.secret("registrar 1"))
    with refused("ceremony.registrar_twice"):
        replace(COURT, registrar_keys=(key, key)).enrolment()
    with refused("ceremony.registrar_twice"):
        replace(COURT, identities=(b"1" * 16, b"1" * 16)).enrolment()


# ---- certificates, names, pages, addresses


def test_the_ca_must_be_the_agencys_by_name() -> None:
    other = make_certificate(p256_private_key(COURT.ca.secret), "示例区公安分局", "police", NOW)
    with refused("ceremony.other_name"):
        replace(COURT, certificate=other).enrolment()


@pytest.mark.parametrize(
    "name", ["x", "", " 法院", "法院\u200b甲", "e\u0301tat", "法" * 61, "a\nb", "法院[/b]", "<b>法院"]
)
def test_names_are_plain(name: str) -> None:
    with refused("ceremony.bad_value"):
        enrol(replace(COURT.content(), name=name))


@pytest.mark.parametrize(
    "row",
    [
        RelyingParty("页", "staff", "sign.court.example", (), ("Consortium",), False, False),
        RelyingParty(
            "页面", "staff", "court.example", ("http://court.example",), ("Consortium",), False, False
        ),
        RelyingParty(
            "页面", "staff", "court.example", ("https://evil.example",), ("Consortium",), False, False
        ),
        RelyingParty(
            "页面", "staff", "court.example", ("https://notcourt.example",), ("Consortium",), False, False
        ),
        RelyingParty(
            "页面", "staff", "court.example", ("https://court.example:0",), ("Consortium",), False, False
        ),
        RelyingParty(
            "页面", "staff", "court.example", ("https://court.example:70000",), ("Consortium",), False, False
        ),
        RelyingParty("页面", "staff", "court.example", ("https://court.example",), (), False, False),
        RelyingParty(
            "页面", "staff", "court.example", ("https://court.example",), ("Consortium",), True, False
        ),
        RelyingParty("页面", "staff", "court.example", ("https://court.example",), ("Bank",), False, False),
        RelyingParty(
            "页面",
            "staff",
            "court.example",
            ("https://court.example",),
            ("LoveBank", "Anchors"),
            False,
            False,
        ),
        RelyingParty("程序", "service", "service.invalid", ("https://a.service.invalid",), (), True, False),
        RelyingParty("页面", "other", "court.example", ("https://court.example",), (), True, False),
    ],
)
def test_a_page_that_could_not_work_is_refused(row: RelyingParty) -> None:
    with refused("ceremony.bad_value"):
        decode_relying_party(encode_relying_party(row))


def test_pages_come_back_as_they_were_made() -> None:
    for row in (COURT.page(), services("程序"), resident_page("https://love.example:8443", "居民签名页")):
        assert decode_relying_party(encode_relying_party(row)) == row


def test_localhost_signs_in_a_demo_only() -> None:
    local = RelyingParty("本机", "staff", "localhost", (), ("Consortium", "IdentityRegistry"), False, True)
    replace(COURT, purpose="demo", rows=(local,)).enrolment()
    with refused("ceremony.bad_value"):
        replace(COURT, rows=(local,)).enrolment()


@pytest.mark.parametrize(
    "address",
    ["court.example:26656", "192.0.2.1:1", "[2001:db8::1]:65535", "localhost:26656", "127.0.0.1:26656"],
)
def test_addresses_that_others_can_be_given(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "court.example",
        "court.example:0",
        "court.example:65536",
        "0.0.0.0:26656",
        "[::]:26656",
        "224.0.0.1:1",
        "999.1.1.1:1",
        "2001:db8::1:26656",
        "-court.example:1",
        "court..example:1",
        "tcp://court.example:1",
        "id@court.example:1",
        "court.example:1 ",
        "法院.example:1",
        "[192.0.2.1]:1",
    ],
)
def test_addresses_that_nobody_can_reach(address: str) -> None:
    with refused("ceremony.address"):
        check_address(address)


def test_an_address_that_means_this_machine_is_known() -> None:
    assert all(map(is_this_machine, ("localhost:1", "a.localhost:1", "127.9.9.9:1", "[::1]:1")))
    assert not any(map(is_this_machine, ("court.example:1", "192.0.2.1:1", "[2001:db8::1]:1")))


def test_the_chain_is_named_in_what_is_signed() -> None:
    assert ENROLMENT.content.chain_name == CHAIN
    assert ENROLMENT.hash != agency("court", chain_name="another-chain").enrolment().hash
