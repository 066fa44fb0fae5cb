"""ECDSA: the range of r and s, and P-256 with SHA-256 (ES256), scheme 3 and the inner signature of scheme 1.

Of the two forms (r, s) and (r, n - s) of a signature the one with high `s` is refused (EIP-2): otherwise
anybody could make a second valid form, with another hash, of a transaction that somebody else signed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from node.chain.errors import SignatureRefused
from node.chain.schemes.scheme import Scheme, SigningContext, does_not_verify

ES256: Final = 3

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_ECDSA_SHA256: Final = ec.ECDSA(hashes.SHA256())


def check_ecdsa_range(r: int, s: int, order: int) -> None:
    """0 < r < order and 0 < s <= order / 2.

    Raises SignatureRefused signature.out_of_range, signature.high_s.
    """
    check_range(r, s, order)
    if s > order >> 1:
        raise SignatureRefused(
            "signature.high_s", "of the two forms of a signature the one with low s is wanted"
        )


def check_range(r: int, s: int, order: int) -> None:
    """0 < r < order and 0 < s < order. Raises SignatureRefused signature.out_of_range."""
    if not 0 < r < order or not 0 < s < order:
        raise SignatureRefused("signature.out_of_range", "r and s must lie between 0 and the group order")


def split_raw(signature: bytes) -> tuple[int, int]:
    """The numbers of raw r || s. Raises SignatureRefused signature.length."""
    if len(signature) != 64:
        raise SignatureRefused("signature.length", "a signature is raw r||s", len(signature), 64)
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


@lru_cache(maxsize=4_096)
def _load_p256_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public_key)
    except ValueError:
        raise SignatureRefused(
            "signature.key_not_on_curve", "the point x||y is not on P-256", public_key
        ) from None


def check_p256_key(public_key: bytes) -> None:
    """x || y is a point of P-256. Raises SignatureRefused signature.key_not_on_curve."""
    _load_p256_key(public_key)


def parse_p256(signature: bytes) -> tuple[int, int]:
    """r and s of a raw signature with low s.

    Raises SignatureRefused signature.length, signature.out_of_range, signature.high_s.
    """
    r, s = split_raw(signature)
    check_ecdsa_range(r, s, P256_ORDER)
    return r, s


def verify_p256(public_key: bytes, message: bytes, signature: bytes) -> None:
    """ECDSA over sha256(message), raw r || s with low s.

    Raises those of `check_p256_key` and `parse_p256`, and signature.does_not_verify.
    """
    der = encode_dss_signature(*parse_p256(signature))
    try:
        _load_p256_key(public_key).verify(der, message, _ECDSA_SHA256)
    except InvalidSignature:
        raise does_not_verify() from None


def _verify_es256(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    verify_p256(public_key, signing_hash, signature)


SCHEME: Final = Scheme(ES256, "es256", 64, 64, check_p256_key, parse_p256, _verify_es256)
