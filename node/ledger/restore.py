"""Making a ledger of a snapshot: chunks are collected, then the ledger is built of them and moved into place.

    node/ledger.restoring/chunks/      manifest, chunks that came, witness
    node/ledger.restoring/ledger/      the ledger being built, and what is sorted on the way
    node/ledger.restored/              the finished ledger, for the moment between two renames
    node/ledger.replaced/              the one without a block that was there before, until it is removed
    node/ledger/                       where it goes

1. *Collect.* Each chunk is verified by itself, against its hash in the manifest, and kept. They may come in
   any order, twice, and across restarts: what is there is there. A wrong one is refused and asked for again.
2. *Build*, when all are there, and verify (`node.ledger.building`). Cut off, it begins again.
3. *Move.* Until the last rename nothing that could be opened as a ledger is where a node looks for one.

What a state root does not cover, of what the manifest says: the block's hash, time, proposer and totals, the
last results hash, the validators of its height and the next. The header after the block covers what matters
of it (`require_header`, `require_first_header`); CometBFT knows it by itself.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.errors import LedgerError
from node.chain.genesis import Genesis
from node.chain.header import Header
from node.ledger.building import Progress, build_ledger, sync_tree
from node.ledger.chunks import open_chunk
from node.ledger.export import Witness, encode_witness
from node.ledger.manifest import (
    Manifest,
    SnapshotRefused,
    decode_manifest,
    hash_of,
    manifest_hash,
    require_app_hash,
    require_of_chain,
)
from node.ledger.shelf import (
    MANIFEST,
    WITNESS,
    SavedSnapshot,
    chunk_name,
    manifest_files,
    publish,
    sync,
    write_error,
)
from node.ledger.snapshot import LedgerSnapshot
from node.state import blocks as stored
from node.state.database import Database

_PART: Final = ".part"


class Restore:
    """Chunks of one snapshot on their way into a ledger. Make one with `begin`, which takes up what is
    there.
    """

    def __init__(self, directory: Path, genesis: Genesis, saved: SavedSnapshot, held: set[int]) -> None:
        """Only for `begin`."""
        self._directory = directory
        self._genesis = genesis
        self._saved = saved
        self._held = held

    @classmethod
    def begin(cls, ledger: Path, genesis: Genesis, encoded: bytes, app_hash: bytes) -> Restore:
        """A restore of the snapshot with this manifest, to be put at `ledger` in the end.

        `app_hash` is the state root that the caller trusts: of a header that it has verified. What was
        collected of the same snapshot before is kept, of any other removed.
        Raises SnapshotRefused snapshot.format, snapshot.manifest, snapshot.other_chain, snapshot.app_hash;
        LedgerError state.disk_full, state.write_failed.
        """
        directory = _restoring(ledger)
        chunks = directory / "chunks"
        manifest = check_offer(encoded, genesis, app_hash)
        try:
            if not _is_of(chunks, encoded):
                shutil.rmtree(directory, ignore_errors=True)
                chunks.mkdir(parents=True)
                # The manifest last: what is there belongs to it.
                for name, data in reversed(manifest_files(encoded).items()):
                    _write(chunks / name, data)
            for unfinished in chunks.glob("*" + _PART):
                unfinished.unlink()
            saved = SavedSnapshot(chunks, manifest, encoded, manifest_hash(encoded))
            held = {index for index in range(len(manifest.chunks)) if _is_sound(saved, index)}
        except OSError as error:
            raise write_error(error, directory) from error
        return cls(directory, genesis, saved, held)

    @property
    def manifest(self) -> Manifest:
        return self._saved.manifest

    @property
    def hash(self) -> bytes:
        """Of the manifest: the snapshot's name."""
        return self._saved.hash

    @property
    def missing(self) -> tuple[int, ...]:
        """Indexes of the chunks that are not there yet."""
        return tuple(index for index in range(len(self.manifest.chunks)) if index not in self._held)

    def add_chunk(self, index: int, data: bytes) -> None:
        """Verify a chunk and keep it; one that is there already is kept as it is.

        Raises SnapshotRefused snapshot.no_such_chunk, snapshot.chunk_* (see `open_chunk`); LedgerError
        state.disk_full, state.write_failed.
        """
        hashes = self.manifest.chunks
        if not 0 <= index < len(hashes):
            raise SnapshotRefused("snapshot.no_such_chunk", "there is no such chunk", index, len(hashes))
        open_chunk(index, data, hashes[index])
        if index not in self._held:
            try:
                _write(self._saved.directory / chunk_name(index), data)
            except OSError as error:
                raise write_error(error, self._directory) from error
            self._held.add(index)

    def add_witness(self, witness: Witness) -> None:
        """Header and commit of the block, verified before: they go into the ledger."""
        try:
            _write(self._saved.directory / WITNESS, encode_witness(witness))
        except OSError as error:
            raise write_error(error, self._directory) from error

    def build(self, progress: Progress = lambda done, total: None) -> RestoredLedger:
        """The whole ledger, verified, not yet in its place.

        Raises SnapshotRefused snapshot.chunk_missing, what `build_ledger` raises; LedgerError state.*.
        """
        making = self._directory / "ledger"
        shutil.rmtree(making, ignore_errors=True)
        build_ledger(making, self._genesis, self._saved, progress)
        return RestoredLedger(making, self._saved)

    def abandon(self) -> None:
        """Remove everything collected: the snapshot itself is no good, or is not wanted any more."""
        shutil.rmtree(self._directory, ignore_errors=True)


