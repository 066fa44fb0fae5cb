"""CometBFT's own files of keys: node_key.json, priv_validator_key.json, priv_validator_state.json.

The keys lie in them in clear (mode 0600, that is all CometBFT knows), so a machine's user and its backups
decide who holds them. A key that lies there is never overwritten. The validator's state says what was signed
last; it is made once with the key and never again: whoever puts an old one back may sign twice.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nacl.signing import SigningKey

from network.comet.faults import CometFault
from node.chain.encoding import decode_strict_json, sha256
from node.chain.errors import DecodeError
from node.chain.validators import validator_address

_PRIVATE_KIND: Final = "tendermint/PrivKeyEd25519"
PUBLIC_KIND: Final = "tendermint/PubKeyEd25519"
_MAX_KEY_FILE_BYTES: Final = 16_384


def node_id(public_key: bytes) -> str:
    """What peers call a node: 40 hex digits, the first 20 bytes of sha256 of its Ed25519 key."""
    return sha256(public_key)[:20].hex()


def encode_public_key(public_key: bytes) -> dict[str, str]:
    """An Ed25519 key as CometBFT writes it in JSON."""
    return {"type": PUBLIC_KIND, "value": base64.b64encode(public_key).decode()}


def save_node_key(path: Path, seed: bytes) -> None:
    """`seed`: Ed25519, 32 bytes. Raises CometFault `comet.key_exists` where another key lies."""
    _save_key(path, seed, {"priv_key": _private_key(seed)})


def save_validator_key(path: Path, seed: bytes) -> None:
    """`seed`: Ed25519, 32 bytes. Raises CometFault `comet.key_exists` where another key lies."""
    public_key = bytes(SigningKey(seed).verify_key)
    content = {
        "address": validator_address(public_key).hex().upper(),
        "pub_key": encode_public_key(public_key),
        "priv_key": _private_key(seed),
    }
    _save_key(path, seed, content)


def create_validator_state(path: Path) -> None:
    """Nothing signed yet; only where no such file lies."""
    if not path.exists():
        write_new(path, _encode({"height": "0", "round": 0, "step": 0}))


def load_public_key(path: Path) -> bytes:
    """The public part, 32 bytes, of a node's or validator's key file.

    Raises CometFault `comet.key_missing`, `comet.key_exposed` (others than the owner may read it),
    `comet.key_malformed`.
    """
    return bytes(_load_key(path).verify_key)


def load_seed(path: Path) -> bytes:
    """The secret, 32 bytes. Raises what `load_public_key` raises."""
    return bytes(_load_key(path))


def write_new(path: Path, data: bytes) -> None:
    """Mode 0600, and the name appears only when the bytes are on the disk. Raises FileExistsError."""
    temporary = _write_beside(path, data)
    try:
        # A hard link, not a rename: it fails where a file lies already.
        os.link(temporary, path)
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Mode 0600; whoever reads sees the old bytes or the new ones, after a power cut too."""
    _write_beside(path, data).replace(path)
    _sync_directory(path.parent)


def _save_key(path: Path, seed: bytes, content: Mapping[str, Any]) -> None:
    try:
        write_new(path, _encode(content))
    except FileExistsError:
        if bytes(_load_key(path)) != seed:
            raise CometFault(
                "comet.key_exists", "another key lies there; a key is never overwritten", str(path), "no file"
            ) from None


def _load_key(path: Path) -> SigningKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise CometFault("comet.key_exposed", f"others may read {path}", oct(mode), "mode 0600")
        document: Any = decode_strict_json(path.read_bytes(), _MAX_KEY_FILE_BYTES)
        private = document["priv_key"]
        if private["type"] != _PRIVATE_KIND:
            raise _malformed(path, "not an Ed25519 key")
        both = base64.b64decode(private["value"], validate=True)
        key = SigningKey(both[:32])
    except OSError as error:
        raise CometFault("comet.key_missing", "a key file cannot be read", str(error), str(path)) from None
    except (KeyError, TypeError, ValueError, binascii.Error, DecodeError):
        # The reason may quote what the file holds, so it is not passed on.
        raise _malformed(path, "not a key file of CometBFT") from None
    public_key = bytes(key.verify_key)
    claimed = document.get("pub_key", encode_public_key(public_key))
    if both[32:] != public_key or claimed != encode_public_key(public_key):
        raise _malformed(path, "the public key is not that of the private key")
    return key


def _malformed(path: Path, message: str) -> CometFault:
    return CometFault("comet.key_malformed", message, str(path), "a file made by shelian consortium keygen")


def _private_key(seed: bytes) -> dict[str, str]:
    key = SigningKey(seed)
    return {"type": _PRIVATE_KIND, "value": base64.b64encode(bytes(key) + bytes(key.verify_key)).decode()}


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"


def _write_beside(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    return temporary


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
