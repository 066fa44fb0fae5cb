"""Signatures: the scheme registry, who signed a transaction, and whether the signature holds.

Types 0, 1 and 2 are signed with secp256k1 (scheme 0): there the sender is recovered, and the recovery is the
verification. Type 0x49 names a scheme and a public key; its sender is `keccak256(scheme byte || public
key)[12:]`. The schemes themselves stand in `node.chain.schemes`, one module a family.

A key and a signature have one form each, so that nobody can make a second valid transaction, with another
hash, out of one that somebody else signed.

Everything here raises SignatureRefused and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coincurve import PublicKey

from node.chain.encoding import keccak256
from node.chain.errors import SignatureRefused
from node.chain.schemes import ecdsa, ed25519, ml_dsa, sm2, webauthn
from node.chain.schemes.ecdsa import ES256, P256_ORDER, check_ecdsa_range
from node.chain.schemes.ed25519 import ED25519, ED25519_ORDER, verify_ed25519
from node.chain.schemes.ml_dsa import ML_DSA_65
from node.chain.schemes.scheme import Scheme, SigningContext
from node.chain.schemes.sm2 import SM2, SM2_ORDER, SM2_SIGNER_ID
from node.chain.schemes.webauthn import (
    WEBAUTHN_ES256,
    WebAuthnAssertion,
    client_data_prefix,
    decode_assertion,
)
from node.chain.transaction import Address, EthereumTransaction, ImiTransaction, Transaction

__all__ = [
    "ED25519",
    "ED25519_ORDER",
    "ES256",
    "ML_DSA_65",
    "P256_ORDER",
    "SCHEMES",
    "SECP256K1",
    "SECP256K1_ORDER",
    "SM2",
    "SM2_ORDER",
    "SM2_SIGNER_ID",
    "WEBAUTHN_ES256",
    "Scheme",
    "SigningContext",
    "WebAuthnAssertion",
    "check_form",
    "check_public_key",
    "client_data_prefix",
    "decode_assertion",
    "imi_sender",
    "sender_of",
    "verify",
    "verify_ed25519",
]

SECP256K1: Final = 0

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

SCHEMES: Final[Mapping[int, Scheme]] = MappingProxyType(
    {module.SCHEME.number: module.SCHEME for module in (webauthn, ed25519, ecdsa, sm2, ml_dsa)}
)
"""Every scheme this program can verify; the rules in force price them, and a price of 0 turns one off."""


def imi_sender(scheme: int, public_key: bytes) -> Address:
    """The account of a key: keccak256(scheme byte || public key)[12:]."""
    return keccak256(bytes((scheme,)) + public_key)[12:]


def sender_of(tx: Transaction) -> Address:
    """The account that signed. For types 0-2 it is recovered, which verifies; for 0x49 it is only named.

    Raises SignatureRefused: signature.out_of_range, signature.high_s, signature.not_recoverable.
    """
    if isinstance(tx, ImiTransaction):
        return imi_sender(tx.scheme, tx.public_key)
    check_ecdsa_range(tx.r, tx.s, SECP256K1_ORDER)
    compact = tx.r.to_bytes(32, "big") + tx.s.to_bytes(32, "big") + bytes((tx.y_parity,))
    try:
        key = PublicKey.from_signature_and_message(compact, tx.signing_hash, hasher=None)
    except Exception:  # the binding raises a bare Exception when no point has this r
        raise SignatureRefused(
            "signature.not_recoverable", "no public key belongs to this signature"
        ) from None
    return keccak256(key.format(compressed=False)[1:])[12:]


def check_form(tx: Transaction) -> None:
    """The form of key and signature, before any state is read or anything expensive is done.

    Raises SignatureRefused: signature.unknown_scheme, signature.key_length, signature.key_not_on_curve,
    signature.key_not_a_point, signature.length, signature.out_of_range, signature.high_s,
    signature.not_assertion.
    """
    if isinstance(tx, EthereumTransaction):
        check_ecdsa_range(tx.r, tx.s, SECP256K1_ORDER)
        return
    scheme = _scheme_of(tx)
    _check_key_length(scheme, tx.public_key)
    scheme.check_key(tx.public_key)
    scheme.parse(tx.signature)


def verify(tx: Transaction, relying_party: SigningContext) -> None:
    """The signature of `tx` holds, under the relying party of the sender's credential.

    For types 0-2 this repeats the recovery of `sender_of`, which is all there is to verify.
    Raises SignatureRefused: those of `check_form` and `sender_of`; signature.rp_id,
    signature.user_not_present, signature.user_not_verified, signature.backup_eligible,
    signature.authenticator_data, signature.client_data, signature.origin, signature.does_not_verify.
    """
    if isinstance(tx, EthereumTransaction):
        sender_of(tx)
        return
    scheme = _scheme_of(tx)
    _check_key_length(scheme, tx.public_key)
    scheme.verify(tx.public_key, tx.signing_hash, tx.signature, relying_party)


def check_public_key(scheme: int, public_key: bytes) -> None:
    """A key that could sign in this scheme: for enrolment and genesis. Raises SignatureRefused."""
    entry = SCHEMES.get(scheme)
    if entry is None:
        raise SignatureRefused("signature.unknown_scheme", "no such scheme", scheme, sorted(SCHEMES))
    _check_key_length(entry, public_key)
    entry.check_key(public_key)


def _scheme_of(tx: ImiTransaction) -> Scheme:
    scheme = SCHEMES.get(tx.scheme)
    if scheme is None:
        raise SignatureRefused("signature.unknown_scheme", "no such scheme", tx.scheme, sorted(SCHEMES))
    return scheme


def _check_key_length(scheme: Scheme, public_key: bytes) -> None:
    if len(public_key) != scheme.key_length:
        raise SignatureRefused(
            "signature.key_length",
            f"a key of {scheme.name} has another length",
            len(public_key),
            scheme.key_length,
        )
