"""A WebAuthn authenticator and browser in software: real creation responses and assertions, made from a key.

For the command line, for tests, and for the demo keys of `shelian signer`. It plays both sides of the
ceremony that a passkey has in a browser: the client collects `clientDataJSON` in the exact serialization of
the specification (WebAuthn Level 3, section 5.8.1.1), the authenticator signs it (section 6.3.3). Its
credentials are bound to the device (not backup-eligible) and come without attestation.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from identity.errors import AuthenticatorError
from identity.keys import WEBAUTHN_P256, KeyPair, p256_private_key
from node.chain.signing import P256_ORDER, WebAuthnAssertion

USER_PRESENT = 0x01
USER_VERIFIED = 0x04
BACKUP_ELIGIBLE = 0x08
ATTESTED_CREDENTIAL = 0x40

AAGUID = bytes(16)
"""No model: an authenticator without attestation."""

_BASE64URL = re.compile(r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a browser hands to the page after `navigator.credentials.get`."""

    credential_id: bytes
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    """DER, as authenticators make it."""

    def as_json(self) -> dict[str, object]:
        """The form of `PublicKeyCredential.toJSON()`."""
        return {
            "id": base64url(self.credential_id),
            "rawId": base64url(self.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "authenticatorData": base64url(self.authenticator_data),
                "clientDataJSON": base64url(self.client_data_json),
                "signature": base64url(self.signature),
            },
        }


@dataclass(frozen=True, slots=True)
class Creation:
    """What a browser hands to the page after `navigator.credentials.create`."""

    credential_id: bytes
    client_data_json: bytes
    attestation_object: bytes

    def as_json(self) -> dict[str, object]:
        """The form of `PublicKeyCredential.toJSON()`."""
        return {
            "id": base64url(self.credential_id),
            "rawId": base64url(self.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(self.client_data_json),
                "attestationObject": base64url(self.attestation_object),
                "transports": ["internal"],
            },
        }


class SoftwareAuthenticator:
    """One credential of one relying party, with its signature counter."""

    def __init__(self, key: KeyPair, rp_id: str, *, counter: int = 0) -> None:
        if key.algorithm is not WEBAUTHN_P256 or not key.credential_id:
            raise AuthenticatorError(
                "authenticator.wrong_key", "not a key of the software authenticator", got=key.algorithm.name
            )
        self._key = key
        self._rp_id = rp_id
        self.counter = counter

    def create(self, challenge: bytes, origin: str) -> Creation:
        """Register the credential: attestation `none`, COSE key inside (section 6.5.4 of the specification).

        Raises AuthenticatorError `authenticator.origin`.
        """
        client_data = collect_client_data("webauthn.create", challenge, origin, self._rp_id)
        credential_id = self._key.credential_id
        attested = (
            AAGUID + len(credential_id).to_bytes(2, "big") + credential_id + cose_key(self._key.public_key)
        )
        flags = USER_PRESENT | USER_VERIFIED | ATTESTED_CREDENTIAL
        return Creation(credential_id, client_data, _attestation_none(self._data(flags) + attested))

    def get(self, challenge: bytes, origin: str, *, flags: int = USER_PRESENT | USER_VERIFIED) -> Assertion:
        """Sign a challenge; the counter goes up by one. Raises AuthenticatorError `authenticator.origin`."""
        client_data = collect_client_data("webauthn.get", challenge, origin, self._rp_id)
        self.counter += 1
        data = self._data(flags)
        signed = data + hashlib.sha256(client_data).digest()
        signature = p256_private_key(self._key.secret).sign(signed, ec.ECDSA(hashes.SHA256()))
        return Assertion(self._key.credential_id, data, client_data, signature)

    def _data(self, flags: int) -> bytes:
        rp_id_hash = hashlib.sha256(self._rp_id.encode()).digest()
        return rp_id_hash + bytes([flags]) + self.counter.to_bytes(4, "big")


def collect_client_data(ceremony: str, challenge: bytes, origin: str, rp_id: str) -> bytes:
    """The clientDataJSON bytes that a browser makes for a page at `origin`.

    Raises AuthenticatorError `authenticator.origin`: as in a browser, the origin must be https (or
    localhost) and its host the relying party's id or below it.
    """
    host = urlsplit(origin).hostname or ""
    secure = origin.startswith("https://") or host == "localhost"
    if not (_ORIGIN.fullmatch(origin) and secure and (host == rp_id or host.endswith("." + rp_id))):
        raise AuthenticatorError(
            "authenticator.origin", "the page may not use this credential", got=origin, expected=rp_id
        )
    head = f'{{"type":"{ceremony}","challenge":"{base64url(challenge)}","origin":"{origin}"'
    text = f'{head},"crossOrigin":false}}'
    return text.encode()


def assertion_signature(assertion: Assertion) -> bytes:
    """The `signature` field of a scheme-1 transaction: rlp([authenticatorData, clientDataJSON, r || s])."""
    raw = raw_low_s(assertion.signature)
    return WebAuthnAssertion(assertion.authenticator_data, assertion.client_data_json, raw).encode()


def raw_low_s(der: bytes) -> bytes:
    """A DER ECDSA signature on P-256 as r || s, 64 bytes, with s in the lower half.

    Raises AuthenticatorError `authenticator.signature_form`.
    """
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        r = s = 0
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise AuthenticatorError("authenticator.signature_form", "not a DER signature on P-256", got=der)
    return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


def cose_key(public_key: bytes) -> bytes:
    """A P-256 public key (x || y) as a COSE_Key in the canonical CBOR of CTAP2: kty EC2, alg ES256, crv
    P-256.
    """
    x, y = public_key[:32], public_key[32:]
    return b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y


def _attestation_none(authenticator_data: bytes) -> bytes:
    """The CBOR map {"fmt": "none", "attStmt": {}, "authData": bytes}."""
    size = len(authenticator_data)
    head = b"\x58" + size.to_bytes(1, "big") if size < 256 else b"\x59" + size.to_bytes(2, "big")
    return b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData" + head + authenticator_data


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5), as WebAuthn writes bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """The bytes of base64url without padding. Raises AuthenticatorError `authenticator.base64url`."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _BASE64URL.fullmatch(text) else b""
    if base64url(data) != text:
        raise AuthenticatorError("authenticator.base64url", "not base64url without padding", got=text)
    return data
