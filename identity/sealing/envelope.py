"""How a document secret reaches the recipient agencies: one sealed copy for each, by a registered algorithm.

The sealed copies stand beside the manifest, not in it: rotating a key or adding a copy changes no hash on
the chain. A sealed copy is bound to its manifest by the manifest's `secret_check`, which `open_secret`
compares.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hmac import compare_digest
from types import MappingProxyType
from typing import Any

import nacl.exceptions
from nacl.bindings import crypto_generichash_blake2b_salt_personal
from nacl.public import Box, PrivateKey, PublicKey, SealedBox

from identity.errors import SealError
from identity.sealing.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_RECIPIENTS,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from identity.sealing.secrets import SECRET_BYTES, secret_check
from identity.sealing.stream import RandomBytes
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError

FORMAT = "shelian-envelope/1"
_KEYS_BYTES = 65_536
"""Room for the sealed copies in an encoded envelope, beside the manifest."""
_HEX = re.compile(r"0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to seal a document secret to an agency."""

    number: int
    name: str
    public_key_bytes: int
    sealed_bytes: int
    seal: Callable[[bytes, bytes, RandomBytes], bytes]
    """(public key, secret, randomness) -> sealed secret"""
    open: Callable[[bytes, bytes], bytes]
    """(private key, sealed secret) -> secret; raises SealError `seal.wrong_key`"""
    public_key_of: Callable[[bytes], bytes]
    """private key -> public key"""


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """An agency's public encryption key, as it stands on the chain."""

    organisation: int
    algorithm: int
    public_key: bytes


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """The document secret sealed to one recipient's key."""

    recipient: int
    algorithm: int
    public_key: bytes
    """The key it is sealed to, so that a holder of several knows which one opens it."""
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A manifest and the sealed copies of its document secret, in the order of their recipients."""

    manifest: Manifest
    keys: tuple[SealedSecret, ...]


def _seal_x25519(public_key: bytes, secret: bytes, random_bytes: RandomBytes) -> bytes:
    """libsodium's sealed box with the ephemeral key drawn from `random_bytes`: epk || box, nonce
    BLAKE2b-192(epk || pk).
    """
    ephemeral = PrivateKey(random_bytes(PrivateKey.SIZE))
    ephemeral_public = bytes(ephemeral.public_key)
    nonce = crypto_generichash_blake2b_salt_personal(
        ephemeral_public + public_key, digest_size=Box.NONCE_SIZE
    )
    return ephemeral_public + Box(ephemeral, PublicKey(public_key)).encrypt(secret, nonce).ciphertext


def _open_x25519(private_key: bytes, sealed: bytes) -> bytes:
    try:
        return SealedBox(PrivateKey(private_key)).decrypt(sealed)
    except nacl.exceptions.CryptoError:
        raise _wrong_key("the sealed secret does not open with this key") from None


ALGORITHMS: Mapping[int, Algorithm] = MappingProxyType(
    {
        1: Algorithm(
            number=1,
            name="x25519-sealed-box",
            public_key_bytes=32,
            sealed_bytes=32 + 16 + SECRET_BYTES,
            seal=_seal_x25519,
            open=_open_x25519,
            public_key_of=lambda private_key: bytes(PrivateKey(private_key).public_key),
        ),
    }
)
"""Envelope algorithms by number. A number is never given to another algorithm."""


def seal_secret(secret: bytes, recipient: RecipientKey, random_bytes: RandomBytes) -> SealedSecret:
    """Seal a document secret to one recipient. Raises SealError `seal.unknown_algorithm`,
    `seal.recipient_key`.
    """
    algorithm = _algorithm(recipient.algorithm)
    if len(recipient.public_key) != algorithm.public_key_bytes:
        raise SealError(
            "seal.recipient_key",
            "a public key of the wrong length",
            got=len(recipient.public_key),
            expected=algorithm.public_key_bytes,
        )
    try:
        sealed = algorithm.seal(recipient.public_key, secret, random_bytes)
    except nacl.exceptions.CryptoError:
        # libsodium refuses points of low order: nothing may be sealed to them.
        raise SealError("seal.recipient_key", "not a usable public key", got=recipient.public_key) from None
    return SealedSecret(recipient.organisation, algorithm.number, recipient.public_key, sealed)


def open_secret(envelope: Envelope, recipient: int, private_key: bytes) -> bytes:
    """The document secret, from the copy sealed to `recipient`.

    Raises SealError `seal.not_a_recipient`, `seal.wrong_key` (another key, or the copy belongs to another
    manifest).
    """
    copies = [key for key in envelope.keys if key.recipient == recipient]
    if not copies:
        raise SealError(
            "seal.not_a_recipient",
            "the document is not sealed to this organisation",
            got=recipient,
            expected=[key.recipient for key in envelope.keys],
        )
    copy = copies[0]
    algorithm = _algorithm(copy.algorithm)
    if algorithm.public_key_of(private_key) != copy.public_key:
        raise _wrong_key("the secret is sealed to another key of this organisation")
    secret = algorithm.open(private_key, copy.sealed)
    if len(secret) != SECRET_BYTES or not compare_digest(
        secret_check(secret), envelope.manifest.secret_check
    ):
        raise _wrong_key("the sealed secret belongs to another document")
    return secret


def reseal(
    envelope: Envelope, recipient: int, private_key: bytes, to: RecipientKey, random_bytes: RandomBytes
) -> Envelope:
    """The envelope with a copy sealed to `to`, in place of an older copy for that organisation.

    For key rotation, and for an agency that passes a document on. Files and manifest stay as they are.
    """
    sealed = seal_secret(open_secret(envelope, recipient, private_key), to, random_bytes)
    others = [key for key in envelope.keys if key.recipient != to.organisation]
    return replace(envelope, keys=tuple(sorted([*others, sealed], key=lambda key: key.recipient)))


def encode_envelope(envelope: Envelope) -> bytes:
    """Canonical JSON: the format, the manifest's bytes as hex, and the sealed copies."""
    return encode_canonical_json(
        {
            "format": FORMAT,
            "manifest": _hex(encode_manifest(envelope.manifest)),
            "keys": [
                {
                    "recipient": key.recipient,
                    "algorithm": key.algorithm,
                    "public_key": _hex(key.public_key),
                    "sealed": _hex(key.sealed),
                }
                for key in envelope.keys
            ],
        }
    )


