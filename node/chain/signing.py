"""Signatures: the scheme registry, who signed a transaction, and whether the signature holds.

One registry entry a scheme: its number, the length of its public key, a pure parser of the signature's form
and a verifier. Types 0, 1 and 2 are signed with secp256k1 (scheme 0): there the sender is recovered, and the
recovery is the verification. Type 0x49 names a scheme and a public key; its sender is `keccak256(scheme byte
|| public key)[12:]`.

Signatures have one form each. secp256k1 and P-256 signatures with a high `s` are refused (EIP-2): otherwise
anybody could make a second valid form, with another hash, of a transaction that somebody else signed.

WebAuthn assertions are checked by the "limited verification algorithm" (Web Authentication Level 3, section
5.8.1.2): client data is compared byte by byte with the prefix that a conforming browser must write, and never
given to a JSON parser.

Everything here raises SignatureRefused and nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from node.chain.encoding import (
    keccak256,
    rlp_encode_bytes,
    rlp_encode_list,
    rlp_outer_list,
    rlp_split,
    sha256,
)
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.transaction import Address, EthereumTransaction, ImiTransaction, Transaction

SECP256K1: Final = 0
WEBAUTHN_ES256: Final = 1
ED25519: Final = 2
ES256: Final = 3

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493

MAX_CLIENT_DATA_BYTES: Final = 1_024
MAX_ORIGIN_BYTES: Final = 256
MAX_EXTENSION_BYTES: Final = 512

_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_BACKUP_ELIGIBLE: Final = 0x08
_BACKED_UP: Final = 0x10
_ATTESTED_DATA: Final = 0x40
_EXTENSION_DATA: Final = 0x80
_ORIGIN_ALPHABET: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789:/.-_[]")


@dataclass(frozen=True, slots=True)
class SigningContext:
    """What a WebAuthn assertion is checked against: the relying party of the sender's credential.

    `rp_id_hash` is sha256 of the rp id; `allows_origin` says whether an exact origin is listed.
    Schemes without an origin ignore it.
    """

    rp_id_hash: bytes
    allows_origin: Callable[[bytes], bool]
    allow_backup_eligible: bool


@dataclass(frozen=True, slots=True)
class WebAuthnAssertion:
    """The parts of the signature field of scheme 1: rlp([authenticator_data, client_data_json, r || s])."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    def encode(self) -> bytes:
        parts = (self.authenticator_data, self.client_data, self.signature)
        return rlp_encode_list(rlp_encode_bytes(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign an IMI transaction.

    `check_key(key)` and `parse(signature)` look at the form only; `verify(key, signing_hash, signature,
    context)` decides.
    """

    number: int
    name: str
    key_length: int
    check_key: Callable[[bytes], None]
    parse: Callable[[bytes], bytes | WebAuthnAssertion]
    verify: Callable[[bytes, bytes, bytes, SigningContext], None]


def imi_sender(scheme: int, public_key: bytes) -> Address:
    """The account of a key: keccak256(scheme byte || public key)[12:]."""
    return keccak256(bytes((scheme,)) + public_key)[12:]


def sender_of(tx: Transaction) -> Address:
    """The account that signed. For types 0-2 it is recovered, which verifies; for 0x49 it is only named.

    Raises SignatureRefused: signature.out_of_range, signature.high_s, signature.not_recoverable.
    """
    if isinstance(tx, ImiTransaction):
        return imi_sender(tx.scheme, tx.public_key)
    _check_ecdsa_range(tx.r, tx.s, SECP256K1_ORDER)
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
        _check_ecdsa_range(tx.r, tx.s, SECP256K1_ORDER)
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


def _check_ecdsa_range(r: int, s: int, order: int) -> None:
    if not 0 < r < order or not 0 < s < order:
        raise SignatureRefused("signature.out_of_range", "r and s must lie between 0 and the group order")
    if s > order >> 1:
        raise SignatureRefused(
            "signature.high_s", "of the two forms of a signature the one with low s is wanted"
        )


# ---- P-256: schemes 1 and 3


@lru_cache(maxsize=4_096)
def _load_p256_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public_key)
    except ValueError:
        raise SignatureRefused(
            "signature.key_not_on_curve", "the point x||y is not on P-256", public_key
        ) from None


def _check_p256_key(public_key: bytes) -> None:
    _load_p256_key(public_key)


def _parse_p256(signature: bytes) -> bytes:
    if len(signature) != 64:
        raise SignatureRefused("signature.length", "a signature is raw r||s", len(signature), 64)
    _check_ecdsa_range(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"), P256_ORDER
    )
    return signature


def _verify_p256(public_key: bytes, message: bytes, signature: bytes) -> None:
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        _load_p256_key(public_key).verify(der, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise SignatureRefused(
            "signature.does_not_verify", "the signature is not of this key and message"
        ) from None


def _verify_es256(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    _verify_p256(public_key, signing_hash, _parse_p256(signature))


# ---- Ed25519: scheme 2


@lru_cache(maxsize=4_096)
def _load_ed25519_key(public_key: bytes) -> VerifyKey:
    # Refuses non-canonical points, points of small order and points outside the prime-order group.
    if not crypto_core_ed25519_is_valid_point(public_key):
        raise SignatureRefused("signature.key_not_a_point", "the key is no point of prime order", public_key)
    return VerifyKey(public_key)


def _check_ed25519_key(public_key: bytes) -> None:
    _load_ed25519_key(public_key)


def _parse_ed25519(signature: bytes) -> bytes:
    if len(signature) != 64:
        raise SignatureRefused("signature.length", "an Ed25519 signature has 64 bytes", len(signature), 64)
    if int.from_bytes(signature[32:], "little") >= ED25519_ORDER:
        raise SignatureRefused("signature.out_of_range", "s must be below the group order")
    return signature


def _verify_ed25519(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    verify_ed25519(public_key, signing_hash, signature)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> None:
    """RFC 8032 with libsodium's strictness; also for validators' votes. Raises SignatureRefused."""
    if len(public_key) != 32:
        raise SignatureRefused("signature.key_length", "an Ed25519 key has 32 bytes", len(public_key), 32)
    _parse_ed25519(signature)
    try:
        _load_ed25519_key(public_key).verify(message, signature)
    except BadSignatureError:
        raise SignatureRefused(
            "signature.does_not_verify", "the signature is not of this key and message"
        ) from None


# ---- WebAuthn: scheme 1


def decode_assertion(signature: bytes) -> WebAuthnAssertion:
    """The signature field of scheme 1. Raises SignatureRefused signature.*."""
    try:
        _, start, end = rlp_outer_list(signature, 0)
        items = rlp_split(signature, start, end, 4)
    except DecodeError as error:
        raise SignatureRefused("signature.not_assertion", error.message, error.got, error.expected) from None
    if len(items) != 3 or any(is_list for is_list, _, _ in items):
        raise SignatureRefused(
            "signature.not_assertion", "an assertion has three byte strings", len(items), 3
        )
    parts = [signature[item_start:item_end] for _, item_start, item_end in items]
    _parse_p256(parts[2])
    return WebAuthnAssertion(parts[0], parts[1], parts[2])


def client_data_prefix(signing_hash: bytes) -> bytes:
    """How client data of an assertion over `signing_hash` begins, up to the origin."""
    challenge = base64.urlsafe_b64encode(signing_hash).rstrip(b"=")
    return b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"'


def _verify_webauthn(
    public_key: bytes, signing_hash: bytes, signature: bytes, context: SigningContext
) -> None:
    assertion = decode_assertion(signature)
    _check_authenticator_data(assertion.authenticator_data, context)
    origin = _origin_of(assertion.client_data, signing_hash)
    if not context.allows_origin(origin):
        raise SignatureRefused(
            "signature.origin", "the relying party does not list this origin", origin.decode()
        )
    message = assertion.authenticator_data + sha256(assertion.client_data)
    _verify_p256(public_key, message, assertion.signature)


def _check_authenticator_data(data: bytes, context: SigningContext) -> None:
    if len(data) < 37:
        raise SignatureRefused(
            "signature.authenticator_data", "authenticator data is too short", len(data), 37
        )
    if data[:32] != context.rp_id_hash:
        raise SignatureRefused("signature.rp_id", "signed for another rp id", data[:32], context.rp_id_hash)
    flags = data[32]
    if not flags & _USER_PRESENT:
        raise SignatureRefused("signature.user_not_present", "the user was not present", flags)
    if not flags & _USER_VERIFIED:
        raise SignatureRefused("signature.user_not_verified", "the user was not verified", flags)
    if flags & _BACKED_UP and not flags & _BACKUP_ELIGIBLE:
        raise SignatureRefused("signature.authenticator_data", "backed up, but not eligible for it", flags)
    if flags & _BACKUP_ELIGIBLE and not context.allow_backup_eligible:
        raise SignatureRefused("signature.backup_eligible", "this key must be bound to one device", flags)
    if flags & _ATTESTED_DATA:
        raise SignatureRefused("signature.authenticator_data", "an assertion carries no attested key", flags)
    longest = 37 + MAX_EXTENSION_BYTES if flags & _EXTENSION_DATA else 37
    shortest = 38 if flags & _EXTENSION_DATA else 37
    if not shortest <= len(data) <= longest:
        raise SignatureRefused(
            "signature.authenticator_data",
            "authenticator data has the wrong length",
            len(data),
            [shortest, longest],
        )


def _origin_of(client_data: bytes, signing_hash: bytes) -> bytes:
    if len(client_data) > MAX_CLIENT_DATA_BYTES:
        raise SignatureRefused(
            "signature.client_data", "client data is too large", len(client_data), MAX_CLIENT_DATA_BYTES
        )
    prefix = client_data_prefix(signing_hash)
    if not client_data.startswith(prefix):
        raise SignatureRefused("signature.client_data", "client data is not of this transaction")
    end = client_data.find(b'"', len(prefix))
    origin = client_data[len(prefix) : end] if end >= 0 else b""
    if not 0 < len(origin) <= MAX_ORIGIN_BYTES or not _ORIGIN_ALPHABET.issuperset(origin):
        raise SignatureRefused("signature.origin", "the origin is not a plain origin", len(origin))
    rest = client_data[end:]
    expected = b'","crossOrigin":false'
    if not rest.startswith(expected):
        raise SignatureRefused("signature.client_data", "crossOrigin must follow the origin and be false")
    tail = rest[len(expected) :]
    if tail != b"}" and not (tail.startswith(b",") and tail.endswith(b"}")):
        raise SignatureRefused("signature.client_data", "client data does not end as it should")
    if b"topOrigin" in tail:
        raise SignatureRefused("signature.client_data", "client data names a top origin")
    return origin


SCHEMES: Final[Mapping[int, Scheme]] = MappingProxyType(
    {
        scheme.number: scheme
        for scheme in (
            Scheme(WEBAUTHN_ES256, "webauthn-es256", 64, _check_p256_key, decode_assertion, _verify_webauthn),
            Scheme(ED25519, "ed25519", 32, _check_ed25519_key, _parse_ed25519, _verify_ed25519),
            Scheme(ES256, "es256", 64, _check_p256_key, _parse_p256, _verify_es256),
        )
    }
)
"""Every scheme this program can verify; the rules in force price them, and a price of 0 turns one off."""
