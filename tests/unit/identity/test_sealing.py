"""A sealed document opens for its recipients, and for nobody and nothing else."""

import io
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nacl.public
import pytest

from identity.errors import SealError
from identity.sealing import (
    Envelope,
    FileToSeal,
    Manifest,
    RecipientKey,
    SealedDocument,
    decode_envelope,
    decode_manifest,
    encode_envelope,
    encode_manifest,
    file_salt,
    manifest_hash,
    open_file,
    open_secret,
    reseal,
    seal_document,
    verify_ciphertext,
    verify_plaintext,
)
from identity.sealing.stream import CHUNK_BYTES, Digest, ciphertext_size

COURT, PROCURATORATE, JUSTICE = 1, 2, 4
VECTORS = Path(__file__).parents[2] / "vectors" / "sealing" / "vectors.json"


@dataclass(frozen=True)
class Sealed:
    document: SealedDocument
    ciphertexts: tuple[bytes, ...]
    keys: dict[int, nacl.public.PrivateKey]

    @property
    def manifest(self) -> Manifest:
        return self.document.envelope.manifest

    @property
    def secret(self) -> bytes:
        return self.document.secret

    def open(self, index: int, ciphertext: bytes) -> bytes:
        sink = io.BytesIO()
        open_file(self.manifest, index, self.secret, io.BytesIO(ciphertext), sink)
        return sink.getvalue()


def seal(*plaintexts: bytes) -> Sealed:
    keys = {
        organisation: nacl.public.PrivateKey.generate() for organisation in (COURT, PROCURATORATE, JUSTICE)
    }
    public = {id: RecipientKey(id, 1, bytes(key.public_key)) for id, key in keys.items()}
    sinks = [io.BytesIO() for _ in plaintexts]
    document = seal_document(
        code="D07",
        case=bytes(32),
        sender=COURT,
        recipients=[public[JUSTICE], public[PROCURATORATE]],
        keys_for=[public[COURT]],
        files=[
            FileToSeal(f"判决书{number}.pdf", "application/pdf", io.BytesIO(plaintext), sink)
            for number, (plaintext, sink) in enumerate(zip(plaintexts, sinks, strict=True))
        ],
    )
    return Sealed(document, tuple(sink.getvalue() for sink in sinks), keys)


def refused(code: str, act: Callable[[], object]) -> SealError:
    with pytest.raises(SealError) as caught:
        act()
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 3_000_001])
def test_a_file_of_any_size_comes_back(size: int) -> None:
    plaintext = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sealed = seal(plaintext)
    assert sealed.open(0, sealed.ciphertexts[0]) == plaintext
    assert sealed.manifest.files[0].size == size
    assert len(sealed.ciphertexts[0]) == ciphertext_size(size) == sealed.manifest.files[0].ciphertext.size


def test_every_recipient_and_the_sender_open_the_same_secret() -> None:
    sealed = seal(b"judgment")
    envelope = decode_envelope(encode_envelope(sealed.document.envelope))
    for organisation, key in sealed.keys.items():
        assert open_secret(envelope, organisation, bytes(key)) == sealed.secret


def test_the_senders_own_copy_does_not_make_it_a_recipient() -> None:
    sealed = seal(b"judgment")
    assert sealed.manifest.recipients == (PROCURATORATE, JUSTICE)
    assert [key.recipient for key in sealed.document.envelope.keys] == [COURT, PROCURATORATE, JUSTICE]


def test_another_organisation_and_another_key_are_refused() -> None:
    sealed = seal(b"judgment")
    envelope = sealed.document.envelope
    stranger = bytes(nacl.public.PrivateKey.generate())
    refused("seal.not_a_recipient", lambda: open_secret(envelope, 3, stranger))
    refused("seal.wrong_key", lambda: open_secret(envelope, JUSTICE, stranger))
    refused("seal.wrong_key", lambda: open_secret(envelope, JUSTICE, bytes(sealed.keys[COURT])))


def test_a_copy_of_the_secret_of_another_document_is_refused() -> None:
    sealed, other = seal(b"judgment"), seal(b"another")
    key = sealed.keys[JUSTICE]
    public = RecipientKey(JUSTICE, 1, bytes(key.public_key))
    moved = reseal(other.document.envelope, COURT, bytes(other.keys[COURT]), public, nacl.public.random)
    mixed = Envelope(sealed.manifest, moved.keys)
    refused("seal.wrong_key", lambda: open_secret(mixed, JUSTICE, bytes(key)))


