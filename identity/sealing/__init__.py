"""Sealed documents: a manifest, its files encrypted once, and the document's secret sealed to each recipient
agency.

Flow. `seal_document` draws one 32-byte document secret, encrypts every file once (`stream`), writes what it
wrote into the manifest (`manifest`) and seals the secret to each recipient agency (`envelope`). The
manifest's hash goes on the chain; manifest, sealed secrets and ciphertexts go to the recipients.
`open_secret` and `open_file` go back.

Invariants. Everything about a file follows from the document secret and the file's place in the manifest:
destroying the secret destroys the key and the salt, and with them what the chain's hashes could be compared
with (erasure). The salt can be shown without the key (evidence). The manifest commits to the secret, so all
recipients hold the same one. The bytes are specified in docs/SEALING.md, with vectors in
tests/vectors/sealing.
"""

from identity.sealing.document import (
    FileToSeal,
    OpenedFile,
    SealedDocument,
    open_file,
    seal_document,
    verify_plaintext,
)
from identity.sealing.envelope import (
    ALGORITHMS,
    Envelope,
    RecipientKey,
    SealedSecret,
    decode_envelope,
    encode_envelope,
    open_secret,
    reseal,
)
from identity.sealing.manifest import Manifest, SealedFile, decode_manifest, encode_manifest, manifest_hash
from identity.sealing.secrets import commitment_of, file_salt
from identity.sealing.stream import verify_ciphertext

__all__ = [
    "ALGORITHMS",
    "Envelope",
    "FileToSeal",
    "Manifest",
    "OpenedFile",
    "RecipientKey",
    "SealedDocument",
    "SealedFile",
    "SealedSecret",
    "commitment_of",
    "decode_envelope",
    "decode_manifest",
    "encode_envelope",
    "encode_manifest",
    "file_salt",
    "manifest_hash",
    "open_file",
    "open_secret",
    "reseal",
    "seal_document",
    "verify_ciphertext",
    "verify_plaintext",
]
