"""Signatures: each scheme verifies what it should, and nothing else, by a named refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from chain_assertions import (
    ED25519_KEY,
    FLAGS,
    ML_DSA_KEY,
    ORIGIN,
    P256_PUBLIC,
    RESIDENT,
    SM2_PUBLIC,
    SM2_SECRET,
    STAFF,
    Parts,
    authenticator_data,
    client_data,
    ed25519_transaction,
    es256_transaction,
    ml_dsa_transaction,
    p256_signature,
    sm2_transaction,
    unsigned,
    webauthn_transaction,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from eth_account import Account
from gmssl_pyx import sm2_sign, sm2_verify

from node.chain.errors import DecodeError, SignatureRefused
from node.chain.signing import (
    ED25519_ORDER,
    P256_ORDER,
    SCHEMES,
    SECP256K1_ORDER,
    SM2_ORDER,
    SigningContext,
    check_form,
    check_public_key,
    decode_assertion,
    imi_sender,
    sender_of,
    verify,
    verify_ed25519,
)
from node.chain.transaction import EthereumTransaction, ImiTransaction, decode
from tests.helpers import sm2_reference

TRANSACTIONS = {
    1: webauthn_transaction(),
    2: ed25519_transaction(),
    3: es256_transaction(),
    4: sm2_transaction(),
    5: ml_dsa_transaction(),
}


def refused(tx: object, code: str, context: SigningContext = STAFF) -> None:
    with pytest.raises(SignatureRefused) as caught:
        verify(tx, context)
    assert caught.value.code == code


def form_refused(tx: object, code: str) -> None:
    with pytest.raises(SignatureRefused) as caught:
        check_form(tx)
    assert caught.value.code == code
    refused(tx, code)


def test_every_scheme_has_an_example_here() -> None:
    assert TRANSACTIONS.keys() == SCHEMES.keys()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signed_transaction_verifies_and_names_its_sender(scheme: int) -> None:
    tx = TRANSACTIONS[scheme]
    check_form(tx)
    verify(tx, STAFF)
    verify(decode(tx.raw), STAFF)
    assert sender_of(tx) == imi_sender(scheme, tx.public_key)
    assert len(sender_of(tx)) == 20


def test_one_key_in_two_schemes_is_two_senders() -> None:
    assert imi_sender(1, P256_PUBLIC) != imi_sender(3, P256_PUBLIC)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1235},
        {"nonce": 8},
        {"valid_until": 1_800_000_001},
        {"gas_limit": 900_001},
        {"calls": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_covers_every_field(scheme: int, change: dict[str, object]) -> None:
    tx = TRANSACTIONS[scheme]
    body = unsigned(scheme, tx.public_key)
    if change == {"calls": ()}:
        change = {"calls": body.calls[:1]}
    mutant = replace(body, **change).with_signature(tx.signature)
    refused(mutant, "signature.client_data" if scheme == 1 else "signature.does_not_verify")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_changed_byte_never_leaves_the_signers_transaction_standing(scheme: int) -> None:
    tx = TRANSACTIONS[scheme]
    signer = sender_of(tx)
    for position in range(len(tx.raw)):
        for flip in (0x01, 0x80):
            raw = tx.raw[:position] + bytes((tx.raw[position] ^ flip,)) + tx.raw[position + 1 :]
            try:
                mutant = decode(raw)
                found = sender_of(mutant)
                if found == signer:
                    verify(mutant, STAFF)
                    pytest.fail(f"byte {position} may be changed")
            except (DecodeError, SignatureRefused):
                continue


# ---- WebAuthn


def parts(**changes: object) -> Callable[[Parts], Parts]:
    return lambda made: replace(made, **changes)


def with_client_data(**options: object) -> Callable[[Parts], Parts]:
    challenge = unsigned(1, P256_PUBLIC).signing_hash
    return parts(client_data=client_data(challenge, **options))


def test_what_browsers_append_is_accepted() -> None:
    chromium = b',"other_keys_can_be_added_here":"do not compare clientDataJSON against a template"}'
    verify(webauthn_transaction(with_client_data(tail=chromium)), STAFF)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (with_client_data(kind="webauthn.create"), "signature.client_data"),
        (parts(client_data=client_data(bytes(32))), "signature.client_data"),
        (with_client_data(origin=b"http://localhost:8601"), "signature.origin"),
        (with_client_data(origin=b"https://localhost:8600"), "signature.origin"),
        (with_client_data(origin=b"http://localhost:8600.evil.example"), "signature.origin"),
        (with_client_data(origin=b""), "signature.origin"),
        (with_client_data(origin=b"http://LOCALHOST:8600"), "signature.origin"),
        (with_client_data(origin=b"http://localhost:8600\\u0022"), "signature.origin"),
        (with_client_data(origin=b"http://localhost:8600/\x00"), "signature.origin"),
        (with_client_data(origin=b"http://" + b"a" * 260), "signature.origin"),
        (with_client_data(cross_origin="true"), "signature.client_data"),
        (with_client_data(cross_origin="true", tail=b',"topOrigin":"http://a"}'), "signature.client_data"),
        (with_client_data(tail=b',"topOrigin":"http://a"}'), "signature.client_data"),
        (with_client_data(tail=b""), "signature.client_data"),
        (with_client_data(tail=b"x}"), "signature.client_data"),
        (with_client_data(tail=b","), "signature.client_data"),
        (with_client_data(tail=b"," + b" " * 1024 + b"}"), "signature.client_data"),
        (parts(client_data=b""), "signature.client_data"),
        (parts(authenticator_data=authenticator_data(rp_id_hash=bytes(32))), "signature.rp_id"),
        (parts(authenticator_data=authenticator_data(flags=0x04)), "signature.user_not_present"),
        (parts(authenticator_data=authenticator_data(flags=0x01)), "signature.user_not_verified"),
        (parts(authenticator_data=authenticator_data(flags=0x0D)), "signature.backup_eligible"),
        (parts(authenticator_data=authenticator_data(flags=0x1D)), "signature.backup_eligible"),
        (parts(authenticator_data=authenticator_data(flags=0x15)), "signature.authenticator_data"),
        (parts(authenticator_data=authenticator_data(flags=0x45)), "signature.authenticator_data"),
        (parts(authenticator_data=authenticator_data(flags=0x85)), "signature.authenticator_data"),
        (parts(authenticator_data=authenticator_data(extra=b"\xa0")), "signature.authenticator_data"),
        (
            parts(authenticator_data=authenticator_data(flags=0x85, extra=bytes(513))),
            "signature.authenticator_data",
        ),
        (parts(authenticator_data=authenticator_data()[:36]), "signature.authenticator_data"),
        (parts(authenticator_data=b""), "signature.authenticator_data"),
    ],
)
def test_a_truly_signed_assertion_of_something_else_is_refused(
    change: Callable[[Parts], Parts], code: str
) -> None:
    refused(webauthn_transaction(change), code)


def test_an_assertion_for_another_transaction_is_refused() -> None:
    other = replace(unsigned(1, P256_PUBLIC), nonce=8)
    replayed = other.with_signature(TRANSACTIONS[1].signature)
    refused(replayed, "signature.client_data")


def test_backup_eligible_keys_are_for_residents_only() -> None:
    for flags in (FLAGS | 0x08, FLAGS | 0x18):
        tx = webauthn_transaction(parts(authenticator_data=authenticator_data(flags=flags)))
        verify(tx, RESIDENT)
        refused(tx, "signature.backup_eligible")


def test_extensions_are_allowed_up_to_a_size() -> None:
    verify(
        webauthn_transaction(parts(authenticator_data=authenticator_data(flags=0x85, extra=bytes(512)))),
        STAFF,
    )


def test_the_relying_party_decides_about_origins() -> None:
    asked: list[bytes] = []
    context = replace(STAFF, allows_origin=lambda origin: bool(asked.append(origin)))
    refused(TRANSACTIONS[1], "signature.origin", context)
    assert asked == [ORIGIN]


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x80",
        b"\xc0",
        b"\xc2\x80\x80",
        b"\xc4\x80\x80\x80\x80",
        b"\xc3\xc0\x80\x80",
        b"\xff" * 9,
        bytes(64),
    ],
)
def test_what_is_no_assertion_is_refused(signature: bytes) -> None:
    form_refused(unsigned(1, P256_PUBLIC).with_signature(signature), "signature.not_assertion")


# ---- forms of keys and signatures


def p256_mutant(scheme: int, signature: bytes) -> ImiTransaction:
    tx = TRANSACTIONS[scheme]
    if scheme == 1:
        signature = replace(decode_assertion(tx.signature), signature=signature).encode()
    return unsigned(scheme, tx.public_key).with_signature(signature)


@pytest.mark.parametrize("scheme", [1, 3])
def test_p256_signatures_have_one_form(scheme: int) -> None:
    tx = TRANSACTIONS[scheme]
    good = decode_assertion(tx.signature).signature if scheme == 1 else tx.signature
    r, s = good[:32], good[32:]
    high = (P256_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    order = P256_ORDER.to_bytes(32, "big")
    form_refused(p256_mutant(scheme, r + high), "signature.high_s")
    for bad in (bytes(32) + s, r + bytes(32), order + s, r + order, b"\xff" * 64, bytes(64)):
        form_refused(p256_mutant(scheme, bad), "signature.out_of_range")
    for bad in (good[:-1], good + b"\x00", b""):
        form_refused(p256_mutant(scheme, bad), "signature.length")
    refused(
        p256_mutant(scheme, s + r if int.from_bytes(r, "big") <= P256_ORDER // 2 else s + s),
        "signature.does_not_verify",
    )


def test_both_forms_of_s_do_verify_as_mathematics_so_the_rule_is_needed() -> None:
    high = p256_signature(TRANSACTIONS[3].signing_hash, low=False)
    form_refused(p256_mutant(3, high), "signature.high_s")
    low = high[:32] + (P256_ORDER - int.from_bytes(high[32:], "big")).to_bytes(32, "big")
    verify(p256_mutant(3, low), STAFF)


@pytest.mark.parametrize("scheme", [1, 3])
def test_a_p256_key_must_be_a_point_of_the_curve(scheme: int) -> None:
    signature = TRANSACTIONS[scheme].signature
    for key in (bytes(64), P256_PUBLIC[:63] + bytes((P256_PUBLIC[63] ^ 1,)), b"\xff" * 64):
        check_key_refused(scheme, key, "signature.key_not_on_curve")
        with pytest.raises(SignatureRefused, match="key_not_on_curve"):
            check_form(unsigned(scheme, key).with_signature(signature))


def check_key_refused(scheme: int, key: bytes, code: str) -> None:
    with pytest.raises(SignatureRefused) as caught:
        check_public_key(scheme, key)
    assert caught.value.code == code


@pytest.mark.parametrize("scheme", SCHEMES)
def test_keys_have_one_length(scheme: int) -> None:
    tx = TRANSACTIONS[scheme]
    for key in (b"", tx.public_key[:-1], tx.public_key + b"\x00", b"\x04" + tx.public_key):
        form_refused(unsigned(scheme, key).with_signature(tx.signature), "signature.key_length")
        check_key_refused(scheme, key, "signature.key_length")
    check_public_key(scheme, tx.public_key)


@pytest.mark.parametrize("scheme", [6, 7, 200])
def test_unknown_schemes_are_refused(scheme: int) -> None:
    form_refused(unsigned(scheme, bytes(32)).with_signature(bytes(64)), "signature.unknown_scheme")
    check_key_refused(scheme, bytes(32), "signature.unknown_scheme")


# ---- SM2 and ML-DSA-65


def test_sm2_signatures_have_one_form() -> None:
    tx = TRANSACTIONS[4]
    body = unsigned(4, tx.public_key)
    r, s = tx.signature[:32], tx.signature[32:]
    order = SM2_ORDER.to_bytes(32, "big")
    for bad in (bytes(32) + s, r + bytes(32), order + s, r + order, b"\xff" * 64, bytes(64)):
        form_refused(body.with_signature(bad), "signature.out_of_range")
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    for bad in (tx.signature[:-1], tx.signature + b"\x00", b"", der):
        form_refused(body.with_signature(bad), "signature.length")


def test_the_other_s_of_ecdsa_is_no_signature_of_sm2() -> None:
    tx = TRANSACTIONS[4]
    other = (SM2_ORDER - int.from_bytes(tx.signature[32:], "big")).to_bytes(32, "big")
    refused(unsigned(4, tx.public_key).with_signature(tx.signature[:32] + other), "signature.does_not_verify")


def test_sm2_with_r_and_s_that_sum_to_the_order_is_refused() -> None:
    r = int.from_bytes(TRANSACTIONS[4].signature[:32], "big")
    signature = r.to_bytes(32, "big") + (SM2_ORDER - r).to_bytes(32, "big")
    refused(unsigned(4, SM2_PUBLIC).with_signature(signature), "signature.does_not_verify")


def test_an_sm2_signature_with_k_zero_is_refused() -> None:
    """The point that is verified is the one at infinity, and the library takes its x for 0."""
    body = unsigned(4, SM2_PUBLIC)
    secret = int.from_bytes(SM2_SECRET, "big")
    digest = sm2_reference.message_digest(SM2_PUBLIC, body.signing_hash)
    r = int.from_bytes(digest, "big") % SM2_ORDER
    s = -r * secret * pow(1 + secret, -1, SM2_ORDER) % SM2_ORDER
    assert sm2_verify(SM2_PUBLIC, body.signing_hash, encode_dss_signature(r, s)), "or the check may go"
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert not sm2_reference.verifies(SM2_PUBLIC, body.signing_hash, signature)
    refused(body.with_signature(signature), "signature.does_not_verify")


def test_an_sm2_key_must_be_a_point_of_the_curve() -> None:
    field = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
    y_of_zero = 0xFD4511E81736A60F07E88A83D6CF5A167FAE6D1A9C9330E76E232E00F5CDC154
    zero = bytes(32) + y_of_zero.to_bytes(32, "big")
    check_public_key(4, zero)
    for key in (
        bytes(64),
        SM2_PUBLIC[:63] + bytes((SM2_PUBLIC[63] ^ 1,)),
        SM2_PUBLIC[32:] + SM2_PUBLIC[:32],
        P256_PUBLIC,
        field.to_bytes(32, "big") + zero[32:],  # the same point with x not reduced
        zero[:32] + (2**256 - 1).to_bytes(32, "big"),
        b"\xff" * 64,
    ):
        check_key_refused(4, key, "signature.key_not_on_curve")
        form_refused(unsigned(4, key).with_signature(TRANSACTIONS[4].signature), "signature.key_not_on_curve")


def test_an_sm2_signature_counts_under_the_one_signer_id() -> None:
    body = unsigned(4, SM2_PUBLIC)
    for signer_id in (b"ALICE123@YAHOO.COM", b"1234567812345679", None):
        r, s = decode_dss_signature(sm2_sign(SM2_SECRET, SM2_PUBLIC, body.signing_hash, signer_id))
        refused(
            body.with_signature(r.to_bytes(32, "big") + s.to_bytes(32, "big")), "signature.does_not_verify"
        )


def test_an_ml_dsa_signature_counts_in_one_length_and_without_a_context() -> None:
    tx = TRANSACTIONS[5]
    body = unsigned(5, tx.public_key)
    for bad in (b"", tx.signature[:-1], tx.signature + b"\x00"):
        form_refused(body.with_signature(bad), "signature.length")
    refused(body.with_signature(ML_DSA_KEY.sign(body.signing_hash, b"context")), "signature.does_not_verify")
    refused(body.with_signature(bytes(3_309)), "signature.does_not_verify")
    refused(unsigned(5, bytes(1_952)).with_signature(tx.signature), "signature.does_not_verify")


# ---- Ed25519: RFC 8032, section 7.1

RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC8032)
def test_the_examples_of_rfc_8032(key: str, message: str, signature: str) -> None:
    verify_ed25519(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
    with pytest.raises(SignatureRefused, match="does_not_verify"):
        verify_ed25519(bytes.fromhex(key), bytes.fromhex(message) + b"x", bytes.fromhex(signature))


def test_ed25519_signatures_have_one_form() -> None:
    tx = TRANSACTIONS[2]
    r, s = tx.signature[:32], int.from_bytes(tx.signature[32:], "little")
    larger = r + (s + ED25519_ORDER).to_bytes(32, "little")
    form_refused(unsigned(2, tx.public_key).with_signature(larger), "signature.out_of_range")
    form_refused(unsigned(2, tx.public_key).with_signature(tx.signature + b"\x00"), "signature.length")


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),  # order 4
        b"\x01" + bytes(31),  # the neutral element
        b"\xec" + b"\xff" * 30 + b"\x7f",  # order 2
        b"\xed" + b"\xff" * 30 + b"\x7f",  # 0, not reduced
        b"\xff" * 32,
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),  # order 8
    ],
)
def test_weak_and_non_canonical_ed25519_keys_are_refused(key: bytes) -> None:
    form_refused(unsigned(2, key).with_signature(TRANSACTIONS[2].signature), "signature.key_not_a_point")


def test_an_ed25519_signature_by_another_key_is_refused() -> None:
    tx = TRANSACTIONS[2]
    other = hashlib.sha256(b"another").digest()
    signature = type(ED25519_KEY)(other).sign(tx.signing_hash).signature
    refused(unsigned(2, tx.public_key).with_signature(signature), "signature.does_not_verify")


# ---- secp256k1


def ethereum_transaction() -> EthereumTransaction:
    fields = {
        "type": 2,
        "chainId": 5,
        "nonce": 1,
        "gas": 21_000,
        "to": "0x" + "35" * 20,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    }
    signed = Account.sign_transaction(fields, bytes([0x46] * 32))
    tx = decode(bytes(signed.raw_transaction))
    assert isinstance(tx, EthereumTransaction)
    return tx


def test_ethereum_signatures_verify_by_recovery() -> None:
    tx = ethereum_transaction()
    check_form(tx)
    verify(tx, STAFF)
    assert sender_of(tx).hex() == "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"


def test_ethereum_signatures_have_one_form() -> None:
    tx = ethereum_transaction()
    high = replace(tx, s=SECP256K1_ORDER - tx.s, y_parity=1 - tx.y_parity)
    form_refused(high, "signature.high_s")
    for change in ({"r": 0}, {"s": 0}, {"r": SECP256K1_ORDER}, {"s": SECP256K1_ORDER}):
        form_refused(replace(tx, **change), "signature.out_of_range")


def test_an_r_that_is_no_point_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="not_recoverable"):
        sender_of(replace(ethereum_transaction(), r=5))
