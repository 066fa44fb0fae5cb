"""Handover certificates join two chains, and every part of them is checked."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from chain_recordings import load_library
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from node.chain.block import decode_block
from node.chain.commit import decode_commit
from node.chain.errors import DecodeError, ProofError
from node.chain.genesis import Genesis
from node.chain.handover import ca_public_key, verify_handover
from node.chain.handover_certificate import (
    SIGNING_TAG,
    AgencySignature,
    HandoverCertificate,
    HandoverStatement,
    ValidatorSignature,
    decode_certificate,
    decode_statement,
    encode_certificate,
    encode_statement,
    handover_sign_bytes,
)
from node.chain.header import header_hash
from node.chain.light import Archive, Live, Trusted, trust_block
from node.chain.light_block import LightBlock
from node.chain.light_chain import Assumption, Segment, verify_segments
from node.chain.schemes.ecdsa import P256_ORDER
from node.chain.validators import Validator
from tests.helpers.light_chain import (
    CHAIN_NAME,
    GENESIS_TIME_NS,
    SECOND,
    chain,
    genesis_of,
    public_key,
    signed,
    signing_key,
    validators_of,
)

OLD_SET = {1: 10, 2: 10, 3: 10}
NEW_SET = {1: 10, 11: 10, 12: 10, 13: 10}
NEW_NAME = "shelian-light-test-2"
NEW_TIME_NS = GENESIS_TIME_NS + 3600 * SECOND
ROOT = b"\x11" * 32
LAST = 5


def refused(code: str) -> Any:
    return pytest.raises(ProofError, match=rf"^{code.replace('.', '[.]')}:")


@lru_cache(maxsize=16)
def ca_key(number: int) -> ec.EllipticCurvePrivateKey:
    seed = hashlib.sha256(f"synthetic agency {number}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(seed, "big") >> 1, ec.SECP256R1())


@lru_cache(maxsize=16)
def ca_certificate(number: int) -> str:
    key = ca_key(number)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"示范机构 {number} CA")])
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(number).not_valid_before(moment)
    certificate = builder.not_valid_after(moment.replace(year=2036)).sign(key, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM).decode()


def agency_signature(organisation: int, message: bytes, key: int | None = None) -> AgencySignature:
    private = ca_key(key or organisation)
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    numbers = private.public_key().public_numbers()
    public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return AgencySignature(
        organisation, public, r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
    )


@lru_cache(maxsize=1)
def old_genesis() -> Genesis:
    # Organisation 1 is known with its key, 2 with another one, 3 without any.
    return genesis_of(OLD_SET, ca_certificates=(ca_certificate(1), ca_certificate(9), ""))


def new_genesis(**changes: Any) -> Genesis:
    settings: dict[str, Any] = {
        "chain_name": NEW_NAME,
        "genesis_time_ns": NEW_TIME_NS,
        "initial_height": LAST + 1,
        "ca_certificates": (ca_certificate(1), ca_certificate(2), ca_certificate(3)),
    }
    return genesis_of(NEW_SET, **{**settings, **changes})


@lru_cache(maxsize=1)
def old_chain() -> tuple[LightBlock, ...]:
    return chain([OLD_SET] * LAST, app_hash=ROOT)


def new_chain(app_hash: bytes = ROOT) -> tuple[LightBlock, ...]:
    return chain(
        [NEW_SET] * 4,
        chain_name=NEW_NAME,
        genesis_time_ns=NEW_TIME_NS,
        first_height=LAST + 1,
        app_hash=app_hash,
    )


def statement(block: LightBlock | None = None, new: Genesis | None = None) -> HandoverStatement:
    return HandoverStatement(
        old_genesis().hash,
        block or old_chain()[-1],
        ROOT,
        b"\x77" * 32,
        (new or new_genesis()).hash,
        LAST + 1,
    )


def certificate(
    said: HandoverStatement | None = None,
    validators: Sequence[int] = (1, 2, 3),
    agencies: Sequence[int] = (1, 2, 3),
) -> HandoverCertificate:
    said = said or statement()
    message = handover_sign_bytes(said)
    by_validators = [
        ValidatorSignature(public_key(number), signing_key(number).sign(message).signature)
        for number in validators
    ]
    return HandoverCertificate(
        said,
        tuple(sorted(by_validators, key=lambda entry: entry.public_key)),
        tuple(agency_signature(number, message) for number in agencies),
    )


def last_trusted(block: LightBlock | None = None) -> Trusted:
    block = block or old_chain()[-1]
    return trust_block(block, CHAIN_NAME, header_hash(block.header))


def test_a_handover_says_where_the_new_chain_begins() -> None:
    proven = verify_handover(certificate(), old_genesis(), last_trusted(), new_genesis())
    assert (proven.signed_power, proven.total_power) == (30, 30)
    assert proven.agencies == (1, 2, 3)
    assert proven.newcomers == (2, 3)
    assert proven.trusted.height == LAST
    assert proven.trusted.next_app_hash == ROOT
    assert proven.trusted.validators == validators_of(NEW_SET)


def segments(joint: HandoverCertificate | None, second: tuple[LightBlock, ...]) -> list[Segment]:
    return [Segment(old_genesis(), ()), Segment(new_genesis(), second, joint)]


def test_a_header_of_the_new_chain_is_proved_from_the_old_genesis() -> None:
    blocks = new_chain()
    proven = verify_segments(segments(certificate(), blocks), Archive(), app_hash=ROOT)
    assert proven.header == blocks[-1].header
    assert proven.genesis_hash == old_genesis().hash
    assert [step.trusted.height for step in proven.steps] == [5, 6, 7, 8, 9]
    assert [one.agencies for one in proven.handovers] == [(1, 2, 3)]
    # The old chain's first header was skipped, so that its state is the genesis' stays an assumption.
    assert Assumption.FIRST_STATE in proven.assumed
    whole = [Segment(old_genesis(), old_chain()[:-1]), Segment(new_genesis(), blocks, certificate())]
    assert Assumption.FIRST_STATE not in verify_segments(whole, Archive(), app_hash=ROOT).assumed
    skipping = [whole[0], Segment(new_genesis(), blocks[2:], certificate())]
    assert Assumption.FIRST_STATE in verify_segments(skipping, Archive(), app_hash=ROOT).assumed


def test_the_new_chain_begins_with_the_state_of_the_old_one() -> None:
    with refused("light.wrong_app_hash"):
        verify_segments(segments(certificate(), new_chain(b"\x12" * 32)), Archive())


def test_segments_stand_in_order_with_a_certificate_between_them() -> None:
    with refused("light.joint"):
        verify_segments(segments(None, new_chain()), Archive())
    with refused("light.joint"):
        verify_segments([Segment(new_genesis(), new_chain(), certificate())], Archive())


def test_a_live_clock_holds_across_the_joint() -> None:
    now_ns = NEW_TIME_NS + 60 * SECOND
    verify_segments(segments(certificate(), new_chain()), Live(now_ns, 2 * 3600 * SECOND))
    with refused("light.expired"):
        verify_segments(segments(certificate(), new_chain()), Live(now_ns, 1800 * SECOND))


def test_certificates_have_one_encoding() -> None:
    made = certificate()
    encoded = encode_certificate(made)
    assert decode_certificate(encoded) == made
    for broken in (
        encoded + b"\x22\x00",
        encoded[:-1],
        b"",
        encoded.replace(b"\x08\x01\x12", b"\x08\x02\x12", 1),
    ):
        with pytest.raises(DecodeError):
            decode_certificate(broken)
    for unordered in (
        replace(made, validators=made.validators[::-1]),
        replace(made, validators=made.validators[:1] * 2),
        replace(made, agencies=made.agencies[::-1]),
        replace(made, agencies=made.agencies[:1] * 2),
    ):
        with pytest.raises(DecodeError, match=r"^handover[.]wrong_order:"):
            decode_certificate(encode_certificate(unordered))
        with refused("handover.malformed"):
            verify_handover(unordered, old_genesis(), last_trusted(), new_genesis())


def test_a_certificate_of_another_version_is_named_so() -> None:
    encoded = encode_statement(statement())
    assert decode_statement(encoded) == statement()
    with pytest.raises(DecodeError, match=r"^handover[.]unknown_version:"):
        decode_statement(b"\x08\x02" + encoded[2:])


def test_the_bytes_that_are_signed_stay_what_they_are() -> None:
    # The same example stands in docs/PROTOCOL.md, section 12.
    library = load_library()
    members = tuple(
        Validator(bytes.fromhex(one["public_key"]), one["power"]) for one in library["commit"]["validators"]
    )
    commit = decode_commit(bytes.fromhex(library["commit"]["encoded"]))
    header = decode_block(bytes.fromhex(library["block"]["encoded"])).header
    block = LightBlock(header, commit, members)
    said = HandoverStatement(b"\x01" * 32, block, b"\x02" * 32, b"\x03" * 32, b"\x04" * 32, 11)
    assert handover_sign_bytes(said).hex() == (
        "7368656c69616e2068616e646f76657220636572746966696361746520310a"
        "d93ceda2959ee5b7dde192d18fc4ddcf504e2b99afdd58dc175b576862f19594"
    )


def test_any_flipped_bit_of_a_certificate_is_refused() -> None:
    encoded = encode_certificate(certificate())
    verify_handover(decode_certificate(encoded), old_genesis(), last_trusted(), new_genesis())
    # Every bit position of a byte, all over the certificate; all of them would take half a minute.
    for bit in range(0, len(encoded) * 8, 61):
        flipped = bytearray(encoded)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises((DecodeError, ProofError)):
            verify_handover(decode_certificate(bytes(flipped)), old_genesis(), last_trusted(), new_genesis())


def test_what_is_signed_is_no_vote_and_no_certificate() -> None:
    said = statement()
    message = handover_sign_bytes(said)
    assert message == SIGNING_TAG + hashlib.sha256(encode_statement(said)).digest()
    # A vote is length-prefixed and then begins with its type; X.509 begins with a SEQUENCE.
    assert message[1] != 0x08
    assert message[0] != 0x30


def change(**fields: object) -> Callable[[HandoverStatement], HandoverStatement]:
    return lambda said: replace(said, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("handover.wrong_genesis", change(old_genesis_hash=b"\x01" * 32)),
        ("handover.wrong_root", change(state_root=b"\x12" * 32)),
        ("handover.other_genesis", change(new_genesis_hash=b"\x01" * 32)),
        ("handover.wrong_height", change(initial_height=LAST + 2)),
        ("handover.malformed", change(initial_height=LAST + 1 + (1 << 64))),
        ("handover.malformed", change(snapshot_hash=b"\x77" * 31)),
        ("handover.other_block", change(block=old_chain()[-2])),
    ],
)
def test_every_field_of_the_statement_is_checked_though_all_signed_it(
    code: str, changed: Callable[[HandoverStatement], HandoverStatement]
) -> None:
    with refused(code):
        verify_handover(certificate(changed(statement())), old_genesis(), last_trusted(), new_genesis())


@pytest.mark.parametrize(
    ("code", "header"),
    [
        ("handover.not_empty", {"data_hash": b"\x01" * 32}),
        ("handover.not_empty", {"evidence_hash": b"\x01" * 32}),
        ("handover.validators_change", {"next_validators_hash": b"\x01" * 32}),
    ],
)
def test_the_last_block_is_empty_and_nothing_is_under_way(code: str, header: dict[str, bytes]) -> None:
    block = signed(old_chain()[-1], OLD_SET, **header)
    with refused(code):
        verify_handover(certificate(statement(block)), old_genesis(), last_trusted(block), new_genesis())


def test_validators_of_the_statement_are_those_of_its_header() -> None:
    # The header is the true one; the validators beside it are not.
    block = old_chain()[-1]
    false = replace(block, validators=(Validator(public_key(99), 10),))
    with refused("light.wrong_validators"):
        verify_handover(
            certificate(statement(false), validators=[99]), old_genesis(), last_trusted(), new_genesis()
        )


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("handover.wrong_height", {"initial_height": LAST + 2}),
        ("handover.wrong_time", {"genesis_time_ns": GENESIS_TIME_NS + (LAST - 1) * 10 * SECOND}),
        ("handover.wrong_purpose", {"purpose": "demo"}),
    ],
)
def test_the_new_genesis_goes_on_where_the_old_chain_ended(code: str, changes: dict[str, Any]) -> None:
    new = new_genesis(**changes)
    with refused(code):
        verify_handover(certificate(statement(new=new)), old_genesis(), last_trusted(), new)


def test_more_than_two_thirds_of_the_old_power_sign() -> None:
    verify = verify_handover
    with refused("handover.no_quorum"):
        verify(certificate(validators=(1, 2)), old_genesis(), last_trusted(), new_genesis())
    with refused("handover.unknown_signer"):
        verify(certificate(validators=(1, 2, 3, 11)), old_genesis(), last_trusted(), new_genesis())
    made = certificate()
    stolen = replace(made.validators[0], signature=made.validators[1].signature)
    with refused("handover.bad_signature"):
        verify(
            replace(made, validators=(stolen, *made.validators[1:])),
            old_genesis(),
            last_trusted(),
            new_genesis(),
        )


def test_every_agency_signs_with_its_own_key_and_nobody_else_does() -> None:
    verify = verify_handover
    for agencies in ((1, 2), (1,), (), (1, 2, 3, 4)):
        with refused("handover.agency_missing"):
            verify(certificate(agencies=agencies), old_genesis(), last_trusted(), new_genesis())
    made = certificate()
    message = handover_sign_bytes(made.statement)
    other_key = (*made.agencies[:2], agency_signature(3, message, key=2))
    with refused("handover.wrong_agency_key"):
        verify(replace(made, agencies=other_key), old_genesis(), last_trusted(), new_genesis())
    other_message = (*made.agencies[:2], agency_signature(3, message + b"x"))
    with refused("handover.bad_signature"):
        verify(replace(made, agencies=other_message), old_genesis(), last_trusted(), new_genesis())


def test_a_signature_for_one_handover_is_none_for_another() -> None:
    made = certificate()
    other = replace(made.statement, snapshot_hash=b"\x78" * 32)
    with refused("handover.bad_signature"):
        verify_handover(replace(made, statement=other), old_genesis(), last_trusted(), new_genesis())


def test_an_organisation_with_a_validator_has_a_ca_and_one_without_need_not() -> None:
    new = new_genesis(ca_certificates=("", ca_certificate(2), ca_certificate(3)))
    made = certificate(statement(new=new), agencies=(2, 3))
    with refused("handover.no_ca"):
        verify_handover(made, old_genesis(), last_trusted(), new)
    new = new_genesis(ca_certificates=(ca_certificate(1), "", ca_certificate(3)))
    made = certificate(statement(new=new), agencies=(1, 3))
    assert verify_handover(made, old_genesis(), last_trusted(), new).agencies == (1, 3)


def test_a_ca_key_is_one_of_p256() -> None:
    organisation = new_genesis().organisations[0]
    assert ca_public_key(organisation) == agency_signature(1, b"").public_key
    with refused("handover.no_ca"):
        ca_public_key(replace(organisation, ca_certificate="no certificate"))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "示范机构 CA")])
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for key, digest in (
        (ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)), None),
        (ec.derive_private_key(5, ec.SECP384R1()), hashes.SHA256()),
    ):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        builder = builder.not_valid_before(moment).not_valid_after(moment.replace(year=2036))
        pem = builder.public_key(key.public_key()).sign(key, digest).public_bytes(Encoding.PEM).decode()
        with refused("handover.no_ca"):
            ca_public_key(replace(organisation, ca_certificate=pem))
