"""WebAuthn assertions: the limited verification algorithm against a reading as JSON.

An input is a byte and `rlp([authenticator data, client data, anything])`; the client data is signed, with
the authenticator data, by a real P-256 key, so that nothing but the parsing decides. Whatever is accepted
must mean the same to somebody who reads it by the book: the flags and the rp id hash bit by bit, and the
client data by every JSON parser there is. What is refused is refused with SignatureRefused.

Signing costs more than parsing, so an assertion with an empty promise of a signature goes first: it must
fail, and only if the signature is what it fails for is it signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from random import Random

import rlp
from rlp.exceptions import RLPException

from node.chain.errors import SignatureRefused
from node.chain.signing import (
    WEBAUTHN_ES256,
    SigningContext,
    WebAuthnAssertion,
    check_form,
    client_data_prefix,
    verify,
)
from node.chain.transaction import Call, ImiTransaction, build_imi
from tests.fuzz.mutators import Havoc, mutate_rlp
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import RP_ID_HASH, _p256_public, _sign_p256

SECRET = hashlib.sha256(b"fuzz webauthn").digest()
UNSIGNED = build_imi(
    chain_id=1234,
    nonce=7,
    valid_until=1_800_000_000,
    gas_limit=900_000,
    calls=[Call(b"\x51" * 20, b"\x01\x02\x03\x04")],
    scheme=WEBAUTHN_ES256,
    public_key=_p256_public(SECRET),
)
HASH = UNSIGNED.signing_hash
CHALLENGE = base64.urlsafe_b64encode(HASH).rstrip(b"=").decode()
ORIGINS = frozenset({b"http://localhost:8600", b"https://sign.example"})
EMPTY_PROMISE = (1).to_bytes(32, "big") * 2
"""r = s = 1: of the right form, and no signature of anything."""


def one_input(data: bytes) -> None:
    try:
        authenticator_data, client_data, third = rlp.decode(data[1:], strict=True)
    except (RLPException, ValueError):
        if data:
            _refused(data[1:], strict=True)
        return
    if not all(isinstance(part, bytes) for part in (authenticator_data, client_data)):
        _refused(data[1:], strict=True)
        return
    if data[0] & 2 or not isinstance(third, bytes):
        _refused(data[1:], strict=False)
        return
    strict = bool(data[0] & 1)
    promised = WebAuthnAssertion(authenticator_data, client_data, EMPTY_PROMISE).encode()
    if _refused(promised, strict) != "signature.does_not_verify":
        return
    message = authenticator_data + hashlib.sha256(client_data).digest()
    verify(
        _transaction(
            WebAuthnAssertion(authenticator_data, client_data, _sign_p256(SECRET, message)).encode()
        ),
        _context(strict),
    )
    _read_by_the_book(authenticator_data, client_data, strict)


def _context(strict: bool) -> SigningContext:
    return SigningContext(RP_ID_HASH, ORIGINS.__contains__, allow_backup_eligible=not strict)


def _transaction(signature: bytes) -> ImiTransaction:
    return UNSIGNED.with_signature(signature)


def _refused(signature: bytes, strict: bool) -> str:
    """The code with which this signature, which nobody made, is refused."""
    if len(signature) > 8_000:
        return "too large for a transaction"
    tx = _transaction(signature)
    try:
        check_form(tx)
        verify(tx, _context(strict))
    except SignatureRefused as error:
        check_refusal(error)
        return error.code
    raise AssertionError("accepted without a signature")


def _read_by_the_book(authenticator_data: bytes, client_data: bytes, strict: bool) -> None:
    flags = authenticator_data[32]
    present, verified, eligible, backed_up, attested, extended = (
        flags >> bit & 1 for bit in (0, 2, 3, 4, 6, 7)
    )
    assert authenticator_data[:32] == hashlib.sha256(b"localhost").digest()
    assert present
    assert verified
    assert eligible or not backed_up
    assert not (strict and eligible)
    assert not attested
    assert len(authenticator_data) > 37 if extended else len(authenticator_data) == 37
    assert len(client_data) <= 1_024
    try:
        first = json.loads(client_data, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        last = json.loads(client_data)
    except (ValueError, RecursionError):
        return  # nobody who reads JSON can read something else into it
    # Of a key that stands twice some parsers keep the first, some the last.
    for reading in (first, last):
        assert reading["type"] == "webauthn.get"
        assert reading["challenge"] == CHALLENGE
        assert reading["origin"].encode() in ORIGINS
        assert reading["crossOrigin"] is False
        assert "topOrigin" not in reading


def mutate(data: bytes, random: Random, havoc: Havoc) -> bytes:
    if random.random() < 0.3:
        try:
            parts = rlp.decode(data[1:], strict=False)
        except (RLPException, OverflowError):
            return havoc(data)
        if isinstance(parts, list) and len(parts) > 1 and isinstance(parts[1], bytes):
            place = parts[1].rfind(b"}") if random.random() < 0.7 else random.randrange(len(parts[1]) + 1)
            parts[1] = parts[1][: max(place, 0)] + random.choice(_MEMBERS) + parts[1][max(place, 0) :]
            return data[:1] + rlp.encode(parts)
    return mutate_rlp(data, random, havoc)


_MEMBERS = (
    b',"topOrigin":"https://evil.example"', b',"topOrigin":null',
    b',"top\\u004frigin":"https://evil.example"',
    b',"crossOrigin":true', b',"crossOrigin" : true', b',"cross\\u004frigin":true',
    b',"type":"webauthn.create"',
    b',"t\\u0079pe":"payment.get"', b',"challenge":"AAAA"', b',"origin":"https://evil.example"',
    b',"x":{"y":[1]}',
    b',"tokenBinding":{"status":"supported"}', b',"other_keys_can_be_added_here":"do not compare"', b",",
    b"}", b'"',
    b"\\", b" ", b"\x00", b"\xff", b',"":0',
)  # fmt: skip


def seeds() -> Iterator[bytes]:
    counter = bytes(4)
    tails = [b"}", *(member + b"}" for member in _MEMBERS if member.startswith(b',"'))]
    for strict in (0, 1):
        for flags in (0x05, 0x0D, 0x1D, 0x01, 0x04, 0x45, 0x15):
            yield _seed(strict, RP_ID_HASH + bytes((flags,)) + counter, b"}")
        yield _seed(strict, RP_ID_HASH + b"\x85" + counter + b"\xa1\x61a\x01", b"}")
        for tail in tails:
            yield _seed(strict, RP_ID_HASH + b"\x05" + counter, tail)
    yield _seed(0, RP_ID_HASH + b"\x05" + counter, b"}", b"https://sign.example")
    yield _seed(2, RP_ID_HASH + b"\x05" + counter, b"}", b"https://evil.example")


def _seed(
    kind: int, authenticator_data: bytes, tail: bytes, origin: bytes = b"http://localhost:8600"
) -> bytes:
    client_data = client_data_prefix(HASH) + origin + b'","crossOrigin":false' + tail
    return bytes((kind,)) + WebAuthnAssertion(authenticator_data, client_data, EMPTY_PROMISE).encode()
