"""Makes real WebAuthn assertions and 0x49 transactions with software keys, part by part."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from nacl.signing import SigningKey

from node.chain.signing import P256_ORDER, SigningContext, WebAuthnAssertion
from node.chain.transaction import Call, ImiTransaction, UnsignedImi, build_imi

P256_KEY = ec.derive_private_key(
    int.from_bytes(hashlib.sha256(b"synthetic clerk").digest(), "big"), ec.SECP256R1()
)
_numbers = P256_KEY.public_key().public_numbers()
P256_PUBLIC = _numbers.x.to_bytes(32, "big") + _numbers.y.to_bytes(32, "big")
ED25519_KEY = SigningKey(hashlib.sha256(b"synthetic signer").digest())
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
