"""Key pairs by algorithm, and what can be signed with them.

| algorithm | transaction scheme | secret | public key | used by |
|---|---|---|---|---|
| secp256k1 | 0 (types 0, 1, 2) | 32 | 64, x‖y | services, operators, tools |
| webauthn-p256 | 1 | 32 | 64, x‖y | the software authenticator |
| ed25519 | 2 | 32 | 32 | the signer |
| es256 | 3 | 32 | 64, x‖y | the signer |
| sm2 | 4 | 32 | 64, x‖y | the signer |
| ml-dsa-65 | 5 | 32, the seed of FIPS 204 | 1,952 | the signer |
| x25519 | none | 32 | 32 | an agency's encryption key for sealed documents |

The public key follows from the secret, except for SM2, whose library does not compute it: there the two are
made together, kept together, and proven to belong together by a signature.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import coincurve
import nacl.utils
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from gmssl_pyx import (  # type: ignore[import-untyped]
    GmsslInnerError,
    sm2_key_generate,
    sm2_sign,
    sm2_verify,
)
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from identity.errors import KeyFileError
from node.chain.encoding import keccak256
from node.chain.signing import P256_ORDER, SECP256K1_ORDER, SM2_ORDER, SM2_SIGNER_ID, imi_sender

RandomBytes = Callable[[int], bytes]

_ANY_32_BYTES = 1 << 256


@dataclass(frozen=True, slots=True)
class KeyAlgorithm:
    """One kind of key. `scheme` is the transaction scheme it signs for, None if it cannot sign."""

    name: str
    scheme: int | None
    bound: int
    """A secret is 32 bytes, as a big-endian number from 1 to `bound` - 1."""
    public_key_of: Callable[[bytes], bytes] | None
    """None for SM2."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key of one person, service or agency. `secret` does not appear in its representation."""

    algorithm: KeyAlgorithm
    secret: bytes = field(repr=False)
    public_key: bytes
    credential_id: bytes = b""
    """WebAuthn credential id; empty for the other algorithms."""

    @property
    def scheme(self) -> int:
        """The transaction scheme. Raises KeyFileError `key.cannot_sign` for an encryption key."""
        return scheme_of(self.algorithm)

    @property
    def address(self) -> bytes:
        """The 20-byte sender address of this key. Raises KeyFileError `key.cannot_sign` for an encryption
        key.
        """
        return address_of(self.algorithm, self.public_key)


def _secp256k1_public(secret: bytes) -> bytes:
    return coincurve.PrivateKey(secret).public_key.format(compressed=False)[1:]


def p256_private_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key object of a 32-byte secret scalar."""
    return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())


def _p256_public(secret: bytes) -> bytes:
    point = p256_private_key(secret).public_key().public_numbers()
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


SECP256K1 = KeyAlgorithm("secp256k1", 0, SECP256K1_ORDER, _secp256k1_public)
WEBAUTHN_P256 = KeyAlgorithm("webauthn-p256", 1, P256_ORDER, _p256_public)
ED25519 = KeyAlgorithm("ed25519", 2, _ANY_32_BYTES, lambda secret: bytes(SigningKey(secret).verify_key))
ES256 = KeyAlgorithm("es256", 3, P256_ORDER, _p256_public)
SM2 = KeyAlgorithm("sm2", 4, SM2_ORDER - 1, None)
ML_DSA_65 = KeyAlgorithm(
    "ml-dsa-65",
    5,
    _ANY_32_BYTES,
    lambda seed: MLDSA65PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw(),
)
X25519 = KeyAlgorithm("x25519", None, _ANY_32_BYTES, lambda secret: bytes(PrivateKey(secret).public_key))

KEY_ALGORITHMS: Mapping[str, KeyAlgorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (SECP256K1, WEBAUTHN_P256, ED25519, ES256, SM2, ML_DSA_65, X25519)
    }
)


def address_of(algorithm: KeyAlgorithm, public_key: bytes) -> bytes:
    """The 20-byte sender address of a public key. Raises KeyFileError `key.cannot_sign` for an encryption
    key.
    """
    scheme = scheme_of(algorithm)
    return keccak256(public_key)[12:] if scheme == 0 else imi_sender(scheme, public_key)


def scheme_of(algorithm: KeyAlgorithm) -> int:
    """The transaction scheme of an algorithm. Raises KeyFileError `key.cannot_sign` if it has none."""
    if algorithm.scheme is None:
        raise KeyFileError("key.cannot_sign", "an encryption key does not sign", got=algorithm.name)
    return algorithm.scheme


def key_pair(
    algorithm: KeyAlgorithm, secret: bytes, credential_id: bytes = b"", *, public_key: bytes = b""
) -> KeyPair:
    """The key pair of a 32-byte secret. For SM2 `public_key` must be given; elsewhere it is computed.

    Raises KeyFileError `key.bad_secret` for a secret out of range, `key.tampered` for an SM2 public key that
    is not the secret's.
    """
    if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < algorithm.bound:
        raise KeyFileError("key.bad_secret", "not a secret of this algorithm", expected=algorithm.name)
    if algorithm.public_key_of is not None:
        public_key = algorithm.public_key_of(secret)
    elif not _is_sm2_pair(secret, public_key):
        raise KeyFileError("key.tampered", "the secret does not belong to the public key", got=public_key)
    return KeyPair(algorithm, secret, public_key, credential_id)


def generate_key(algorithm: KeyAlgorithm, random_bytes: RandomBytes = nacl.utils.random) -> KeyPair:
    """A new key; a software authenticator's key also gets a random 32-byte credential id.

    An SM2 key comes from its library's own random numbers.
    """
    if algorithm is SM2:
        public_key, private_key = sm2_key_generate()
        return key_pair(SM2, private_key, public_key=public_key)
    secret = random_bytes(32)
    while not 0 < int.from_bytes(secret, "big") < algorithm.bound:
        secret = random_bytes(32)
    return key_pair(algorithm, secret, random_bytes(32) if algorithm is WEBAUTHN_P256 else b"")


def _is_sm2_pair(secret: bytes, public_key: bytes) -> bool:
    message = keccak256(public_key)
    try:
        signature = sm2_sign(secret, public_key, message, SM2_SIGNER_ID)
        return bool(sm2_verify(public_key, message, signature, SM2_SIGNER_ID))
    except GmsslInnerError:
        return False
