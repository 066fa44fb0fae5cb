"""What agencies and apps hand to each other: envelopes, manifests, signing requests.

The first byte says which: 0 an envelope, 1 a manifest: refused with a documented SealError, or the one
encoding of what was decoded, whose parts are of their types. 2 A signing request: refused with a documented
SigningRefused, or a transaction that encodes and decodes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from identity.errors import SealError, SigningRefused
from identity.request import check_request, decode_fragment, encode_fragment
from identity.sealing import (
    FileToSeal,
    RecipientKey,
    decode_envelope,
    decode_manifest,
    encode_envelope,
    encode_manifest,
    manifest_hash,
    open_secret,
    seal_document,
)
from node.chain.encoding import encode_canonical_json
from tests.fuzz.mutators import Havoc, mutate_json
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import person

PRIVATE_KEYS = {number: hashlib.sha256(b"agency %d" % number).digest() for number in (1, 2)}
NOW = 1_800_000_000


def one_input(data: bytes) -> None:
    if data:
        (_envelope, _manifest, _request)[data[0] % 3](data[1:])


def _envelope(data: bytes) -> None:
    try:
        envelope = decode_envelope(data)
    except SealError as error:
        check_refusal(error)
        return
    assert encode_envelope(envelope) == data
    for copy in envelope.keys:
        assert type(copy.recipient) is type(copy.algorithm) is int
    for recipient, private_key in PRIVATE_KEYS.items():
        try:
            assert len(open_secret(envelope, recipient, private_key)) == 32
        except SealError as error:
            check_refusal(error)


def _manifest(data: bytes) -> None:
    try:
        manifest = decode_manifest(data)
    except SealError as error:
        check_refusal(error)
        return
    assert encode_manifest(manifest) == data
    assert len(manifest_hash(manifest)) == 32
    for number in (manifest.version, manifest.sender, *manifest.recipients):
        assert type(number) is int
    for file in manifest.files:
        assert "/" not in file.name
        assert "\0" not in file.name
        file.name.encode()


def _request(data: bytes) -> None:
    try:
        text = encode_fragment(json.loads(data)) if data[:1] == b"{" else data.decode("latin-1")
    except (ValueError, RecursionError):
        text = data.decode("latin-1")
    try:
        given = decode_fragment(text)
        request = check_request(given, chain_id=1234, now=NOW)
    except SigningRefused as error:
        check_refusal(error)
        return
    unsigned = request.unsigned
    assert isinstance(given, dict)
    assert type(given["v"]) is type(given["chain_id"]) is int
    assert type(unsigned.chain_id) is int
    assert unsigned.with_signature(bytes(64)).signing_hash == unsigned.signing_hash
    assert NOW < unsigned.valid_until <= NOW + 86_400


def mutate(data: bytes, random: Random, havoc: Havoc) -> bytes:
    """Most of the time in canonical form, else nothing behind the first comparison is reached."""
    changed = mutate_json(data[1:], random, havoc)
    if random.random() < 0.8:
        with suppress(ValueError, RecursionError):
            changed = encode_canonical_json(json.loads(changed))
    return data[:1] + changed


def seeds() -> Iterator[bytes]:
    from nacl.public import PrivateKey

    keys = [
        RecipientKey(number, 1, bytes(PrivateKey(key).public_key)) for number, key in PRIVATE_KEYS.items()
    ]
    for files in (1, 2):
        sealed = seal_document(
            code="D07",
            case=bytes(32),
            sender=1,
            recipients=keys[1:],
            keys_for=keys[:1],
            files=[
                FileToSeal(f"文书{number}.pdf", "application/pdf", io.BytesIO(b"text"), io.BytesIO())
                for number in range(files)
            ],
            version=files,
            supersedes=b"" if files == 1 else bytes(32),
            random_bytes=lambda size: b"\x07" * size,
        )
        yield b"\0" + encode_envelope(sealed.envelope)
        yield b"\1" + encode_manifest(sealed.envelope.manifest)
    signer = person("fuzz", 2)
    request = {
        "v": 1, "chain_id": 1234, "nonce": 4, "valid_until": NOW + 600, "gas_limit": 900_000,
        "calls": [{"to": "0x" + "51" * 20, "data": "0x01020304"}], "scheme": 2,
        "public_key": "0x" + signer.public_key.hex(), "credential_id": "", "signer": "张三（示范）",
        "return_to": "http://localhost:8611/sign/return", "state": "opaque",
    }  # fmt: skip
    yield b"\2" + json.dumps(request).encode()
    yield b"\2" + encode_fragment(request).encode()
