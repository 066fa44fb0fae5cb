"""Ed25519 as CometBFT takes it for votes (ZIP-215): what one honest validator counts, everybody must count.

Scheme 2 and libsodium refuse signatures and keys in odd forms: points with a component of small order, points
not in their shortest form. CometBFT takes them. A vote in such a form, which any validator can make with its
own key, is part of commits that are final; whoever refused it would refuse the chain. It is no forgery, only
one more form of a signature that the owner of the key alone can make.

The rule: s is below the group order; R and the key are points, in any form; 8sB = 8R + 8kA with
k = SHA-512(R || A || message), over the bytes as they stand. RFC 8032, 5.1.7 names this equation too. The
operations on points and scalars are libsodium's.
"""

from __future__ import annotations

import hashlib
from typing import Final

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)
from nacl.exceptions import CryptoError

from node.chain.errors import SignatureRefused
from node.chain.schemes.ed25519 import verify_ed25519
from node.chain.schemes.scheme import does_not_verify

_IDENTITY: Final = b"\x01" + bytes(31)
_ZERO: Final = bytes(32)


def verify_vote_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """The signature of a vote, by CometBFT's rule.

    Raises SignatureRefused: signature.key_length, signature.length, signature.out_of_range,
    signature.does_not_verify.
    """
    try:
        verify_ed25519(public_key, message, signature)
    except SignatureRefused as refusal:
        # What libsodium takes, ZIP-215 takes; only what it refuses needs the other look.
        if refusal.code not in ("signature.does_not_verify", "signature.key_not_a_point"):
            raise
        _verify_zip215(public_key, message, signature)


def _verify_zip215(public_key: bytes, message: bytes, signature: bytes) -> None:
    r, s = signature[:32], signature[32:]
    k = crypto_core_ed25519_scalar_reduce(hashlib.sha512(r + public_key + message).digest())
    try:
        # Times 8 first: what is of small order disappears, and the rest is what libsodium multiplies.
        right = crypto_core_ed25519_add(_eightfold(r), _times(k, _eightfold(public_key)))
    except CryptoError:
        raise does_not_verify() from None
    if _times_base(_eightfold_scalar(s)) != right:
        raise does_not_verify()


def _eightfold(point: bytes) -> bytes:
    for _ in range(3):
        point = crypto_core_ed25519_add(point, point)
    return point


def _eightfold_scalar(scalar: bytes) -> bytes:
    for _ in range(3):
        scalar = crypto_core_ed25519_scalar_add(scalar, scalar)
    return scalar


def _times(scalar: bytes, point: bytes) -> bytes:
    # libsodium gives an error where the identity goes in or comes out.
    if point == _IDENTITY or scalar == _ZERO:
        return _IDENTITY
    return crypto_scalarmult_ed25519_noclamp(scalar, point)


def _times_base(scalar: bytes) -> bytes:
    return _IDENTITY if scalar == _ZERO else crypto_scalarmult_ed25519_base_noclamp(scalar)
