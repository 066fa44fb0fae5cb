"""Backups: the ledger at one height and what a node is, in one directory that can be verified by itself.

    DIR/backup.json       what it is: chain, height, hashes; canonical JSON
    DIR/backup.sha256     the digest of backup.json, as `sha256sum -c` reads it
    DIR/ledger/           the ledger: rows of one pinned view, copied into a database of their own
    DIR/genesis.json, genesis.ceremony.json
    DIR/snapshots/HEIGHT/ the snapshot that the ledger began with, while blocks below it are missing
    DIR/comet/settings.json, node_key.json

Never in it: the validator's key, nor what it signed last (`priv_validator_state.json`). A machine that signs
with an old copy of these beside another one that still runs would sign twice.

A backup is made under another name, synced, and renamed: a directory with its name is whole.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network.comet.home import CometPlace
from network.operations.saved import note_backup
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError, ShelianError
from node.chain.genesis import Genesis, decode_genesis
from node.ledger import LedgerSnapshot
from node.ledger.check import check_ledger
from node.ledger.findings import Report
from node.ledger.shelf import sync, write_error
from node.state import blocks as stored
from node.state.copying import Between, RowsDigest, copy_rows, digest_rows, opened_aside

FORMAT: Final = "shelian-backup/1"
MANIFEST: Final = "backup.json"
CHECKSUM: Final = "backup.sha256"
LEDGER: Final = "ledger"
SNAPSHOTS: Final = "snapshots"
GENESIS: Final = "genesis.json"
CEREMONY: Final = "genesis.ceremony.json"
SETTINGS: Final = "comet/settings.json"
NODE_KEY: Final = "comet/node_key.json"

_MAKING: Final = ".making"
_MOST_MANIFEST_BYTES: Final = 1 << 20
_KEYS: Final = frozenset(
    {
        "format", "chain_name", "genesis_hash", "height", "block_hash", "app_hash", "time_ns", "first_block",
        "rows", "bytes", "rows_sha256", "files",
    }
)  # fmt: skip


class BackupRefused(ShelianError):
    """A backup that cannot be made here, or is not what it says."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What `backup.json` says. `time_ns` is the block's; `files` are the others' sha256, by path."""

    chain_name: str
    genesis_hash: bytes
    height: int
    block_hash: bytes
    app_hash: bytes
    time_ns: int
    first_block: int
    rows: RowsDigest
    files: Mapping[str, str]

    def as_dict(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "chain_name": self.chain_name,
            "genesis_hash": "0x" + self.genesis_hash.hex(),
            "height": self.height,
            "block_hash": "0x" + self.block_hash.hex(),
            "app_hash": "0x" + self.app_hash.hex(),
            "time_ns": self.time_ns,
            "first_block": self.first_block,
            "rows": self.rows.rows,
            "bytes": self.rows.size,
            "rows_sha256": self.rows.sha256.hex(),
            "files": dict(self.files),
        }


# ---- making


def make_backup(
    snapshot: LedgerSnapshot, genesis: Genesis, data: Path, to: Path, between: Between = lambda done: None
) -> Backup:
    """A backup of the node whose data directory is `data`, at the height of `snapshot`, in `to`.

    Beside a running node: `snapshot` is a pinned view, and blocks go on. Raises BackupRefused backup.exists;
    LedgerError state.disk_full, state.write_failed, state.*.
    """
    if to.exists():
        raise BackupRefused("backup.exists", "there is something already; nothing is overwritten", str(to))
    making = to.with_name(to.name + _MAKING)
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        try:
            rows = copy_rows(snapshot.reads, making / LEDGER, between)
            files = _copy_files(snapshot, data, making)
            tip = snapshot.tip
            backup = Backup(
                genesis.chain_name,
                genesis.hash,
                tip.height,
                tip.block_hash,
                tip.app_hash,
                tip.time_ns,
                snapshot.first_block,
                rows,
                files,
            )
            _write_manifest(making, backup)
            _sync_tree(making)
            making.rename(to)
            sync(to.parent)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    except OSError as error:
        raise write_error(error, to) from error
    note_backup(data / "node", backup.height, time.time_ns())
    return backup


def _copy_files(snapshot: LedgerSnapshot, data: Path, making: Path) -> dict[str, str]:
    comet = CometPlace(data / "node" / "comet")
    sources: dict[str, Path] = {
        GENESIS: data / "genesis.json",
        CEREMONY: data / "genesis.ceremony.json",
        SETTINGS: comet.settings_file,
        NODE_KEY: comet.node_key_file,
    }
    shelf = data / "node" / "snapshots" / str(snapshot.base)
    if snapshot.base and snapshot.first_block and shelf.is_dir():
        for file in sorted(shelf.iterdir()):
            sources[f"{SNAPSHOTS}/{snapshot.base}/{file.name}"] = file
    digests: dict[str, str] = {}
    for name, source in sources.items():
        if source.is_file():
            place = making / name
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            place.chmod(0o600)
            digests[name] = _sha256(place)
    return digests