def test_a_changed_copy_of_the_secret_is_refused() -> None:
    sealed = seal(b"judgment")
    copies = sealed.document.envelope.keys
    for position in (0, 31, 32, 79):
        changed = bytearray(copies[2].sealed)
        changed[position] ^= 1
        envelope = Envelope(sealed.manifest, (*copies[:2], replace(copies[2], sealed=bytes(changed))))
        with pytest.raises(SealError) as caught:
            open_secret(envelope, JUSTICE, bytes(sealed.keys[JUSTICE]))
        assert caught.value.code == "seal.wrong_key"


def test_a_rotated_key_opens_and_the_old_one_does_not() -> None:
    sealed = seal(b"judgment")
    old, new = sealed.keys[JUSTICE], nacl.public.PrivateKey.generate()
    to = RecipientKey(JUSTICE, 1, bytes(new.public_key))
    rotated = reseal(sealed.document.envelope, JUSTICE, bytes(old), to, nacl.public.random)
    assert open_secret(rotated, JUSTICE, bytes(new)) == sealed.secret
    refused("seal.wrong_key", lambda: open_secret(rotated, JUSTICE, bytes(old)))
    assert manifest_hash(rotated.manifest) == sealed.document.hash


def test_a_recipient_can_pass_a_document_on_to_one_more_organisation() -> None:
    sealed = seal(b"judgment")
    police = nacl.public.PrivateKey.generate()
    to = RecipientKey(3, 1, bytes(police.public_key))
    passed = reseal(sealed.document.envelope, JUSTICE, bytes(sealed.keys[JUSTICE]), to, nacl.public.random)
    assert open_secret(passed, 3, bytes(police)) == sealed.secret
    assert [key.recipient for key in passed.keys] == [1, 2, 3, 4]


def test_keys_that_nothing_may_be_sealed_to_are_refused() -> None:
    key = RecipientKey(JUSTICE, 1, bytes(nacl.public.PrivateKey.generate().public_key))

    def sealing_to(*keys: RecipientKey) -> Callable[[], object]:
        file = FileToSeal("a.pdf", "application/pdf", io.BytesIO(b""), io.BytesIO())
        return lambda: seal_document(code="D07", case=bytes(32), sender=COURT, recipients=keys, files=[file])

    refused("seal.recipient_key", sealing_to(replace(key, public_key=bytes(31))))
    refused("seal.recipient_key", sealing_to(replace(key, public_key=bytes(32))))
    refused("seal.recipient_key", sealing_to(key, key))
    refused("seal.unknown_algorithm", sealing_to(replace(key, algorithm=2)))


def test_a_ciphertext_cut_anywhere_is_truncated() -> None:
    sealed = seal(bytes(CHUNK_BYTES + 10))
    whole = sealed.ciphertexts[0]
    for length in (0, 1, 23, 24, 40, 24 + CHUNK_BYTES, 24 + CHUNK_BYTES + 17, len(whole) - 1):
        refused("seal.truncated", lambda length=length: sealed.open(0, whole[:length]))


def test_a_ciphertext_that_goes_on_has_trailing_data() -> None:
    sealed = seal(bytes(10))
    refused("seal.trailing_data", lambda: sealed.open(0, sealed.ciphertexts[0] + b"\x00"))
    refused("seal.trailing_data", lambda: sealed.open(0, sealed.ciphertexts[0] * 2))


def test_chunks_in_another_order_are_refused() -> None:
    sealed = seal(bytes(3 * CHUNK_BYTES))
    whole, size = sealed.ciphertexts[0], CHUNK_BYTES + 17
    header, chunks = whole[:24], [whole[24 + n * size : 24 + (n + 1) * size] for n in range(3)]
    for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 0, 2)):
        moved = header + b"".join(chunks[number] for number in order)
        refused("seal.chunk_refused", lambda moved=moved: sealed.open(0, moved))


def test_files_of_one_document_cannot_be_swapped() -> None:
    sealed = seal(b"first file", b"other file", bytes(200_000))
    for index, other in ((0, 1), (1, 0), (0, 2), (2, 0)):
        error = refused("seal.swapped", lambda i=index, o=other: sealed.open(i, sealed.ciphertexts[o]))
        assert (error.got, error.expected) == (other, index)


def test_another_encryption_of_the_same_plaintext_is_refused() -> None:
    sealed, again = seal(b"the same"), seal(b"the same")
    refused("seal.chunk_refused", lambda: sealed.open(0, again.ciphertexts[0]))


