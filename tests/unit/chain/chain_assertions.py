"""Makes real WebAuthn assertions and 0x49 transactions with software keys, part by part."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gmssl_pyx import sm2_sign
from nacl.signing import SigningKey

from node.chain.signing import P256_ORDER, SigningContext, WebAuthnAssertion
from node.chain.transaction import Call, ImiTransaction, UnsignedImi, build_imi

P256_KEY = ec.derive_private_key(
    int.from_bytes(hashlib.sha256(b"synthetic clerk").digest(), "big"), ec.SECP256R1()
)
_numbers = P256_KEY.public_key().public_numbers()
P256_PUBLIC = _numbers.x.to_bytes(32, "big") + _numbers.y.to_bytes(32, "big")
ED25519_KEY = SigningKey(hashlib.sha256(b"synthetic signer").digest())
# The key pair of the example in GB/T 32918.5-2017, annex A.
SM2_SECRET = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
SM2_PUBLIC = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
ML_DSA_KEY = MLDSA65PrivateKey.from_seed_bytes(hashlib.sha256(b"synthetic archivist").digest())
ML_DSA_PUBLIC = ML_DSA_KEY.public_key().public_bytes_raw()
RP_ID_HASH = hashlib.sha256(b"localhost").digest()
ORIGIN = b"http://localhost:8600"
STAFF = SigningContext(RP_ID_HASH, lambda origin: origin == ORIGIN, allow_backup_eligible=False)
RESIDENT = SigningContext(RP_ID_HASH, lambda origin: origin == ORIGIN, allow_backup_eligible=True)

FLAGS = 0x05


def unsigned(scheme: int, public_key: bytes) -> UnsignedImi:
    return build_imi(
        chain_id=1234,
        nonce=7,
        valid_until=1_800_000_000,
        gas_limit=900_000,
        calls=[Call(bytes([0x51] * 20), b"\x01\x02\x03\x04"), Call(bytes([0x52] * 20), b"")],
        scheme=scheme,
        public_key=public_key,
    )


def p256_signature(message: bytes, *, low: bool = True) -> bytes:
    r, s = decode_dss_signature(P256_KEY.sign(message, ec.ECDSA(hashes.SHA256())))
    if (s > P256_ORDER // 2) == low:
        s = P256_ORDER - s
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def client_data(
    challenge: bytes,
    *,
    kind: str = "webauthn.get",
    origin: bytes = ORIGIN,
    cross_origin: str = "false",
    tail: bytes = b"}",
) -> bytes:
    encoded = base64.urlsafe_b64encode(challenge).rstrip(b"=")
    return (
        b'{"type":"' + kind.encode() + b'","challenge":"' + encoded + b'","origin":"' + origin
        + b'","crossOrigin":' + cross_origin.encode() + tail
    )  # fmt: skip


def authenticator_data(*, rp_id_hash: bytes = RP_ID_HASH, flags: int = FLAGS, extra: bytes = b"") -> bytes:
    return rp_id_hash + bytes((flags,)) + bytes(4) + extra


@dataclass(frozen=True)
class Parts:
    """What an authenticator was asked to sign, before it signs."""

    authenticator_data: bytes
    client_data: bytes

    def sign(self) -> bytes:
        message = self.authenticator_data + hashlib.sha256(self.client_data).digest()
        return WebAuthnAssertion(self.authenticator_data, self.client_data, p256_signature(message)).encode()


def webauthn_transaction(change: Callable[[Parts], Parts] = lambda parts: parts) -> ImiTransaction:
    """A transaction whose assertion is truly signed over the parts that `change` left."""
    body = unsigned(1, P256_PUBLIC)
    return body.with_signature(change(Parts(authenticator_data(), client_data(body.signing_hash))).sign())


def ed25519_transaction() -> ImiTransaction:
    body = unsigned(2, bytes(ED25519_KEY.verify_key))
    return body.with_signature(ED25519_KEY.sign(body.signing_hash).signature)


def es256_transaction() -> ImiTransaction:
    body = unsigned(3, P256_PUBLIC)
    return body.with_signature(p256_signature(body.signing_hash))


def sm2_signature(message: bytes) -> bytes:
    r, s = decode_dss_signature(sm2_sign(SM2_SECRET, SM2_PUBLIC, message))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sm2_transaction() -> ImiTransaction:
    body = unsigned(4, SM2_PUBLIC)
    return body.with_signature(sm2_signature(body.signing_hash))


def ml_dsa_transaction() -> ImiTransaction:
    body = unsigned(5, ML_DSA_PUBLIC)
    return body.with_signature(ML_DSA_KEY.sign(body.signing_hash))