def _write_manifest(making: Path, backup: Backup) -> None:
    encoded = encode_canonical_json(backup.as_dict())
    (making / MANIFEST).write_bytes(encoded)
    (making / CHECKSUM).write_text(f"{hashlib.sha256(encoded).hexdigest()}  {MANIFEST}\n")


# ---- verifying


def load_backup(directory: Path) -> Backup:
    """What a backup says of itself. Raises BackupRefused backup.missing, backup.malformed, backup.hash."""
    try:
        encoded = (directory / MANIFEST).read_bytes()
        checksum = (directory / CHECKSUM).read_text(errors="replace")
    except OSError as error:
        raise BackupRefused(
            "backup.missing", f"there is no whole backup here: {error.strerror}", str(directory)
        ) from error
    digest = hashlib.sha256(encoded).hexdigest()
    if checksum != f"{digest}  {MANIFEST}\n":
        raise BackupRefused("backup.hash", f"{MANIFEST} is not what {CHECKSUM} names", digest, checksum)
    try:
        found: Any = decode_strict_json(encoded, _MOST_MANIFEST_BYTES)
        if not isinstance(found, dict) or found.keys() != _KEYS or found["format"] != FORMAT:
            raise BackupRefused("backup.malformed", "not a backup of this format", None, FORMAT)
        backup = Backup(
            found["chain_name"],
            _bytes(found["genesis_hash"]),
            found["height"],
            _bytes(found["block_hash"]),
            _bytes(found["app_hash"]),
            found["time_ns"],
            found["first_block"],
            RowsDigest(found["rows"], found["bytes"], bytes.fromhex(found["rows_sha256"])),
            found["files"],
        )
        if encode_canonical_json(backup.as_dict()) != encoded:
            raise ValueError("another form")
    except (DecodeError, ValueError, TypeError, AttributeError) as error:
        raise BackupRefused("backup.malformed", f"not a backup: {error}", str(directory)) from error
    return backup


def verify_backup(directory: Path, between: Between = lambda done: None) -> Backup:
    """Every file by its digest, every row of the ledger by theirs, and that they are of one chain and height.
    Nothing in the directory is changed.

    Raises BackupRefused backup.*; LedgerError state.* (the ledger in it cannot be read).
    """
    backup = load_backup(directory)
    for name, digest in backup.files.items():
        place = directory / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BackupRefused("backup.malformed", "a file outside the backup", name)
        got = _sha256(place) if place.is_file() else None
        if got != digest:
            raise BackupRefused("backup.file", f"{name} is missing or another one", got, digest)
    genesis = load_backup_genesis(directory)
    if (genesis.hash, genesis.chain_name) != (backup.genesis_hash, backup.chain_name):
        raise BackupRefused("backup.genesis", "the genesis is another one", genesis.hash, backup.genesis_hash)
    with (
        tempfile.TemporaryDirectory(prefix="shelian-backup-") as scratch,
        opened_aside(directory / LEDGER, Path(scratch)) as database,
        database.snapshot() as reads,
    ):
        tip = stored.load_tip(reads)
        rows = digest_rows(reads, between)
    if rows != backup.rows:
        raise BackupRefused("backup.rows", "the ledger's rows are others", rows.sha256, backup.rows.sha256)
    if tip is None or (tip.height, tip.app_hash, tip.genesis_hash) != (
        backup.height,
        backup.app_hash,
        backup.genesis_hash,
    ):
        raise BackupRefused("backup.rows", "the ledger is of another height or chain", None, backup.height)
    return backup


def check_backup(directory: Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """`check_ledger` of the ledger in it: every block executed again. Nothing in the directory is changed.

    Raises LedgerError state.*.
    """
    with tempfile.TemporaryDirectory(prefix="shelian-backup-") as scratch:
        aside = Path(scratch) / LEDGER
        aside.mkdir()
        with opened_aside(directory / LEDGER, aside):
            pass
        return check_ledger(aside, load_backup_genesis(directory), progress, snapshots=directory / SNAPSHOTS)


def load_backup_genesis(directory: Path) -> Genesis:
    """Raises BackupRefused backup.file; GenesisError genesis.*."""
    try:
        return decode_genesis((directory / GENESIS).read_bytes())
    except OSError as error:
        raise BackupRefused(
            "backup.file", f"{GENESIS} cannot be read: {error.strerror}", str(directory)
        ) from error


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("no 0x")
    return bytes.fromhex(text[2:])


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_tree(directory: Path) -> None:
    """OSError."""
    for path in sorted(directory.rglob("*"), reverse=True):
        sync(path)
    sync(directory)