def test_an_authentic_stream_that_the_manifest_does_not_name_is_refused() -> None:
    sealed = seal(b"the same")
    file = sealed.manifest.files[0]
    elsewhere = replace(
        sealed.manifest, files=(replace(file, ciphertext=Digest(file.ciphertext.size, bytes(32))),)
    )
    source = io.BytesIO(sealed.ciphertexts[0])
    refused("seal.ciphertext_hash", lambda: open_file(elsewhere, 0, sealed.secret, source, io.BytesIO()))
    uncommitted = replace(sealed.manifest, files=(replace(file, commitment=bytes(32)),))
    source = io.BytesIO(sealed.ciphertexts[0])
    refused("seal.commitment", lambda: open_file(uncommitted, 0, sealed.secret, source, io.BytesIO()))


def test_a_secret_of_another_document_and_a_file_that_is_not_there_are_refused() -> None:
    sealed = seal(b"judgment")
    source = io.BytesIO(sealed.ciphertexts[0])
    refused("seal.wrong_key", lambda: open_file(sealed.manifest, 0, bytes(32), source, io.BytesIO()))
    refused("seal.no_such_file", lambda: open_file(sealed.manifest, 1, sealed.secret, source, io.BytesIO()))


def test_a_vault_checks_a_ciphertext_without_any_key() -> None:
    sealed = seal(bytes(100_000))
    digest, whole = sealed.manifest.files[0].ciphertext, sealed.ciphertexts[0]
    verify_ciphertext(io.BytesIO(whole), digest)
    refused("seal.truncated", lambda: verify_ciphertext(io.BytesIO(whole[:-1]), digest))
    refused("seal.trailing_data", lambda: verify_ciphertext(io.BytesIO(whole + b"\x00"), digest))
    refused("seal.ciphertext_hash", lambda: verify_ciphertext(io.BytesIO(whole[:-1] + b"\x00"), digest))


def test_the_salt_alone_proves_a_plaintext() -> None:
    sealed = seal(b"judgment")
    salt = file_salt(sealed.secret, 0)
    verify_plaintext(sealed.manifest, 0, salt, io.BytesIO(b"judgment"))
    refused("seal.commitment", lambda: verify_plaintext(sealed.manifest, 0, salt, io.BytesIO(b"judgment.")))
    refused(
        "seal.commitment", lambda: verify_plaintext(sealed.manifest, 0, bytes(32), io.BytesIO(b"judgment"))
    )
    refused("seal.no_such_file", lambda: verify_plaintext(sealed.manifest, 1, salt, io.BytesIO(b"")))


