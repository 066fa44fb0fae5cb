"""SM2 (GB/T 32918.2, the recommended curve of GB/T 32918.5) with SM3: scheme 4.

Signer id "1234567812345678" (GM/T 0009), message = the 32-byte signing hash, so e = SM3(Z_A || signing hash).
The key is raw x || y, the signature raw r || s.

There is no "low s" here, and none is needed. SM2 verifies r = e + x1 mod n with (x1, y1) = sG + (r + s)P and
P = dG. A second s' for the same r has to hit the same x1, so the negated point: s'(1 + d) + rd =
-(s(1 + d) + rd), that is s' = -s - 2rd / (1 + d). From s' and s anybody could compute d: so only the owner of
the key can make another form, as they can always sign once more. ECDSA differs in that its other form is -s,
free for all to compute.

GmSSL takes 0 for the x of the point at infinity, so that r = e mod n passes with s = -rd / (1 + d): a
signature with k = 0, which the standard forbids, other programs refuse, and from which anybody computes d. No
true signature with r = e mod n can be made (its x1 would be 0 or n, points of which no k is known), so r = e
mod n is refused here.

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
    sm2_verify_sm3_digest,
    sm3_hash,
)

from node.chain.errors import SignatureRefused
from node.chain.schemes.ecdsa import check_range, split_raw
from node.chain.schemes.scheme import Scheme, SigningContext, does_not_verify

SM2: Final = 4

SM2_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_SIGNER_ID: Final = b"1234567812345678"

# What Z_A is the hash of, up to the key: bits of the id, id, a and b of the curve, x and y of its base point.
_Z_PREFIX: Final = (
    (len(SM2_SIGNER_ID) * 8).to_bytes(2, "big")
    + SM2_SIGNER_ID
    + bytes.fromhex(
        "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
        "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
        "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
        "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
    )
)


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
    r, s = _parse(signature)
    digest: bytes = sm3_hash(sm3_hash(_Z_PREFIX + public_key) + signing_hash)
    if r == int.from_bytes(digest, "big") % SM2_ORDER:
        raise does_not_verify()
    try:
        holds: bool = sm2_verify_sm3_digest(public_key, digest, encode_dss_signature(r, s))
    except GmsslInnerError:
        holds = False
    if not holds:
        raise does_not_verify()


SCHEME: Final = Scheme(SM2, "sm2", 64, 64, _check_key, _parse, _verify)
