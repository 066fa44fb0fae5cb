"""Sealing a document's files into the vault and opening them again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from apps.community_correction.cover import COVER_MEDIA_TYPE, COVER_NAME, Cover, decode_cover, encode_cover
from apps.community_correction.files import CheckedFile
from apps.community_correction.vault import Vault
from identity.sealing import (
    Envelope,
    FileToSeal,
    RecipientKey,
    SealedDocument,
    open_file,
    open_secret,
    seal_document,
)

_IN_MEMORY = 8 * 1024 * 1024


def seal_into_vault(
    vault: Vault,
    *,
    code: str,
    case: bytes,
    sender: RecipientKey,
    recipients: Sequence[RecipientKey],
    files: Sequence[CheckedFile],
    cover: Cover,
    version: int = 1,
    supersedes: bytes = b"",
) -> SealedDocument:
    """Encrypt the files and the cover once, for the recipients and the sender's own agency; every
    ciphertext is in the vault afterwards.

    Raises VaultError, SealError; the vault then holds nothing new under a name.
    """
    parts = [*files, CheckedFile(COVER_NAME, COVER_MEDIA_TYPE, BytesIO(encode_cover(cover)))]
    with ExitStack() as stack:
        writers = [stack.enter_context(vault.writer()) for _ in parts]
        sealed = seal_document(
            code=code,
            case=case,
            sender=sender.organisation,
            recipients=[key for key in recipients if key.organisation != sender.organisation] or [sender],
            keys_for=[sender] if any(key.organisation != sender.organisation for key in recipients) else [],
            files=[
                FileToSeal(part.name, part.media_type, part.content, writer)
                for part, writer in zip(parts, writers, strict=True)
            ],
            version=version,
            supersedes=supersedes,
        )
        for writer, file in zip(writers, sealed.envelope.manifest.files, strict=True):
            writer.finish(file.ciphertext)
    return sealed


def open_from_vault(
    vault: Vault, envelope: Envelope, organisation: int, encryption_key: bytes, index: int
) -> BinaryIO:
    """One file in the clear, whole and checked against the manifest. SealError, VaultError."""
    secret = open_secret(envelope, organisation, encryption_key)
    plain = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller reads and closes it
    try:
        with vault.open(envelope.manifest.files[index].ciphertext.sha256) as source:
            open_file(envelope.manifest, index, secret, source, plain)
    except Exception:
        plain.close()
        raise
    plain.seek(0)
    return cast(BinaryIO, plain)


def open_cover(vault: Vault, envelope: Envelope, organisation: int, encryption_key: bytes) -> Cover:
    """The document's cover. SealError, VaultError, CoverError."""
    with open_from_vault(
        vault, envelope, organisation, encryption_key, len(envelope.manifest.files) - 1
    ) as plain:
        return decode_cover(plain.read())