def check_offer(encoded: bytes, genesis: Genesis, app_hash: bytes) -> Manifest:
    """The manifest of a snapshot of this chain and this state.

    Raises SnapshotRefused snapshot.format, snapshot.manifest, snapshot.other_chain, snapshot.app_hash.
    """
    manifest = decode_manifest(encoded)
    require_of_chain(manifest, genesis.chain_name, genesis.hash)
    require_app_hash(manifest, app_hash)
    return manifest


def require_first_header(snapshot: LedgerSnapshot, header: Header) -> None:
    """What the first header after a ledger's base says of it: of everything in the manifest that the state
    root does not cover, all that counts for what follows.

    Raises LedgerError ledger.base_differs (got and expected: name and value): the snapshot's maker lied where
    the state cannot tell. Such a ledger is restored anew from another snapshot.
    """
    record, seam = snapshot.block(snapshot.base), snapshot.seam
    if header.height != snapshot.base + 1 or record is None:
        raise LedgerError(
            "ledger.base_differs", "not the first header", ["height", header.height], snapshot.base + 1
        )
    last_hash = header.last_block_id.hash
    for name, got, expected in (
        # The first block of a chain that goes on names none before it.
        ("block hash", b"" if seam and seam.height == record.height else record.hash, last_hash),
        ("app hash", record.state_root, header.app_hash),
        ("last results hash", record.results_hash, header.last_results_hash),
        ("validators", hash_of(snapshot.validators(header.height)), header.validators_hash),
        ("next validators", hash_of(snapshot.validators(header.height + 1)), header.next_validators_hash),
    ):
        if got != expected:
            raise LedgerError(
                "ledger.base_differs",
                "the snapshot that this ledger began with is not what the next header says",
                [name, got],
                [name, expected],
            )


# ---- moving


@dataclass(frozen=True, slots=True)
class RestoredLedger:
    """A whole ledger that is not in its place yet, and the snapshot it was made of."""

    path: Path
    snapshot: SavedSnapshot

    def put_in_place(self, ledger: Path, shelf: Path) -> None:
        """Move the snapshot to the node's shelf and the ledger to where the node looks for it.

        A ledger that is there already may hold nothing but the genesis; it is removed. Raises LedgerError
        ledger.has_blocks, state.locked, state.write_failed, state.disk_full.
        """
        restored = _restored(ledger)
        require_without_blocks(ledger)
        try:
            shelf.mkdir(parents=True, exist_ok=True)
            place = shelf / str(self.snapshot.manifest.height)
            if not place.exists():
                publish(self.snapshot.directory, place)
            shutil.rmtree(restored, ignore_errors=True)
            sync_tree(self.path)
            self.path.rename(restored)
            sync(restored.parent)
            finish_restore(ledger)
            shutil.rmtree(_restoring(ledger), ignore_errors=True)
        except OSError as error:
            raise write_error(error, ledger) from error


def finish_restore(ledger: Path) -> None:
    """Put a restored ledger into its place, if that was cut off between the renames. Before opening.

    Raises LedgerError ledger.has_blocks, state.write_failed.
    """
    restored, replaced = _restored(ledger), ledger.with_name(ledger.name + ".replaced")
    try:
        if restored.exists():
            require_without_blocks(ledger)
            shutil.rmtree(replaced, ignore_errors=True)
            if ledger.exists():
                ledger.rename(replaced)
            restored.rename(ledger)
            sync(ledger.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise write_error(error, ledger) from error


def require_without_blocks(ledger: Path) -> None:
    """Whether a snapshot may be restored to this place.

    Raises LedgerError ledger.has_blocks, state.locked, state.*.
    """
    try:
        with Database.open(ledger) as database, database.snapshot() as reads:
            tip = stored.load_tip(reads)
    except LedgerError as error:
        if error.code == "state.missing":
            return
        raise
    if tip is not None and tip.height > 0:
        raise LedgerError(
            "ledger.has_blocks", "there is a ledger with blocks already", [str(ledger), tip.height], "none"
        )


def _restoring(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".restoring")


def _restored(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".restored")


def _is_of(chunks: Path, encoded: bytes) -> bool:
    """Whether what is there belongs to the snapshot of this manifest."""
    try:
        return (chunks / MANIFEST).read_bytes() == encoded
    except OSError:
        return False


def _is_sound(saved: SavedSnapshot, index: int) -> bool:
    """Whether the chunk is there; one that is not what it should be is removed."""
    try:
        saved.load_chunk(index)
    except SnapshotRefused:
        (saved.directory / chunk_name(index)).unlink(missing_ok=True)
        return False
    return True


def _write(file: Path, data: bytes) -> None:
    """The file is there as a whole or not at all, unless the power is cut. OSError."""
    unfinished = file.with_name(file.name + _PART)
    unfinished.write_bytes(data)
    unfinished.replace(file)
