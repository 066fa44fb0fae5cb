"""The manifest of a document: what it is, whom it goes to, and which files it has. Its hash is what the
chain knows.

Encoding: canonical JSON (sorted keys, no spaces, UTF-8, byte strings as lower-case 0x hex); a manifest that
is not exactly its own re-encoding is refused. Hash: SHA-256 over a domain tag and those bytes.
`secret_check` comes from the random document secret, so the hash of a manifest cannot be guessed from a list
of likely contents.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity.errors import SealError
from identity.sealing.stream import MAX_PLAINTEXT_BYTES, Digest, ciphertext_size
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError

FORMAT = "shelian-manifest/1"
MAX_FILES = 256
MAX_RECIPIENTS = 64
MAX_MANIFEST_BYTES = 262_144
MAX_NAME_BYTES = 255

_HASH_TAG = b"shelian/manifest/1\x00"
_CODE = re.compile(r"[A-Z][A-Za-z0-9]{1,15}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")
_HASH_HEX = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a document. The first file of a manifest is the document itself, the others are
    attachments.
    """

    name: str
    """File name as people see it, NFC, no path, at most 255 bytes of UTF-8."""
    media_type: str
    """Lower-case `type/subtype`."""
    size: int
    """Plaintext bytes."""
    commitment: bytes
    """`commitment_of(salt, SHA-256 of the plaintext)`, 32 bytes."""
    ciphertext: Digest
    """Size and SHA-256 of the ciphertext; the hash is also its address in a vault."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a signature on a document stands for."""

    code: str
    """Document code of the catalogue, such as `D07`."""
    case: bytes
    """The case's random reference, 32 bytes."""
    version: int
    """1 for a first version, one more for each that replaces it."""
    supersedes: bytes
    """Hash of the manifest that this version replaces, 32 bytes; empty for version 1."""
    sender: int
    """Organisation that issues the document."""
    recipients: tuple[int, ...]
    """Organisations it goes to, ascending."""
    secret_check: bytes
    """`secret_check(document secret)`, 32 bytes."""
    files: tuple[SealedFile, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest. Raises SealError `seal.manifest_field` for a value out of its
    range.
    """
    _check(manifest)
    return encode_canonical_json(
        {
            "format": FORMAT,
            "code": manifest.code,
            "case": _hex(manifest.case),
            "version": manifest.version,
            "supersedes": _hex(manifest.supersedes),
            "sender": manifest.sender,
            "recipients": list(manifest.recipients),
            "secret_check": _hex(manifest.secret_check),
            "files": [
                {
                    "name": file.name,
                    "media_type": file.media_type,
                    "size": file.size,
                    "commitment": _hex(file.commitment),
                    "ciphertext_size": file.ciphertext.size,
                    "ciphertext_sha256": _hex(file.ciphertext.sha256),
                }
                for file in manifest.files
            ],
        }
    )


def manifest_hash(manifest: Manifest) -> bytes:
    """The 32 bytes that stand for a document on the chain."""
    return hashlib.sha256(_HASH_TAG + encode_manifest(manifest)).digest()


def decode_manifest(raw: bytes) -> Manifest:
    """The manifest of canonical bytes. Raises SealError `seal.manifest_form`, `_field`, `_version`,
    `_not_canonical`.
    """
    try:
        data = decode_strict_json(raw, MAX_MANIFEST_BYTES)
    except DecodeError as error:
        raise SealError(
            "seal.manifest_form", "the manifest is not plain JSON", got=error.code, expected=FORMAT
        ) from None
    if not isinstance(data, dict):
        raise SealError(
            "seal.manifest_form", "the manifest is not an object", got=type(data).__name__, expected="object"
        )
    if data.get("format") != FORMAT:
        raise SealError(
            "seal.manifest_version",
            "a manifest format that is not known here",
            got=data.get("format"),
            expected=FORMAT,
        )
    try:
        manifest = Manifest(
            code=_text(data["code"]),
            case=_bytes32(data["case"]),
            version=_integer(data["version"]),
            supersedes=b"" if data["supersedes"] == "0x" else _bytes32(data["supersedes"]),
            sender=_integer(data["sender"]),
            recipients=tuple(_integer(item) for item in data["recipients"]),
            secret_check=_bytes32(data["secret_check"]),
            files=tuple(_file(item) for item in data["files"]),
        )
    except (KeyError, TypeError) as error:
        raise SealError(
            "seal.manifest_form", "a field is missing or of the wrong type", got=str(error), expected=FORMAT
        ) from None
    if encode_manifest(manifest) != raw:
        raise SealError(
            "seal.manifest_not_canonical", "the manifest is not in its canonical form", got="other bytes"
        )
    return manifest


def _file(item: Mapping[str, Any]) -> SealedFile:
    return SealedFile(
        name=_text(item["name"]),
        media_type=_text(item["media_type"]),
        size=_integer(item["size"]),
        commitment=_bytes32(item["commitment"]),
        ciphertext=Digest(_integer(item["ciphertext_size"]), _bytes32(item["ciphertext_sha256"])),
    )


def _check(manifest: Manifest) -> None:
    _require(bool(_CODE.fullmatch(manifest.code)), "code", manifest.code, "a document code")
    _require(len(manifest.case) == 32, "case", manifest.case, "32 bytes")
    _require(1 <= manifest.version < 1 << 31, "version", manifest.version, "1 or more")
    _require(
        len(manifest.supersedes) == (0 if manifest.version == 1 else 32),
        "supersedes",
        manifest.supersedes,
        "nothing for version 1, else 32 bytes",
    )
    _require(0 < manifest.sender < 1 << 16, "sender", manifest.sender, "an organisation")
    _require(
        0 < len(manifest.recipients) <= MAX_RECIPIENTS
        and list(manifest.recipients) == sorted(set(manifest.recipients))
        and all(0 < recipient < 1 << 16 for recipient in manifest.recipients),
        "recipients",
        list(manifest.recipients),
        f"1 to {MAX_RECIPIENTS} organisations, ascending",
    )
    _require(len(manifest.secret_check) == 32, "secret_check", manifest.secret_check, "32 bytes")
    _require(0 < len(manifest.files) <= MAX_FILES, "files", len(manifest.files), f"1 to {MAX_FILES}")
    for file in manifest.files:
        _check_file(file)


def _check_file(file: SealedFile) -> None:
    _require(_is_name(file.name), "files.name", file.name, "a plain file name")
    _require(
        bool(_MEDIA_TYPE.fullmatch(file.media_type)), "files.media_type", file.media_type, "type/subtype"
    )
    _require(0 <= file.size <= MAX_PLAINTEXT_BYTES, "files.size", file.size, f"up to {MAX_PLAINTEXT_BYTES}")
    _require(
        file.ciphertext.size == ciphertext_size(file.size),
        "files.ciphertext_size",
        file.ciphertext.size,
        ciphertext_size(file.size),
    )
    _require(len(file.commitment) == 32, "files.commitment", file.commitment, "32 bytes")
    _require(len(file.ciphertext.sha256) == 32, "files.ciphertext_sha256", file.ciphertext.sha256, "32 bytes")


def _is_name(name: str) -> bool:
    return (
        0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
        and unicodedata.is_normalized("NFC", name)
        and not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name)
        and not any(character in "/\\" for character in name)
        and name not in (".", "..")
    )


def _require(condition: bool, field: str, got: object, expected: object) -> None:
    if not condition:
        raise SealError(
            "seal.manifest_field", f"the manifest's {field} is out of range", got=got, expected=expected
        )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is expected")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an integer is expected")
    return value


def _bytes32(value: object) -> bytes:
    if not isinstance(value, str) or not _HASH_HEX.fullmatch(value):
        raise TypeError("0x and 64 lower-case hex digits are expected")
    return bytes.fromhex(value[2:])
