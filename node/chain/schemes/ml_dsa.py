"""ML-DSA-65 (FIPS 204), pure, with empty context: scheme 5.

Message = the 32-byte signing hash. Every string of 1,952 bytes is a key: its encoding has no redundancy. A
signature has one encoding (algorithm 21 refuses hints in another order), and nobody without the key can make
a second one for the same message (strong unforgeability).
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from node.chain.errors import SignatureRefused
from node.chain.schemes.scheme import Scheme, SigningContext, does_not_verify

ML_DSA_65: Final = 5

_KEY_BYTES: Final = 1_952
_SIGNATURE_BYTES: Final = 3_309


def _check_key(public_key: bytes) -> None:
    """Its length is all there is to check."""


def _parse(signature: bytes) -> bytes:
    if len(signature) != _SIGNATURE_BYTES:
        raise SignatureRefused(
            "signature.length", "an ML-DSA-65 signature has 3,309 bytes", len(signature), _SIGNATURE_BYTES
        )
    return signature


def _verify(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    _parse(signature)
    try:
        # Keys are not kept like those of the curves: they are large, and loading one is cheap.
        MLDSA65PublicKey.from_public_bytes(public_key).verify(signature, signing_hash)
    except InvalidSignature:
        raise does_not_verify() from None


SCHEME: Final = Scheme(ML_DSA_65, "ml-dsa-65", _KEY_BYTES, _SIGNATURE_BYTES, _check_key, _parse, _verify)