class Endless:
    """A source of `size` zero bytes that holds none of them."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int, /) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


class Nowhere:
    def write(self, data: bytes, /) -> object:
        return len(data)


def test_sealing_and_opening_take_the_same_memory_for_a_large_file(tmp_path: Path) -> None:
    size = 24 << 20
    key = nacl.public.PrivateKey.generate()
    to = [RecipientKey(JUSTICE, 1, bytes(key.public_key))]
    path = tmp_path / "ciphertext"
    tracemalloc.start()
    try:
        with path.open("wb") as sink:
            document = seal_document(
                code="D07",
                case=bytes(32),
                sender=COURT,
                recipients=to,
                files=[FileToSeal("large.bin", "application/octet-stream", Endless(size), sink)],
            )
        with path.open("rb") as source:
            opened = open_file(document.envelope.manifest, 0, document.secret, source, Nowhere())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert opened.size == size
    assert peak < 2 << 20


def test_a_source_that_gives_one_byte_at_a_time_gives_the_same_file() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 1))

    sealed = seal(b"drop by drop")
    sink = io.BytesIO()
    open_file(sealed.manifest, 0, sealed.secret, Dripping(sealed.ciphertexts[0]), sink)
    assert sink.getvalue() == b"drop by drop"


def test_a_manifest_has_one_encoding() -> None:
    raw = encode_manifest(seal(b"judgment", b"").manifest)
    assert encode_manifest(decode_manifest(raw)) == raw
    spaced = json.dumps(json.loads(raw), ensure_ascii=False).encode()
    refused("seal.manifest_not_canonical", lambda: decode_manifest(spaced))
    refused("seal.manifest_not_canonical", lambda: decode_manifest(raw[:-1] + b',"more":1}'))
    upper = raw.replace(b'"case":"0x' + b"00" * 32, b'"case":"0X' + b"00" * 32)
    refused("seal.manifest_form", lambda: decode_manifest(upper))


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("format", "shelian-manifest/2", "seal.manifest_version"),
        ("code", "d07", "seal.manifest_field"),
        ("code", 7, "seal.manifest_form"),
        ("case", "0x00", "seal.manifest_form"),
        ("version", 0, "seal.manifest_field"),
        ("version", 2, "seal.manifest_field"),
        ("version", True, "seal.manifest_form"),
        ("supersedes", "0x" + "11" * 32, "seal.manifest_field"),
        ("sender", 0, "seal.manifest_field"),
        ("recipients", [], "seal.manifest_field"),
        ("recipients", [4, 2], "seal.manifest_field"),
        ("recipients", [2, 2], "seal.manifest_field"),
        ("recipients", [0], "seal.manifest_field"),
        ("recipients", 4, "seal.manifest_form"),
        ("files", [], "seal.manifest_field"),
        ("files", [{}], "seal.manifest_form"),
        ("secret_check", None, "seal.manifest_form"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(field: str, value: object, code: str) -> None:
    data = json.loads(encode_manifest(seal(b"judgment").manifest))
    data[field] = value
    refused(code, lambda: decode_manifest(canonical(data)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../judgment.pdf"),
        ("name", "a\u202egnp.pdf"),
        ("name", "e\u0301.pdf"),
        ("name", ""),
        ("name", ".."),
        ("name", "长" * 86),
        ("media_type", "pdf"),
        ("media_type", "Application/PDF"),
        ("size", -1),
        ("size", 1 << 60),
        ("ciphertext_size", 1),
    ],
)
def test_a_manifest_with_a_wrong_file_is_refused(field: str, value: object) -> None:
    data = json.loads(encode_manifest(seal(b"judgment").manifest))
    data["files"][0][field] = value
    refused("seal.manifest_field", lambda: decode_manifest(json.dumps(data, sort_keys=True).encode()))


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b"null", b"[" * 100_000, b'{"a":1,"a":2}', b'"\\ud800"', b"\xff", b" " * 300_000],
)
def test_bytes_that_are_no_manifest_and_no_envelope_are_refused(raw: bytes) -> None:
    refused("seal.manifest_form", lambda: decode_manifest(raw))
    refused("seal.envelope_form", lambda: decode_envelope(raw))


def test_an_envelope_has_one_encoding_and_one_copy_for_each_holder() -> None:
    envelope = seal(b"judgment").document.envelope
    data = json.loads(encode_envelope(envelope))
    refused("seal.envelope_form", lambda: decode_envelope(json.dumps(data).encode()))
    refused("seal.envelope_form", lambda: decode_envelope(canonical({**data, "keys": data["keys"][::-1]})))
    refused("seal.envelope_form", lambda: decode_envelope(canonical({**data, "keys": data["keys"][:1] * 2})))
    short = [{**data["keys"][0], "sealed": "0x00"}]
    refused("seal.envelope_form", lambda: decode_envelope(canonical({**data, "keys": short})))
    unknown = [{**data["keys"][0], "algorithm": 9}]
    refused("seal.unknown_algorithm", lambda: decode_envelope(canonical({**data, "keys": unknown})))
    refused(
        "seal.envelope_form", lambda: decode_envelope(canonical({**data, "format": "shelian-envelope/2"}))
    )


def canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "vector", json.loads(VECTORS.read_text())["documents"], ids=lambda vector: vector["name"]
)
def test_the_published_vectors(vector: dict[str, Any]) -> None:
    plaintexts = [bytes.fromhex(file["plaintext"]) * file["repeat"] for file in vector["files"]]
    sinks = [io.BytesIO() for _ in plaintexts]
    document = seal_document(
        code=vector["code"],
        case=bytes.fromhex(vector["case"]),
        sender=vector["sender"],
        recipients=[
            RecipientKey(recipient["organisation"], 1, bytes.fromhex(recipient["public_key"]))
            for recipient in vector["recipients"]
        ],
        files=[
            FileToSeal(file["name"], file["media_type"], io.BytesIO(plaintext), sink)
            for file, plaintext, sink in zip(vector["files"], plaintexts, sinks, strict=True)
        ],
        random_bytes=io.BytesIO(bytes.fromhex(vector["randomness"])).read,
    )
    assert encode_manifest(document.envelope.manifest).decode() == vector["manifest"]
    assert document.hash.hex() == vector["manifest_hash"]
    assert document.secret.hex() == vector["secret"]
    assert encode_envelope(document.envelope).decode() == vector["envelope"]
    for file, sink in zip(vector["files"], sinks, strict=True):
        assert file["ciphertext"] in (sink.getvalue().hex(), None)
    envelope = decode_envelope(vector["envelope"].encode())
    for recipient in vector["recipients"]:
        private_key = bytes.fromhex(recipient["private_key"])
        secret = open_secret(envelope, recipient["organisation"], private_key)
        for index, file in enumerate(vector["files"]):
            plain = io.BytesIO()
            opened = open_file(envelope.manifest, index, secret, io.BytesIO(sinks[index].getvalue()), plain)
            assert plain.getvalue() == plaintexts[index]
            assert opened.salt.hex() == file["salt"]
