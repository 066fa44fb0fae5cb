"""Where a node keeps its snapshots: one directory each, named by its height.

    DATA/node/snapshots/HEIGHT/manifest.json     canonical; its sha256 names the snapshot
                               manifest.sha256   that, as `sha256sum -c` reads it
                               000000.chunk …    see `node.ledger.chunks`
                               witness.json      header and commit of the block, where they were there
    DATA/node/snapshots/HEIGHT.making/           one that is being made, or was when the machine stopped

A snapshot is written under the second name, synced, and renamed: one that has the first name is whole. A
half-made one is removed by the next `create` or `clean`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.errors import LedgerError
from node.chain.genesis import Genesis
from node.ledger.chunks import MAX_CHUNK_BYTES, open_chunk, seal_chunk
from node.ledger.export import (
    MAX_WITNESS_BYTES,
    Witness,
    decode_witness,
    encode_witness,
    export_state,
    load_witness,
)
from node.ledger.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    SnapshotRefused,
    decode_manifest,
    encode_manifest,
    manifest_hash,
)
from node.ledger.snapshot import LedgerSnapshot

MANIFEST: Final = "manifest.json"
CHECKSUM: Final = "manifest.sha256"
WITNESS: Final = "witness.json"

_MAKING: Final = ".making"
_HEIGHT: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def chunk_name(index: int) -> str:
    return f"{index:06d}.chunk"


def manifest_files(encoded: bytes) -> dict[str, bytes]:
    """The files of a manifest, by name."""
    return {MANIFEST: encoded, CHECKSUM: f"{manifest_hash(encoded).hex()}  {MANIFEST}\n".encode()}


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """A snapshot in a directory. `encoded` is the manifest as it lies there, `hash` its name."""

    directory: Path
    manifest: Manifest
    encoded: bytes
    hash: bytes

    @classmethod
    def load(cls, directory: Path) -> SavedSnapshot:
        """Raises SnapshotRefused snapshot.missing, snapshot.hash, snapshot.manifest, snapshot.format."""
        encoded = _read(directory / MANIFEST, MAX_MANIFEST_BYTES)
        if encoded is None:
            raise SnapshotRefused("snapshot.missing", "there is no snapshot here", str(directory))
        checksum = _read(directory / CHECKSUM, MAX_MANIFEST_BYTES)
        if checksum != manifest_files(encoded)[CHECKSUM]:
            raise SnapshotRefused(
                "snapshot.hash",
                "the manifest is not what its checksum says",
                manifest_hash(encoded),
                checksum,
            )
        return cls(directory, decode_manifest(encoded), encoded, manifest_hash(encoded))

    def load_stored(self, index: int) -> bytes | None:
        """A chunk as it is sent; None where there is none."""
        return _read(self.directory / chunk_name(index), MAX_CHUNK_BYTES)

    def load_chunk(self, index: int) -> bytes:
        """What is in a chunk. Raises SnapshotRefused snapshot.chunk_missing and those of `open_chunk`."""
        stored = self.load_stored(index)
        if stored is None:
            raise SnapshotRefused("snapshot.chunk_missing", "a chunk is missing", index)
        return open_chunk(index, stored, self.manifest.chunks[index])

    def load_chunks(self) -> Iterator[bytes]:
        """What is in the chunks, in order. Raises as `load_chunk`."""
        return map(self.load_chunk, range(len(self.manifest.chunks)))

    def load_witness(self) -> Witness | None:
        """Verified against the manifest. Raises SnapshotRefused snapshot.witness."""
        encoded = _read(self.directory / WITNESS, MAX_WITNESS_BYTES)
        return None if encoded is None else decode_witness(encoded, self.manifest)

    @property
    def stored_bytes(self) -> int:
        """On the disk."""
        return sum(file.stat().st_size for file in self.directory.iterdir())


class Shelf:
    """The snapshots of one node, in a directory that need not be there yet. Threads may share it.

    Every method raises LedgerError state.unreadable, state.write_failed when the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def heights(self) -> tuple[int, ...]:
        """Of the whole snapshots, newest first."""
        names = [entry.name for entry in self._entries() if _HEIGHT.fullmatch(entry.name)]
        return tuple(sorted(map(int, names), reverse=True))

    def find(self, height: int) -> SavedSnapshot | None:
        """Raises SnapshotRefused where there is one that cannot be read."""
        directory = self.directory / str(height)
        return SavedSnapshot.load(directory) if directory.is_dir() else None

    def create(
        self,
        snapshot: LedgerSnapshot,
        genesis: Genesis,
        between: Callable[[int], None] = lambda index: None,
    ) -> SavedSnapshot:
        """Make the snapshot of the tip of `snapshot`, or find the one that is there.

        `between` is called after each chunk with its index: to tell how far it is, or to let others run;
        what it raises ends the making. Raises LedgerError snapshot.no_block, snapshot.too_large,
        state.disk_full, state.write_failed, state.*.
        """
        height = snapshot.tip.height
        place = self.directory / str(height)
        if place.is_dir():
            return SavedSnapshot.load(place)
        making = place.with_name(place.name + _MAKING)

        def add_chunk(index: int, raw: bytes) -> None:
            _write(making / chunk_name(index), seal_chunk(raw))
            between(index)

        try:
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            manifest = export_state(snapshot, genesis, add_chunk)
            witness = load_witness(snapshot)
            if witness is not None:
                _write(making / WITNESS, encode_witness(witness))
            for name, data in manifest_files(encode_manifest(manifest)).items():
                _write(making / name, data)
            publish(making, place)
        except OSError as error:
            raise write_error(error, making) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return SavedSnapshot.load(place)

    def keep(self, newest: int, besides: Collection[int] = ()) -> tuple[int, ...]:
        """Remove all but the `newest` ones and those of the heights `besides`; which were removed."""
        gone = tuple(height for height in self.heights()[newest:] if height not in besides)
        for height in gone:
            self._remove(self.directory / str(height))
        return gone

    def clean(self) -> None:
        """Remove what unfinished makings and removals have left. While no snapshot is being made."""
        for entry in self._entries():
            if entry.name.endswith(_MAKING):
                shutil.rmtree(entry, ignore_errors=True)

    def _remove(self, place: Path) -> None:
        """Under another name first: what has the height's name is whole."""
        removing = place.with_name(place.name + _MAKING)
        shutil.rmtree(removing, ignore_errors=True)
        try:
            place.rename(removing)
        except FileNotFoundError:
            return
        except OSError as error:
            raise write_error(error, place) from error
        shutil.rmtree(removing, ignore_errors=True)

    def _entries(self) -> list[Path]:
        try:
            return [entry for entry in self.directory.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LedgerError(
                "state.unreadable", f"cannot read: {error.strerror}", str(self.directory)
            ) from error


def publish(making: Path, place: Path) -> None:
    """Sync a directory with all its files and give it its name. OSError."""
    for file in sorted(making.iterdir()):
        sync(file)
    sync(making)
    making.rename(place)
    sync(place.parent)


def _write(file: Path, data: bytes) -> None:
    """OSError."""
    file.write_bytes(data)


def _read(file: Path, most: int) -> bytes | None:
    """The file, cut after one byte more than allowed; None if there is none."""
    try:
        with file.open("rb") as stream:
            return stream.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LedgerError("state.unreadable", f"cannot read: {error.strerror}", str(file)) from error


def sync(path: Path) -> None:
    """A file's bytes, or a directory's names, onto the disk. OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(error: OSError, place: Path) -> LedgerError:
    """As state.disk_full or state.write_failed."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = "state.disk_full" if full else "state.write_failed"
    return LedgerError(code, f"cannot write: {error.strerror}", str(place))
