"""What the software authenticator makes passes for a browser's work and signs transactions of the chain."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from webauthn import verify_authentication_response, verify_registration_response

from identity.authenticator import (
    Creation,
    SoftwareAuthenticator,
    assertion_signature,
    cose_key,
    raw_low_s,
)
from identity.errors import AuthenticatorError, KeyFileError
from identity.keys import (
    ED25519,
    ES256,
    ML_DSA_65,
    SECP256K1,
    SM2,
    WEBAUTHN_P256,
    KeyAlgorithm,
    generate_key,
)
from identity.signing import sign_ethereum, sign_imi
from node.chain.errors import SignatureRefused
from node.chain.signing import P256_ORDER, SigningContext, sender_of, verify
from node.chain.transaction import Call, build_ethereum, build_imi, decode

ORIGIN, RP_ID = "http://localhost:8600", "localhost"
CONTEXT = SigningContext(hashlib.sha256(RP_ID.encode()).digest(), {ORIGIN.encode()}.__contains__, False)


def imi(scheme: int, public_key: bytes) -> Any:
    return build_imi(
        chain_id=77,
        nonce=3,
        valid_until=1_800_000_000,
        gas_limit=900_000,
        calls=[Call(b"\x51" * 20, b"\x01\x02")],
        scheme=scheme,
        public_key=public_key,
    )


def test_a_relying_party_library_accepts_registration_and_assertions() -> None:
    key = generate_key(WEBAUTHN_P256)
    authenticator = SoftwareAuthenticator(key, RP_ID)
    challenge = b"a challenge of the relying party"
    registered = verify_registration_response(
        credential=authenticator.create(challenge, ORIGIN).as_json(),
        expected_challenge=challenge,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        require_user_verification=True,
    )
    assert registered.credential_id == key.credential_id
    assert registered.credential_public_key == cose_key(key.public_key)
    assert (registered.fmt, registered.credential_device_type) == ("none", "single_device")
    for expected_count in (1, 2, 3):
        verified = verify_authentication_response(
            credential=authenticator.get(challenge, ORIGIN).as_json(),
            expected_challenge=challenge,
            expected_rp_id=RP_ID,
            expected_origin=ORIGIN,
            credential_public_key=registered.credential_public_key,
            credential_current_sign_count=expected_count - 1,
            require_user_verification=True,
        )
        assert verified.new_sign_count == expected_count


@pytest.mark.parametrize(
    "algorithm", [WEBAUTHN_P256, ED25519, ES256, SM2, ML_DSA_65], ids=lambda algorithm: algorithm.name
)
def test_a_signed_transaction_holds_on_the_chain(algorithm: KeyAlgorithm) -> None:
    key = generate_key(algorithm)
    signed = sign_imi(key, imi(key.scheme, key.public_key), origin=ORIGIN, rp_id=RP_ID)
    transaction = decode(signed.raw)
    assert transaction == signed
    assert sender_of(transaction) == key.address
    verify(transaction, CONTEXT)


def test_a_service_signs_ethereum_transactions() -> None:
    key = generate_key(SECP256K1)
    unsigned = build_ethereum(chain_id=77, nonce=0, gas_limit=100_000, to=b"\x51" * 20, data=b"\x01")
    signed = sign_ethereum(key, unsigned)
    assert sender_of(decode(signed.raw)) == key.address


def test_a_key_signs_only_for_itself_and_in_its_own_way() -> None:
    key, other, service = generate_key(ED25519), generate_key(ED25519), generate_key(SECP256K1)
    with pytest.raises(KeyFileError, match=r"key\.other_key"):
        sign_imi(key, imi(2, other.public_key), origin=ORIGIN, rp_id=RP_ID)
    with pytest.raises(KeyFileError, match=r"key\.cannot_sign"):
        sign_imi(service, imi(0, service.public_key), origin=ORIGIN, rp_id=RP_ID)
    with pytest.raises(KeyFileError, match=r"key\.cannot_sign"):
        sign_ethereum(key, build_ethereum(chain_id=77, nonce=0, gas_limit=1, to=None))
    with pytest.raises(AuthenticatorError, match=r"authenticator\.wrong_key"):
        SoftwareAuthenticator(key, RP_ID)


def test_the_chain_refuses_an_assertion_without_user_verification() -> None:
    key = generate_key(WEBAUTHN_P256)
    unsigned = imi(1, key.public_key)
    assertion = SoftwareAuthenticator(key, RP_ID).get(unsigned.signing_hash, ORIGIN, flags=0x01)
    with pytest.raises(SignatureRefused, match=r"signature\.user_not_verified"):
        verify(unsigned.with_signature(assertion_signature(assertion)), CONTEXT)


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.org",
        "http://127.0.0.1:8600",
        "https://localhost.example.org",
        "http://notlocalhost",
        "",
    ],
)
def test_a_page_of_another_origin_gets_nothing(origin: str) -> None:
    authenticator = SoftwareAuthenticator(generate_key(WEBAUTHN_P256), RP_ID)
    for ceremony in (authenticator.create, authenticator.get):
        with pytest.raises(AuthenticatorError, match=r"authenticator\.origin"):
            ceremony(bytes(32), origin)
    assert authenticator.counter == 0


def test_an_origin_below_the_relying_party_is_its_own() -> None:
    authenticator = SoftwareAuthenticator(generate_key(WEBAUTHN_P256), "example.org")
    assert isinstance(authenticator.create(bytes(32), "https://sign.example.org"), Creation)
    with pytest.raises(AuthenticatorError):
        authenticator.create(bytes(32), "http://sign.example.org")


@given(r=st.integers(1, P256_ORDER - 1), s=st.integers(1, P256_ORDER - 1))
def test_raw_signatures_have_the_low_s(r: int, s: int) -> None:
    raw = raw_low_s(encode_dss_signature(r, s))
    assert len(raw) == 64
    assert int.from_bytes(raw[:32], "big") == r
    assert int.from_bytes(raw[32:], "big") in (s, P256_ORDER - s)
    assert int.from_bytes(raw[32:], "big") <= P256_ORDER // 2


@pytest.mark.parametrize(
    "der",
    [b"", b"\x30\x00", bytes(64), encode_dss_signature(0, 1), encode_dss_signature(1, P256_ORDER)],
    ids=["empty", "no numbers", "raw", "zero r", "s too large"],
)
def test_what_is_no_signature_is_refused(der: bytes) -> None:
    with pytest.raises(AuthenticatorError, match=r"authenticator\.signature_form"):
        raw_low_s(der)
