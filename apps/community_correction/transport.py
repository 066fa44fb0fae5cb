"""Signed requests between agencies' processes: HTTP Message Signatures (RFC 9421) with the agency's service
key.

The key that signs is the one the agency's service sends transactions with, so who signed is looked up on
the chain: the account must be an active SERVICE credential of an organisation, and a revoked key stops
working at once. The signature algorithm follows from the key (RFC 9421 section 3.2, "alg" is left out):
ECDSA on secp256k1 over SHA-256, 65 bytes r, s, recovery id; `keyid` is the 0x address. Covered: method,
authority, path, query, content digest (RFC 9530, SHA-256); `created` may be 300 s off. What a request asks
for can be asked twice without harm, so a replay inside that time changes nothing.

Each agency asks its own node, and one may be some blocks behind another: `Shelian-Block` says how far the
caller has read the chain, so that the other side reads as far before it judges. It is a hint and not signed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from coincurve import PrivateKey, PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from apps.community_correction.chain_view import SERVICE_ROLE, ChainView
from node.chain.encoding import keccak256
from node.chain.errors import ShelianError

TAG = "shelian-agency"
MAX_AGE = timedelta(seconds=300)
COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
HEIGHT_HEADER = "Shelian-Block"
_CHUNK = 1 << 16


class TransportError(ShelianError):
    """A request between agencies that is not signed by an agency's service, or was not answered."""


class _Secp256k1(HTTPSignatureAlgorithm):
    algorithm_id = "ecdsa-secp256k1-sha256"

    def __init__(self, public_key: bytes | None = None, private_key: bytes | None = None) -> None:
        self._address = public_key
        self._secret = private_key

    def sign(self, message: bytes) -> bytes:
        if self._secret is None:
            raise ValueError("no key to sign with")
        return PrivateKey(self._secret).sign_recoverable(message)

    def verify(self, signature: bytes, message: bytes) -> None:
        point = PublicKey.from_signature_and_message(signature, message).format(compressed=False)
        if keccak256(point[1:])[12:] != self._address:
            raise ValueError("signed by another key")


class _OwnKey(HTTPSignatureKeyResolver):
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def resolve_private_key(self, key_id: str) -> bytes:
        return self._secret


class _AddressKey(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> bytes:
        address = bytes.fromhex(key_id.removeprefix("0x"))
        if len(address) != 20 or key_id != "0x" + address.hex():
            raise ValueError("not an address")
        return address


def content_digest(sha256: bytes) -> str:
    """The Content-Digest field (RFC 9530) for a body with this SHA-256."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


@dataclass
class _Message:
    """A request as the signature library wants to see one."""

    method: str
    url: str
    headers: dict[str, str]


class AgencyClient:
    """Calls another agency's service, every request signed. `height`: how far this side has read the
    chain."""

    def __init__(
        self, service_key: bytes, *, height: Callable[[], int] = lambda: 0, timeout_s: float = 30.0
    ) -> None:
        self._height = height
        self._http = httpx.Client(timeout=timeout_s, trust_env=False)
        self._signer = HTTPMessageSigner(signature_algorithm=_Secp256k1, key_resolver=_OwnKey(service_key))
        public = PrivateKey(service_key).public_key.format(compressed=False)
        self._key_id = "0x" + keccak256(public[1:])[12:].hex()

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        size: int | None = None,
        sha256: bytes | None = None,
    ) -> httpx.Response:
        """One signed request; for a streamed `body`, its size and SHA-256 are known beforehand.

        TransportError transport.unreachable, or with the other side's code when it refuses.
        """
        if isinstance(body, bytes):
            size, sha256 = len(body), hashlib.sha256(body).digest()
        if size is None or sha256 is None:
            raise TransportError("transport.unsized", "a streamed body needs its size and hash")
        headers = {
            "Host": urlsplit(url).netloc,
            "Content-Length": str(size),
            "Content-Digest": content_digest(sha256),
        }
        message = _Message(method, url, headers)
        self._signer.sign(
            message,
            key_id=self._key_id,
            created=datetime.now(UTC),
            tag=TAG,
            include_alg=False,
            use_existing_digest=True,
            covered_component_ids=COVERED,
        )
        try:
            response = self._http.request(
                method, url, content=body, headers=message.headers | {HEIGHT_HEADER: str(self._height())}
            )
        except httpx.HTTPError as error:
            raise TransportError("transport.unreachable", f"{type(error).__name__}", got=url) from error
        if response.status_code >= 400:
            raise _refusal(response)
        return response


def _refusal(response: httpx.Response) -> TransportError:
    try:
        answer: Any = response.json()
        return TransportError(str(answer["code"]), str(answer.get("message", "")), got=response.status_code)
    except (ValueError, KeyError, TypeError):
        return TransportError(
            "transport.bad_answer", "the other service answered oddly", got=response.status_code
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """The agency whose service signed a request."""

    organisation: int
    address: bytes


def verify_caller(chain: ChainView, method: str, url: str, headers: Mapping[str, str]) -> Caller:
    """Who signed this request. The body is not looked at: its reader compares it with the signed
    Content-Digest (`signed_digest`).

    1. Exactly one signature of ours, covering method, authority, path, query and digest, not older than
       300 s.
    2. It recovers to the address in `keyid`.
    3. That account is now an active SERVICE credential; its organisation is the caller. Raises
       TransportError transport.unsigned, transport.not_a_service.
    """
    message = _Message(method, url, {name.title(): value for name, value in headers.items()})
    verifier = HTTPMessageVerifier(signature_algorithm=_Secp256k1, key_resolver=_AddressKey())
    try:
        (result,) = verifier.verify(message, max_age=MAX_AGE, expect_tag=TAG, require_components=COVERED)
        address = bytes.fromhex(str(result.parameters["keyid"])[2:])
    except (HTTPMessageSignaturesException, ValueError, KeyError) as error:
        raise TransportError("transport.unsigned", f"no valid signature: {error}") from error
    standing = chain.standing(address)
    if standing is None or not standing.roles & SERVICE_ROLE:
        raise TransportError("transport.not_a_service", "the key is no agency's service", got=address)
    return Caller(standing.organisation, address)


def told_height(headers: Mapping[str, str]) -> int:
    """How far the caller has read the chain; 0 if it does not say."""
    value = headers.get(HEIGHT_HEADER.lower(), "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0


def signed_digest(headers: Mapping[str, str]) -> bytes:
    """The SHA-256 in a request's Content-Digest. TransportError transport.unsigned."""
    value = headers.get("content-digest", "")
    try:
        if not value.startswith("sha-256=:") or not value.endswith(":"):
            raise ValueError("form")
        digest = base64.b64decode(value[9:-1], validate=True)
        if len(digest) != 32:
            raise ValueError("length")
    except ValueError:
        raise TransportError("transport.unsigned", "no SHA-256 content digest", got=value[:80]) from None
    return digest


def chunks(source: Any) -> Iterable[bytes]:
    """A file's bytes, piece by piece."""
    while data := source.read(_CHUNK):
        yield data
