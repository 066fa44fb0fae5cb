"""Signing transactions with a key at hand: what the signer, services and tests do; passkeys sign in the
browser.
"""

from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gmssl_pyx import sm2_sign  # type: ignore[import-untyped]
from nacl.signing import SigningKey

from identity.authenticator import SoftwareAuthenticator, assertion_signature, raw_low_s
from identity.errors import KeyFileError
from identity.keys import (
    ED25519,
    ES256,
    ML_DSA_65,
    SECP256K1,
    SM2,
    WEBAUTHN_P256,
    KeyPair,
    p256_private_key,
)
from node.chain.signing import SM2_SIGNER_ID
from node.chain.transaction import EthereumTransaction, ImiTransaction, UnsignedEthereum, UnsignedImi


def sign_imi(key: KeyPair, unsigned: UnsignedImi, *, origin: str, rp_id: str) -> ImiTransaction:
    """Sign a 0x49 transaction with the key it names.

    `origin` and `rp_id` say on which page and for which relying party a software authenticator signs; the
    other schemes sign the hash alone. Raises KeyFileError `key.other_key`, AuthenticatorError, DecodeError.
    """
    if (unsigned.scheme, unsigned.public_key) != (key.algorithm.scheme, key.public_key):
        raise KeyFileError(
            "key.other_key",
            "the transaction names another key",
            got=[unsigned.scheme, unsigned.public_key],
            expected=[key.algorithm.scheme, key.public_key],
        )
    return unsigned.with_signature(sign_hash(key, unsigned.signing_hash, origin=origin, rp_id=rp_id))


def sign_hash(key: KeyPair, signing_hash: bytes, *, origin: str, rp_id: str) -> bytes:
    """The `signature` field of a 0x49 transaction over a 32-byte signing hash.

    Raises KeyFileError `key.cannot_sign` for a key of another kind, AuthenticatorError.
    """
    if key.algorithm is WEBAUTHN_P256:
        return assertion_signature(SoftwareAuthenticator(key, rp_id).get(signing_hash, origin))
    if key.algorithm is ED25519:
        return SigningKey(key.secret).sign(signing_hash).signature
    if key.algorithm is ES256:
        return raw_low_s(p256_private_key(key.secret).sign(signing_hash, ec.ECDSA(hashes.SHA256())))
    if key.algorithm is SM2:
        r, s = decode_dss_signature(sm2_sign(key.secret, key.public_key, signing_hash, SM2_SIGNER_ID))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if key.algorithm is ML_DSA_65:
        return MLDSA65PrivateKey.from_seed_bytes(key.secret).sign(signing_hash)
    raise KeyFileError(
        "key.cannot_sign",
        "this key does not sign transactions of type 0x49",
        got=key.algorithm.name,
        expected=[algorithm.name for algorithm in (WEBAUTHN_P256, ED25519, ES256, SM2, ML_DSA_65)],
    )


def sign_ethereum(key: KeyPair, unsigned: UnsignedEthereum) -> EthereumTransaction:
    """Sign a transaction of type 0, 1 or 2 with a service's key. Raises KeyFileError `key.cannot_sign`."""
    if key.algorithm is not SECP256K1:
        raise KeyFileError(
            "key.cannot_sign",
            "this key does not sign Ethereum transactions",
            got=key.algorithm.name,
            expected=SECP256K1.name,
        )
    compact = PrivateKey(key.secret).sign_recoverable(unsigned.signing_hash, hasher=None)
    r, s = int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")
    return unsigned.with_signature(compact[64], r, s)