def decode_envelope(raw: bytes) -> Envelope:
    """The envelope of canonical bytes. Raises SealError `seal.envelope_form`, or what `decode_manifest`
    raises.
    """
    try:
        data = decode_strict_json(raw, 2 * MAX_MANIFEST_BYTES + _KEYS_BYTES)
    except DecodeError as error:
        raise _envelope_form("the envelope is not plain JSON", error.code) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _envelope_form(
            "an envelope format that is not known here",
            data.get("format") if isinstance(data, dict) else None,
        )
    try:
        envelope = Envelope(
            manifest=decode_manifest(_from_hex(data["manifest"])),
            keys=tuple(_sealed_secret(item) for item in data["keys"]),
        )
    except (KeyError, TypeError) as error:
        raise _envelope_form("a field is missing or of the wrong type", str(error)) from None
    recipients = [key.recipient for key in envelope.keys]
    if recipients != sorted(set(recipients)) or len(recipients) > MAX_RECIPIENTS:
        raise _envelope_form("the sealed copies are not one for each recipient in order", recipients)
    if encode_envelope(envelope) != raw:
        raise _envelope_form("the envelope is not in its canonical form", "other bytes")
    return envelope


def _sealed_secret(item: Mapping[str, Any]) -> SealedSecret:
    recipient, number = item["recipient"], item["algorithm"]
    if type(recipient) is not int or type(number) is not int:  # true and false are ints too
        raise TypeError("integers are expected")
    algorithm = _algorithm(number)
    key = SealedSecret(recipient, number, _from_hex(item["public_key"]), _from_hex(item["sealed"]))
    if len(key.public_key) != algorithm.public_key_bytes or len(key.sealed) != algorithm.sealed_bytes:
        raise _envelope_form("a sealed copy of the wrong length", len(key.sealed))
    return key


def _algorithm(number: int) -> Algorithm:
    try:
        return ALGORITHMS[number]
    except KeyError:
        raise SealError(
            "seal.unknown_algorithm",
            "an envelope algorithm that is not known here",
            got=number,
            expected=list(ALGORITHMS),
        ) from None


def _wrong_key(message: str) -> SealError:
    return SealError("seal.wrong_key", message, got="another key", expected="the key it was sealed to")


def _envelope_form(message: str, got: object) -> SealError:
    return SealError("seal.envelope_form", message, got=got, expected=FORMAT)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _from_hex(value: object) -> bytes:
    # The digits are matched one by one: a repeated group of two takes 75 bytes of memory for each digit.
    if not isinstance(value, str) or not _HEX.fullmatch(value) or len(value) & 1:
        raise TypeError("0x and pairs of lower-case hex digits are expected")
    return bytes.fromhex(value[2:])
