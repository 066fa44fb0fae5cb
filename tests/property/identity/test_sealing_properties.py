"""Properties of sealed files over arbitrary contents and arbitrary damage."""

import io

import nacl.public
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.errors import SealError
from identity.sealing import (
    FileToSeal,
    RecipientKey,
    SealedDocument,
    decode_manifest,
    open_file,
    seal_document,
)
from identity.sealing.manifest import encode_manifest
from identity.sealing.stream import ciphertext_size

RECIPIENT = nacl.public.PrivateKey.generate()


def seal(plaintext: bytes) -> tuple[SealedDocument, bytes]:
    sink = io.BytesIO()
    document = seal_document(
        code="D08",
        case=bytes(32),
        sender=4,
        recipients=[RecipientKey(1, 1, bytes(RECIPIENT.public_key))],
        files=[FileToSeal("回执.pdf", "application/pdf", io.BytesIO(plaintext), sink)],
    )
    return document, sink.getvalue()


def opened(document: SealedDocument, ciphertext: bytes) -> bytes:
    sink = io.BytesIO()
    open_file(document.envelope.manifest, 0, document.secret, io.BytesIO(ciphertext), sink)
    return sink.getvalue()


sizes = st.one_of(st.integers(0, 300), st.integers(65_500, 65_600), st.integers(131_000, 131_100))


@given(size=sizes, fill=st.binary(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_opening_undoes_sealing(size: int, fill: bytes) -> None:
    plaintext = (fill * (size // len(fill) + 1))[:size]
    document, ciphertext = seal(plaintext)
    assert opened(document, ciphertext) == plaintext
    assert len(ciphertext) == ciphertext_size(size)


def test_every_flipped_byte_is_refused() -> None:
    document, ciphertext = seal(b"a judgment of one page")
    for position in range(len(ciphertext)):
        for bit in (0x01, 0x80):
            changed = bytearray(ciphertext)
            changed[position] ^= bit
            with pytest.raises(SealError) as caught:
                opened(document, bytes(changed))
            assert caught.value.code == "seal.chunk_refused"


@given(data=st.data(), size=sizes)
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_anywhere_in_a_longer_file_is_refused(data: st.DataObject, size: int) -> None:
    document, ciphertext = seal(bytes(size))
    position = data.draw(st.integers(0, len(ciphertext) - 1))
    changed = bytearray(ciphertext)
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        opened(document, bytes(changed))


@given(raw=st.binary(max_size=400))
def test_no_bytes_make_the_manifest_parser_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(SealError):
        decode_manifest(raw)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_manifest_with_a_changed_byte_is_refused_or_another_manifest(data: st.DataObject) -> None:
    raw = encode_manifest(seal(b"x")[0].envelope.manifest)
    changed = bytearray(raw)
    changed[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        manifest = decode_manifest(bytes(changed))
    except SealError:
        return
    assert encode_manifest(manifest) == bytes(changed)
