"""WebAuthn assertions with ES256 (passkeys): scheme 1.

They are checked by the "limited verification algorithm" (Web Authentication Level 3, section 5.8.1.2): client
data is compared byte by byte with the prefix that a conforming browser must write, and never given to a JSON
parser.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import rlp_encode_bytes, rlp_encode_list, rlp_outer_list, rlp_split, sha256
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.schemes.ecdsa import check_p256_key, parse_p256, verify_p256
from node.chain.schemes.scheme import Scheme, SigningContext

WEBAUTHN_ES256: Final = 1

MAX_CLIENT_DATA_BYTES: Final = 1_024
MAX_ORIGIN_BYTES: Final = 256
MAX_EXTENSION_BYTES: Final = 512

_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_BACKUP_ELIGIBLE: Final = 0x08
_BACKED_UP: Final = 0x10
_ATTESTED_DATA: Final = 0x40
_EXTENSION_DATA: Final = 0x80
_VERIFIED_MEMBERS: Final = (b'"type"', b'"challenge"', b'"origin"', b'"crossOrigin"')
_ORIGIN_ALPHABET: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789:/.-_[]")


@dataclass(frozen=True, slots=True)
class WebAuthnAssertion:
    """The parts of the signature field of scheme 1: rlp([authenticator_data, client_data_json, r || s])."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    def encode(self) -> bytes:
        parts = (self.authenticator_data, self.client_data, self.signature)
        return rlp_encode_list(rlp_encode_bytes(part) for part in parts)


def decode_assertion(signature: bytes) -> WebAuthnAssertion:
    """The signature field of scheme 1. Raises SignatureRefused signature.*."""
    try:
        _, start, end = rlp_outer_list(signature, 0)
        items = rlp_split(signature, start, end, 4)
    except DecodeError as error:
        raise SignatureRefused("signature.not_assertion", error.message, error.got, error.expected) from None
    if len(items) != 3 or any(is_list for is_list, _, _ in items):
        raise SignatureRefused(
            "signature.not_assertion", "an assertion has three byte strings", len(items), 3
        )
    parts = [signature[item_start:item_end] for _, item_start, item_end in items]
    parse_p256(parts[2])
    return WebAuthnAssertion(parts[0], parts[1], parts[2])


def client_data_prefix(signing_hash: bytes) -> bytes:
    """How client data of an assertion over `signing_hash` begins, up to the origin."""
    challenge = base64.urlsafe_b64encode(signing_hash).rstrip(b"=")
    return b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"'


def _verify_webauthn(
    public_key: bytes, signing_hash: bytes, signature: bytes, context: SigningContext
) -> None:
    assertion = decode_assertion(signature)
    _check_authenticator_data(assertion.authenticator_data, context)
    origin = _origin_of(assertion.client_data, signing_hash)
    if not context.allows_origin(origin):
        raise SignatureRefused(
            "signature.origin", "the relying party does not list this origin", origin.decode()
        )
    message = assertion.authenticator_data + sha256(assertion.client_data)
    verify_p256(public_key, message, assertion.signature)


def _check_authenticator_data(data: bytes, context: SigningContext) -> None:
    if len(data) < 37:
        raise SignatureRefused(
            "signature.authenticator_data", "authenticator data is too short", len(data), 37
        )
    if data[:32] != context.rp_id_hash:
        raise SignatureRefused("signature.rp_id", "signed for another rp id", data[:32], context.rp_id_hash)
    flags = data[32]
    if not flags & _USER_PRESENT:
        raise SignatureRefused("signature.user_not_present", "the user was not present", flags)
    if not flags & _USER_VERIFIED:
        raise SignatureRefused("signature.user_not_verified", "the user was not verified", flags)
    if flags & _BACKED_UP and not flags & _BACKUP_ELIGIBLE:
        raise SignatureRefused("signature.authenticator_data", "backed up, but not eligible for it", flags)
    if flags & _BACKUP_ELIGIBLE and not context.allow_backup_eligible:
        raise SignatureRefused("signature.backup_eligible", "this key must be bound to one device", flags)
    if flags & _ATTESTED_DATA:
        raise SignatureRefused("signature.authenticator_data", "an assertion carries no attested key", flags)
    longest = 37 + MAX_EXTENSION_BYTES if flags & _EXTENSION_DATA else 37
    shortest = 38 if flags & _EXTENSION_DATA else 37
    if not shortest <= len(data) <= longest:
        raise SignatureRefused(
            "signature.authenticator_data",
            "authenticator data has the wrong length",
            len(data),
            [shortest, longest],
        )


def _origin_of(client_data: bytes, signing_hash: bytes) -> bytes:
    if len(client_data) > MAX_CLIENT_DATA_BYTES:
        raise SignatureRefused(
            "signature.client_data", "client data is too large", len(client_data), MAX_CLIENT_DATA_BYTES
        )
    prefix = client_data_prefix(signing_hash)
    if not client_data.startswith(prefix):
        raise SignatureRefused("signature.client_data", "client data is not of this transaction")
    end = client_data.find(b'"', len(prefix))
    origin = client_data[len(prefix) : end] if end >= 0 else b""
    if not 0 < len(origin) <= MAX_ORIGIN_BYTES or not _ORIGIN_ALPHABET.issuperset(origin):
        raise SignatureRefused("signature.origin", "the origin is not a plain origin", len(origin))
    rest = client_data[end:]
    expected = b'","crossOrigin":false'
    if not rest.startswith(expected):
        raise SignatureRefused("signature.client_data", "crossOrigin must follow the origin and be false")
    tail = rest[len(expected) :]
    if tail != b"}" and not (tail.startswith(b",") and tail.endswith(b"}")):
        raise SignatureRefused("signature.client_data", "client data does not end as it should")
    if b"topOrigin" in tail:
        raise SignatureRefused("signature.client_data", "client data names a top origin")
    # A member that stands twice, or whose name hides behind escapes, would read otherwise in a JSON parser.
    if b"\\" in tail or any(name in tail for name in _VERIFIED_MEMBERS):
        raise SignatureRefused("signature.client_data", "what was verified could be read otherwise")
    return origin


SCHEME: Final = Scheme(
    WEBAUTHN_ES256,
    "webauthn-es256",
    64,
    # A list of three byte strings: heads of 3 bytes for the list and for the long strings, of 2 for r || s.
    3 + (3 + 37 + MAX_EXTENSION_BYTES) + (3 + MAX_CLIENT_DATA_BYTES) + (2 + 64),
    check_p256_key,
    decode_assertion,
    _verify_webauthn,
)
