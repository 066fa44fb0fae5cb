"""Sealing a document's files and opening them again, streamed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import nacl.utils

from identity.errors import SealError
from identity.sealing.envelope import Envelope, RecipientKey, seal_secret
from identity.sealing.manifest import Manifest, SealedFile, manifest_hash
from identity.sealing.secrets import SECRET_BYTES, commitment_of, file_key, file_salt, secret_check
from identity.sealing.stream import CHUNK_BYTES, RandomBytes, Sink, Source, decrypt_stream, encrypt_stream


@dataclass(frozen=True, slots=True)
class FileToSeal:
    """A file to seal: read once from `source`, its ciphertext written once to `sink`."""

    name: str
    media_type: str
    source: Source
    sink: Sink


@dataclass(frozen=True, slots=True)
class SealedDocument:
    """What sealing gives: the envelope for the recipients, the hash for the chain."""

    envelope: Envelope
    hash: bytes
    secret: bytes
    """The document secret. The sender's agency gets it as a recipient; nobody needs to keep this copy."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What opening a file proved: `sha256` and `salt` together open the manifest's commitment."""

    size: int
    sha256: bytes
    salt: bytes


def seal_document(
    *,
    code: str,
    case: bytes,
    sender: int,
    recipients: Sequence[RecipientKey],
    files: Sequence[FileToSeal],
    keys_for: Sequence[RecipientKey] = (),
    version: int = 1,
    supersedes: bytes = b"",
    random_bytes: RandomBytes = nacl.utils.random,
) -> SealedDocument:
    """Encrypt every file once and seal the document secret to every recipient, and to `keys_for` (the
    sender's own key).

    Randomness is drawn in this order: document secret (32), a header (24) for each file in order, an
    ephemeral key (32) for each sealed copy in ascending order of organisations. Raises SealError
    `seal.manifest_field`, `seal.recipient_key`, `seal.unknown_algorithm`; what was written to the sinks is
    then worth nothing.
    """
    holders = sorted([*recipients, *keys_for], key=lambda key: key.organisation)
    if len({key.organisation for key in holders}) != len(holders):
        raise SealError(
            "seal.recipient_key",
            "an organisation is named twice",
            got=[key.organisation for key in holders],
            expected="once",
        )
    secret = random_bytes(SECRET_BYTES)
    sealed_files = tuple(_seal_file(secret, index, file, random_bytes) for index, file in enumerate(files))
    manifest = Manifest(
        code=code,
        case=case,
        version=version,
        supersedes=supersedes,
        sender=sender,
        recipients=tuple(sorted(key.organisation for key in recipients)),
        secret_check=secret_check(secret),
        files=sealed_files,
    )
    digest = manifest_hash(manifest)
    copies = tuple(seal_secret(secret, key, random_bytes) for key in holders)
    return SealedDocument(Envelope(manifest, copies), digest, secret)


def _seal_file(secret: bytes, index: int, file: FileToSeal, random_bytes: RandomBytes) -> SealedFile:
    plain, sealed = encrypt_stream(file_key(secret, index), file.source, file.sink, random_bytes)
    return SealedFile(
        name=file.name,
        media_type=file.media_type,
        size=plain.size,
        commitment=commitment_of(file_salt(secret, index), plain.sha256),
        ciphertext=sealed,
    )


def open_file(manifest: Manifest, index: int, secret: bytes, source: Source, sink: Sink) -> OpenedFile:
    """Decrypt the ciphertext of the manifest's file `index` from `source` into `sink`.

    Only the return says that the file is the manifest's: throw away what was written when this raises.

    1. The secret is the manifest's (`seal.wrong_key`), the file exists (`seal.no_such_file`).
    2. Every chunk is authentic, in its place, nothing missing, nothing more (`seal.truncated`,
       `seal.trailing_data`, `seal.chunk_refused`, or `seal.swapped` when it is another file of the same
       document).
    3. The ciphertext is the one that the manifest names (`seal.ciphertext_hash`).
    4. The plaintext is the one that the manifest commits to (`seal.commitment`).
    """
    if len(secret) != SECRET_BYTES or secret_check(secret) != manifest.secret_check:
        raise SealError(
            "seal.wrong_key",
            "the secret belongs to another document",
            got="another secret",
            expected="the manifest's secret",
        )
    if not 0 <= index < len(manifest.files):
        raise SealError(
            "seal.no_such_file", "the manifest has no such file", got=index, expected=len(manifest.files)
        )
    file = manifest.files[index]
    observed = _Hashing(source)
    try:
        plain, sealed = decrypt_stream(file_key(secret, index), observed, sink, file.size)
    except SealError as error:
        raise _swapped_or(error, manifest, index, observed) from None
    if sealed != file.ciphertext:
        raise SealError(
            "seal.ciphertext_hash",
            "not the ciphertext that the manifest names",
            got=sealed.sha256,
            expected=file.ciphertext.sha256,
        )
    opened = OpenedFile(plain.size, plain.sha256, file_salt(secret, index))
    _check_commitment(file, opened)
    return opened


def verify_plaintext(manifest: Manifest, index: int, salt: bytes, source: Source) -> None:
    """Check a plaintext against the manifest with nothing but the salt: what evidence shows to an outsider.

    Raises SealError `seal.no_such_file`, `seal.commitment`.
    """
    if not 0 <= index < len(manifest.files):
        raise SealError(
            "seal.no_such_file", "the manifest has no such file", got=index, expected=len(manifest.files)
        )
    digest, size = hashlib.sha256(), 0
    while data := source.read(CHUNK_BYTES):
        digest.update(data)
        size += len(data)
    _check_commitment(manifest.files[index], OpenedFile(size, digest.digest(), salt))


def _check_commitment(file: SealedFile, opened: OpenedFile) -> None:
    commitment = commitment_of(opened.salt, opened.sha256)
    if opened.size != file.size or commitment != file.commitment:
        raise SealError(
            "seal.commitment",
            "not the plaintext that the manifest commits to",
            got=commitment,
            expected=file.commitment,
        )


class _Hashing:
    """A source that hashes what is read from it, to tell a swapped ciphertext from a damaged one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    def sha256(self) -> bytes:
        return self._digest.digest()


def _swapped_or(error: SealError, manifest: Manifest, index: int, observed: _Hashing) -> SealError:
    """`seal.swapped` if the source holds another file of the document, else the error as it is."""
    longest = max(file.ciphertext.size for file in manifest.files)
    while observed.size <= longest and observed.read(CHUNK_BYTES):
        pass
    digest = observed.sha256()
    for other, file in enumerate(manifest.files):
        if other != index and file.ciphertext.sha256 == digest:
            return SealError(
                "seal.swapped", "this is another file of the document", got=other, expected=index
            )
    return error
