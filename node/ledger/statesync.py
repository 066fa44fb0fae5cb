"""Snapshots as ABCI's state sync asks for them: list, load, offer, apply. Plain values, no protobuf.

A serving node lists what is on its shelf; a joining node's CometBFT offers what its peers list, with the app
hash that its light client has verified, then applies chunk after chunk. The listed hash is the manifest's,
the metadata the manifest itself. Source: CometBFT v0.40, spec/abci ("State Sync"), statesync/syncer.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from node.chain.errors import ShelianError
from node.chain.genesis import Genesis
from node.ledger.manifest import SnapshotRefused, decode_manifest, manifest_hash
from node.ledger.restore import Restore, RestoredLedger
from node.ledger.shelf import Shelf

FORMAT: Final = 1
"""ABCI's number of the format `shelian-snapshot/1`."""

MOST_LISTED: Final = 10
"""CometBFT's nodes pass on no more."""

_HEADERS_AFTER: Final = 2
"""A joining node's light client asks for the headers of these many heights after the snapshot's."""

OnRefusal = Callable[[ShelianError], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A snapshot as it is told to peers."""

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes


class Offered(Enum):
    """Answer to an offer; the values are ABCI's."""

    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4
    REJECT_SENDER = 5


class Result(Enum):
    """What became of a chunk; the values are ABCI's."""

    ACCEPT = 1
    ABORT = 2
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to a chunk: what became of it, which chunks to fetch again, from whom to take no more."""

    result: Result
    refetch: tuple[int, ...] = ()
    reject_senders: tuple[str, ...] = ()


def list_snapshots(shelf: Shelf, newest: int, first: int = 1) -> tuple[Listed, ...]:
    """Newest first, of those whose two following headers are there: `newest` is the greatest height whose
    header and commit this network's nodes give out, `first` the first one of this genesis: a snapshot from
    before it is of another chain. One that cannot be read is left out.
    """
    listed: list[Listed] = []
    for height in shelf.heights():
        if height < first or height + _HEADERS_AFTER > newest or len(listed) == MOST_LISTED:
            continue
        try:
            saved = shelf.find(height)
        except ShelianError:
            continue
        if saved is not None:
            listed.append(Listed(height, FORMAT, len(saved.manifest.chunks), saved.hash, saved.encoded))
    return tuple(listed)


def load_chunk(shelf: Shelf, height: int, format: int, index: int) -> bytes | None:
    """The chunk as it is sent; None where this node does not have it (any more)."""
    if format != FORMAT or height < 1 or index < 0:
        return None
    try:
        saved = shelf.find(height)
        if saved is None or index >= len(saved.manifest.chunks):
            return None
        return saved.load_stored(index)
    except ShelianError:
        return None


class Receiving:
    """The joining side: one offer at a time, then its chunks. Not for several threads.

    When the last chunk is applied the ledger is built and verified, and `restored` is there to be put in
    place; `Ledger.replace` does that in a running node. Why something was refused goes to `on_refusal`.
    """

    def __init__(self, ledger: Path, genesis: Genesis, on_refusal: OnRefusal = lambda error: None) -> None:
        """`ledger`: where the ledger is to go."""
        self._ledger = ledger
        self._genesis = genesis
        self._on_refusal = on_refusal
        self._restore: Restore | None = None
        self.restored: RestoredLedger | None = None

    def offer(
        self, height: int, format: int, chunks: int, hash: bytes, metadata: bytes, app_hash: bytes
    ) -> Offered:
        """Whether to restore this snapshot; `app_hash` is what CometBFT's light client has verified.

        Raises LedgerError state.* when the disk cannot take it.
        """
        self._restore = self.restored = None
        if format != FORMAT:
            return Offered.REJECT_FORMAT
        if manifest_hash(metadata) != hash:
            self._on_refusal(
                SnapshotRefused(
                    "snapshot.hash", "the manifest is not what its hash names", manifest_hash(metadata), hash
                )
            )
            return Offered.REJECT_SENDER
        try:
            manifest = decode_manifest(metadata)
            if (manifest.height, len(manifest.chunks)) != (height, chunks):
                raise SnapshotRefused(
                    "snapshot.manifest",
                    "the manifest is of another height or number of chunks",
                    [manifest.height, len(manifest.chunks)],
                    [height, chunks],
                )
            self._restore = Restore.begin(self._ledger, self._genesis, metadata, app_hash)
        except SnapshotRefused as error:
            self._on_refusal(error)
            return Offered.REJECT_FORMAT if error.code == "snapshot.format" else Offered.REJECT
        return Offered.ACCEPT

    def apply(self, index: int, chunk: bytes, sender: str) -> Applied:
        """Take a chunk. A wrong one is to be fetched again, and not from its sender; one that is sound but
        shows that the snapshot is not, ends it.

        Raises LedgerError state.* when the disk cannot take it.
        """
        restore = self._restore
        if restore is None:
            return Applied(Result.ABORT)
        try:
            restore.add_chunk(index, chunk)
        except SnapshotRefused as error:
            self._on_refusal(error)
            return Applied(Result.RETRY, (index,), (sender,) if sender else ())
        if restore.missing or index != len(restore.manifest.chunks) - 1:
            return Applied(Result.ACCEPT)
        try:
            self.restored = restore.build()
        except SnapshotRefused as error:
            self._on_refusal(error)
            restore.abandon()
            self._restore = None
            return Applied(Result.REJECT_SNAPSHOT)
        return Applied(Result.ACCEPT)
