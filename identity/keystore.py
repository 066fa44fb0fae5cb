"""Keys at rest: one key, one JSON file, sealed under a passphrase. A key is never written plain.

The passphrase (NFKC, UTF-8) becomes a key by Argon2id; libsodium's secretbox (XSalsa20-Poly1305) seals
`SHA-256(canonical JSON of the public fields) || secret`, so no public field can be exchanged without the
passphrase. The cost of Argon2id stands in the file and is bounded when it is read: a hostile file cannot eat
the memory. A file that says `purpose: demo` opens on a demo chain only.
"""

import hashlib
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path

import nacl.exceptions
import nacl.pwhash.argon2id as argon2id
import nacl.utils
from nacl.secret import SecretBox

from identity.errors import KeyFileError
from identity.keys import KEY_ALGORITHMS, KeyAlgorithm, KeyPair, RandomBytes, address_of, key_pair
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError, ShelianError

FORMAT = "shelian-key/1"
SUFFIX = ".key.json"
MAX_FILE_BYTES = 16_384
MIN_PASSPHRASE_CHARACTERS = 10
"""For production keys. The passphrase of a demo key is public anyway."""

_PURPOSES = ("demo", "production")
_KDF = "argon2id13"
_BOX = "xsalsa20poly1305"
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,80}")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs: Argon2id passes and bytes of memory."""

    operations: int
    memory: int


