"""Ed25519 (RFC 8032) with libsodium's strictness: scheme 2, and the votes of validators."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from node.chain.errors import SignatureRefused
from node.chain.schemes.scheme import Scheme, SigningContext, does_not_verify

ED25519: Final = 2

ED25519_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493


@lru_cache(maxsize=4_096)
def _load_key(public_key: bytes) -> VerifyKey:
    # Refuses non-canonical points, points of small order and points outside the prime-order group.
    if not crypto_core_ed25519_is_valid_point(public_key):
        raise SignatureRefused("signature.key_not_a_point", "the key is no point of prime order", public_key)
    return VerifyKey(public_key)


def _check_key(public_key: bytes) -> None:
    _load_key(public_key)


def _parse(signature: bytes) -> bytes:
    if len(signature) != 64:
        raise SignatureRefused("signature.length", "an Ed25519 signature has 64 bytes", len(signature), 64)
    if int.from_bytes(signature[32:], "little") >= ED25519_ORDER:
        raise SignatureRefused("signature.out_of_range", "s must be below the group order")
    return signature


def _verify(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    verify_ed25519(public_key, signing_hash, signature)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> None:
    """RFC 8032 with libsodium's strictness; also for validators' votes. Raises SignatureRefused."""
    if len(public_key) != 32:
        raise SignatureRefused("signature.key_length", "an Ed25519 key has 32 bytes", len(public_key), 32)
    _parse(signature)
    try:
        _load_key(public_key).verify(message, signature)
    except BadSignatureError:
        raise does_not_verify() from None


SCHEME: Final = Scheme(ED25519, "ed25519", 32, 64, _check_key, _parse, _verify)
