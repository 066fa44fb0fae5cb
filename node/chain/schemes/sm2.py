"""SM2 (GB/T 32918.2, the recommended curve of GB/T 32918.5) with SM3: scheme 4.

Signer id "1234567812345678" (GM/T 0009), message = the 32-byte signing hash, so e = SM3(Z_A || signing hash).
The key is raw x || y, the signature raw r || s.

There is no "low s" here, and none is needed. SM2 verifies r = e + x1 mod n with (x1, y1) = sG + (r + s)P and
P = dG. A second s' for the same r has to hit the same x1, so the negated point: s'(1 + d) + rd =
-(s(1 + d) + rd), that is s' = -s - 2rd / (1 + d). From s' and s anybody could compute d: so only the owner of
the key can make another form, as they can always sign once more. ECDSA differs in that its other form is -s,
free for all to compute.

GmSSL keeps Python's lock while it verifies (the other schemes' libraries give it back), so SM2 signatures are
checked one at a time in a process. It writes two lines without data to the process's error output whenever a
signature does not hold, so the form is checked first.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from gmssl_pyx import (  # type: ignore[import-untyped]
    GmsslInnerError,
    InvalidValueError,
    normalize_sm2_public_key,
    sm2_verify,
)

from node.chain.errors import SignatureRefused
from node.chain.schemes.ecdsa import check_range, split_raw
from node.chain.schemes.scheme import Scheme, SigningContext, does_not_verify

SM2: Final = 4

SM2_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_SIGNER_ID: Final = b"1234567812345678"


def _check_key(public_key: bytes) -> None:
    try:
        # The library's own check: both coordinates below p and on the curve, which x = y = 0 is not.
        normalize_sm2_public_key(public_key)
    except InvalidValueError:
        raise SignatureRefused(
            "signature.key_not_on_curve", "the point x||y is not on the SM2 curve", public_key
        ) from None


def _parse(signature: bytes) -> tuple[int, int]:
    r, s = split_raw(signature)
    check_range(r, s, SM2_ORDER)
    return r, s


def _verify(public_key: bytes, signing_hash: bytes, signature: bytes, _: SigningContext) -> None:
    _check_key(public_key)
    der = encode_dss_signature(*_parse(signature))
    try:
        holds: bool = sm2_verify(public_key, signing_hash, der, SM2_SIGNER_ID)
    except GmsslInnerError:
        holds = False
    if not holds:
        raise does_not_verify()


SCHEME: Final = Scheme(SM2, "sm2", 64, 64, _check_key, _parse, _verify)