PERSONAL = Cost(argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)
"""3 passes over 256 MiB, about half a second: for a person's own key."""
DEMO = Cost(argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)
"""Next to nothing: the passphrase of a demo key is public."""
_MOST = Cost(8, argon2id.MEMLIMIT_MODERATE)
_LEAST_IN_PRODUCTION = Cost(argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The public part of a key file."""

    path: Path
    algorithm: KeyAlgorithm
    purpose: str
    """`demo` or `production`"""
    label: str
    """What the owner calls it."""
    public_key: bytes
    credential_id: bytes

    @property
    def address(self) -> bytes:
        """The 20-byte sender address. Raises KeyFileError `key.cannot_sign` for an encryption key."""
        return address_of(self.algorithm, self.public_key)


def save_key(
    path: Path,
    key: KeyPair,
    passphrase: str,
    *,
    purpose: str,
    label: str,
    cost: Cost = PERSONAL,
    random_bytes: RandomBytes = nacl.utils.random,
) -> KeyFile:
    """Write a key file with mode 0600, whole or not at all, never over another file.

    Raises KeyFileError `key.exists`, `key.weak_passphrase`, `key.bad_cost`, `key.bad_field`.
    """
    if purpose not in _PURPOSES or not _LABEL.fullmatch(label):
        raise KeyFileError("key.bad_field", "the purpose or the label is not allowed", got=[purpose, label])
    if purpose == "production" and len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise KeyFileError(
            "key.weak_passphrase",
            "the passphrase is too short",
            got=f"{len(passphrase)} characters",
            expected=f"{MIN_PASSPHRASE_CHARACTERS} or more",
        )
    _check_cost(cost, purpose)
    salt = random_bytes(argon2id.SALTBYTES)
    public = {
        "format": FORMAT,
        "algorithm": key.algorithm.name,
        "purpose": purpose,
        "label": label,
        "public_key": _hex(key.public_key),
        "credential_id": _hex(key.credential_id),
        "kdf": {"name": _KDF, "operations": cost.operations, "memory": cost.memory, "salt": _hex(salt)},
    }
    box = SecretBox(_derive(passphrase, salt, cost))
    nonce = random_bytes(SecretBox.NONCE_SIZE)
    sealed = box.encrypt(_binding(public) + key.secret, nonce).ciphertext
    whole = {**public, "box": {"name": _BOX, "nonce": _hex(nonce), "sealed": _hex(sealed)}}
    _write_new(path, encode_canonical_json({**whole, "checksum": _hex(_binding(whole))}))
    return KeyFile(path, key.algorithm, purpose, label, key.public_key, key.credential_id)


def load_key_file(path: Path) -> KeyFile:
    """The public part of a key file, without the passphrase.

    Raises KeyFileError `key.not_found`, `key.permissions`, `key.too_large`, `key.form`,
    `key.unknown_version`, `key.unknown_algorithm`, `key.damaged`, `key.bad_cost`.
    """
    return _read(path)[0]


def load_key(path: Path, passphrase: str, *, chain_purpose: str) -> KeyPair:
    """Open a key file for a chain whose genesis says `chain_purpose`.

    Raises what `load_key_file` raises, and KeyFileError `key.demo_only`, `key.wrong_passphrase`,
    `key.tampered`.
    """
    file, public, box = _read(path)
    if file.purpose == "demo" and chain_purpose != "demo":
        raise KeyFileError(
            "key.demo_only", "a demo key opens on a demo chain only", got=chain_purpose, expected="demo"
        )
    kdf = _object(public, "kdf")
    cost = Cost(_integer(kdf, "operations"), _integer(kdf, "memory"))
    try:
        plain = SecretBox(_derive(passphrase, _bytes(kdf, "salt"), cost)).decrypt(
            _bytes(box, "sealed"), _bytes(box, "nonce")
        )
    except (nacl.exceptions.CryptoError, ValueError):
        raise KeyFileError("key.wrong_passphrase", "the passphrase does not open this key file") from None
    binding, secret = plain[:32], plain[32:]
    if not compare_digest(binding, _binding(public)):
        raise KeyFileError(
            "key.tampered", "the public part of the key file was exchanged", got=str(path.name)
        )
    key = key_pair(file.algorithm, secret, file.credential_id, public_key=file.public_key)
    if key.public_key != file.public_key:
        raise KeyFileError("key.tampered", "the secret does not belong to the public key", got=str(path.name))
    return key


def list_key_files(directory: Path) -> tuple[KeyFile, ...]:
    """The readable key files of a directory, by name. Files that are not key files are left out."""
    found = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            found.append(load_key_file(path))
        except KeyFileError:
            continue
    return tuple(found)


def _read(path: Path) -> tuple[KeyFile, Mapping[str, object], Mapping[str, object]]:
    """The public part, the fields it is bound to, and the box."""
    data = _parse(path)
    checksum = data.pop("checksum", None)
    if checksum != _hex(_binding(data)):
        raise KeyFileError("key.damaged", "the key file is damaged", got=path.name)
    box = data.pop("box", None)
    if not isinstance(box, dict) or box.get("name") != _BOX:
        raise _form(path, "box")
    kdf = _object(data, "kdf")
    if kdf.get("name") != _KDF or len(_bytes(kdf, "salt")) != argon2id.SALTBYTES:
        raise _form(path, "kdf")
    algorithm = KEY_ALGORITHMS.get(_text(data, "algorithm"))
    if algorithm is None:
        raise KeyFileError(
            "key.unknown_algorithm",
            "a key algorithm that is not known here",
            got=data["algorithm"],
            expected=list(KEY_ALGORITHMS),
        )
    purpose = _text(data, "purpose")
    if purpose not in _PURPOSES:
        raise _form(path, "purpose")
    _check_cost(Cost(_integer(kdf, "operations"), _integer(kdf, "memory")), purpose)
    file = KeyFile(
        path,
        algorithm,
        purpose,
        _text(data, "label"),
        _bytes(data, "public_key"),
        _bytes(data, "credential_id"),
    )
    return file, data, box


def _parse(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            raw = handle.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError("key.not_found", "the key file cannot be read", got=error.strerror) from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(
            "key.permissions", "others may read the key file", got=oct(stat.S_IMODE(mode)), expected="0o600"
        )
    if len(raw) > MAX_FILE_BYTES:
        raise KeyFileError("key.too_large", "not a key file", got=len(raw), expected=MAX_FILE_BYTES)
    try:
        data = decode_strict_json(raw, MAX_FILE_BYTES)
    except DecodeError as error:
        raise KeyFileError("key.form", "not a key file", got=error.code, expected=FORMAT) from None
    if not isinstance(data, dict):
        raise _form(path, "format")
    if data.get("format") != FORMAT:
        raise KeyFileError(
            "key.unknown_version",
            "a key file format that is not known here",
            got=data.get("format"),
            expected=FORMAT,
        )
    return data


def _check_cost(cost: Cost, purpose: str) -> None:
    least = DEMO if purpose == "demo" else _LEAST_IN_PRODUCTION
    if not (
        least.operations <= cost.operations <= _MOST.operations
        and least.memory <= cost.memory <= _MOST.memory
    ):
        raise KeyFileError(
            "key.bad_cost",
            "the cost of the passphrase is out of bounds",
            got=[cost.operations, cost.memory],
            expected=[[least.operations, least.memory], [_MOST.operations, _MOST.memory]],
        )


def _derive(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFKC", passphrase).encode("utf-8", "surrogatepass")
    return argon2id.kdf(SecretBox.KEY_SIZE, text, salt, opslimit=cost.operations, memlimit=cost.memory)


def _binding(fields: Mapping[str, object]) -> bytes:
    return hashlib.sha256(encode_canonical_json(fields)).digest()


def _write_new(path: Path, data: bytes) -> None:
    """Write `data` to `path` with mode 0600: the name appears only when the bytes are on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        # A hard link, not a rename: it fails where a file stands already.
        os.link(temporary, path)
    except FileExistsError:
        raise KeyFileError("key.exists", "a key file is never overwritten", got=str(path)) from None
    finally:
        temporary.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _form(path: Path, name: str) -> ShelianError:
    return KeyFileError(
        "key.form", "not a key file of this format", got=f"{path.name}: {name}", expected=FORMAT
    )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _object(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise KeyFileError("key.form", "a field is missing or of the wrong type", got=name, expected=FORMAT)
    return value


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise KeyFileError("key.form", "a field is missing or of the wrong type", got=name, expected=FORMAT)
    return value


def _integer(data: Mapping[str, object], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise KeyFileError("key.form", "a field is missing or of the wrong type", got=name, expected=FORMAT)
    return value


def _bytes(data: Mapping[str, object], name: str) -> bytes:
    value = _text(data, name)
    if not _HEX.fullmatch(value):
        raise KeyFileError("key.form", "a field is missing or of the wrong type", got=name, expected=FORMAT)
    return bytes.fromhex(value[2:])
