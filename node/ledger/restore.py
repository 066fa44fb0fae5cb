"""Making a ledger of a snapshot: chunks are collected, then the ledger is built of them and moved into place.

    node/ledger.restoring/chunks/      manifest, chunks that came, witness
    node/ledger.restoring/ledger/      the ledger being built, and what is sorted on the way
    node/ledger.restored/              the finished ledger, for the moment between two renames
    node/ledger.replaced/              the one without a block that was there before, until it is removed
    node/ledger/                       where it goes

1. *Collect.* Each chunk is verified by itself, against its hash in the manifest, and kept. They may come in
   any order, twice, and across restarts: what is there is there. A wrong one is refused and asked for again.
2. *Build*, when all are there: every record in order, each storage trie against its account's root, the
   account trie against the app hash that the caller trusts, the rules and the validator table against the
   manifest. Nothing is read twice, memory does not grow with the state. Cut off, it begins again.
3. *Move.* Until the last rename nothing that could be opened as a ledger is where a node looks for one.

What a state root does not cover, of what the manifest says: the block's hash, time, proposer and totals, the
last results hash, the validators of its height and the next. The header after the block covers what matters
of it (`require_header`, `require_first_header`); CometBFT knows it by itself.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.commit import encode_commit
from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.chain.header import Header, encode_header
from node.chain.rules import CONSORTIUM, rules_at
from node.chain.validators import Validator
from node.ledger.chunks import ACCOUNT, CODE, OWNER, SLOT, open_chunk, split_chunk
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
from node.ledger.membership import load_validator_table
from node.ledger.shelf import MANIFEST, WITNESS, SavedSnapshot, chunk_name, manifest_files, publish
from node.ledger.snapshot import LedgerSnapshot
from node.state import blocks as stored
from node.state.account import EMPTY_CODE_HASH, Account, decode_account, encode_account, encode_storage
from node.state.base import Base, add_base
from node.state.building import TrieBuilder
from node.state.database import Batch, Database
from node.state.history import History, add_history
from node.state.nodes import EMPTY_ROOT
from node.state.tables import ACCOUNTS, CODES, NODES, SLOTS, decode_slot, encode_height
from node.state.views import FlatView

Progress = Callable[[int, int], None]
"""Called with (chunks done, chunks in all)."""

_ROWS: Final = 20_000
"""Rows of a batch; some megabytes."""

_PART: Final = ".part"
_ACCOUNTS: Final = "accounts"
_STORAGE: Final = "storage"
"""Directories where keys are sorted."""


# ---- collecting


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
            raise _write_error(error, directory) from error
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
                raise _write_error(error, self._directory) from error
            self._held.add(index)

    def add_witness(self, witness: Witness) -> None:
        """Header and commit of the block, verified before: they go into the ledger."""
        try:
            _write(self._saved.directory / WITNESS, encode_witness(witness))
        except OSError as error:
            raise _write_error(error, self._directory) from error

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
    record = snapshot.block(snapshot.base)
    if header.height != snapshot.base + 1 or record is None:
        raise LedgerError(
            "ledger.base_differs", "not the first header", ["height", header.height], snapshot.base + 1
        )
    for name, got, expected in (
        ("block hash", record.hash, header.last_block_id.hash),
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
            _sync_tree(self.path)
            self.path.rename(restored)
            _sync(restored.parent)
            finish_restore(ledger)
            shutil.rmtree(_restoring(ledger), ignore_errors=True)
        except OSError as error:
            raise _write_error(error, ledger) from error


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
            _sync(ledger.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise _write_error(error, ledger) from error


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


# ---- building


def build_ledger(
    path: Path, genesis: Genesis, saved: SavedSnapshot, progress: Progress = lambda done, total: None
) -> None:
    """A ledger at `path`, which is not there, that begins with this snapshot. On the disk when it returns.

    Raises SnapshotRefused, with the chunk's index first in `got` where one is at fault: snapshot.chunk_*,
    snapshot.order, snapshot.account, snapshot.slot, snapshot.owner, snapshot.storage_root, snapshot.code,
    snapshot.counts, snapshot.state_root, snapshot.rules, snapshot.validators, snapshot.witness; LedgerError
    state.*.
    """
    manifest = saved.manifest
    witness = saved.load_witness()
    sorting = path.with_name(path.name + ".sorting")
    shutil.rmtree(sorting, ignore_errors=True)
    try:
        for part in (_ACCOUNTS, _STORAGE):
            (sorting / part).mkdir(parents=True)
        with Database.create(path) as database:
            state = _StateBuilder(database, manifest, sorting)
            for index, raw in enumerate(saved.load_chunks()):
                state.add(index, raw)
                progress(index + 1, len(manifest.chunks))
            state.finish()
            _require_consistent(database, genesis, manifest)
            _write_blocks(database, genesis, saved, witness)
        _sync_tree(path)
    except OSError as error:
        raise _write_error(error, path) from error
    finally:
        shutil.rmtree(sorting, ignore_errors=True)


class _StateBuilder:
    """Records in order into the flat tables and tries of a database. Batches are not synced: an unfinished
    directory is of no use anyway.
    """

    def __init__(self, database: Database, manifest: Manifest, sorting: Path) -> None:
        self._database = database
        self._manifest = manifest
        self._sorting = sorting
        self._batch = Batch()
        self._birth = encode_height(manifest.height)
        self._accounts = TrieBuilder(self._node_adder(b""), sorting / _ACCOUNTS)
        self._address = b""
        self._account: Account | None = None
        self._storage: TrieBuilder | None = None
        self._slot = b""
        self._codes: set[bytes] = set()
        self._code = b""
        self._counts = [0, 0, 0]
        self._raw_bytes = 0

    def add(self, index: int, raw: bytes) -> None:
        """The next chunk."""
        self._raw_bytes += len(raw)
        for place, (kind, key, value) in enumerate(split_chunk(index, raw)):
            if kind == SLOT:
                self._add_slot(index, key, value)
            elif kind == ACCOUNT:
                self._add_account(index, key, value)
            elif kind == CODE:
                self._add_code(index, value)
            elif kind == OWNER and (place or self._storage is None or key != self._address):
                raise SnapshotRefused(
                    "snapshot.owner", "the chunk goes on with another account", [index, key], self._address
                )
            if len(self._batch) > _ROWS:
                self._flush()

    def finish(self) -> None:
        """After the last chunk."""
        last = len(self._manifest.chunks) - 1
        self._end_storage(last)
        missing = next(iter(self._codes), None)
        if missing is not None:
            raise SnapshotRefused("snapshot.code", "the code of an account is missing", [last, missing])
        manifest = self._manifest
        expected = [manifest.accounts, manifest.slots, manifest.codes, manifest.raw_bytes]
        counted = [*self._counts, self._raw_bytes]
        if counted != expected:
            raise SnapshotRefused(
                "snapshot.counts", "more or fewer accounts, slots, codes or bytes", counted, expected
            )
        root = self._accounts.root()
        if root != self._manifest.app_hash:
            raise SnapshotRefused(
                "snapshot.state_root",
                "the state is not the one of the app hash",
                root,
                self._manifest.app_hash,
            )
        self._flush()

    def _add_account(self, index: int, address: bytes, row: bytes) -> None:
        self._end_storage(index)
        if address <= self._address or self._code:
            raise SnapshotRefused("snapshot.order", "accounts are out of order", [index, address])
        try:
            account = decode_account(row)
        except LedgerError as error:
            raise SnapshotRefused("snapshot.account", error.message, [index, address]) from error
        if encode_account(account) != row:
            raise SnapshotRefused("snapshot.account", "an account is not canonical", [index, address])
        self._address, self._account, self._slot = address, account, b""
        if account.storage_root != EMPTY_ROOT:
            self._storage = TrieBuilder(self._node_adder(address), self._sorting / _STORAGE)
        if account.code_hash != EMPTY_CODE_HASH:
            self._codes.add(account.code_hash)
        self._batch.put(ACCOUNTS, address, row)
        self._accounts.put(keccak256(address), row)
        self._counts[0] += 1

    def _add_slot(self, index: int, slot: bytes, value: bytes) -> None:
        if self._storage is None:
            raise SnapshotRefused("snapshot.slot", "storage of an account without storage", [index, slot])
        if slot <= self._slot and self._slot:
            raise SnapshotRefused("snapshot.order", "slots are out of order", [index, self._address, slot])
        try:
            number = decode_slot(value)
        except LedgerError as error:
            raise SnapshotRefused("snapshot.slot", error.message, [index, self._address, slot]) from error
        self._slot = slot
        self._batch.rows[SLOTS.prefix + self._address + slot] = value
        self._storage.put(keccak256(slot), encode_storage(number))
        self._counts[1] += 1

    def _add_code(self, index: int, code: bytes) -> None:
        self._end_storage(index)
        code_hash = keccak256(code)
        if code_hash <= self._code:
            raise SnapshotRefused("snapshot.order", "codes are out of order", [index, code_hash])
        if code_hash not in self._codes:
            raise SnapshotRefused("snapshot.code", "a code that no account has", [index, code_hash])
        self._codes.remove(code_hash)
        self._code = code_hash
        self._batch.put(CODES, code_hash, code)
        self._counts[2] += 1

    def _end_storage(self, index: int) -> None:
        """The account before is complete: its storage must give its root."""
        if self._storage is not None and self._account is not None:
            root = self._storage.root()
            if root != self._account.storage_root:
                raise SnapshotRefused(
                    "snapshot.storage_root",
                    "the storage of an account is not the one of its root",
                    [index, self._address, root],
                    self._account.storage_root,
                )
        self._storage = self._account = None

    def _node_adder(self, owner: bytes) -> Callable[[Mapping[bytes, bytes]], None]:
        prefix, birth = NODES.prefix + owner, self._birth

        def add(nodes: Mapping[bytes, bytes]) -> None:
            rows = self._batch.rows
            for node_hash, node in nodes.items():
                rows[prefix + node_hash] = birth + node
            if len(rows) > _ROWS:
                self._flush()

        return add

    def _flush(self) -> None:
        if self._batch.rows:
            self._database.write(self._batch, sync=False, remember=False)
            self._batch.rows.clear()


def _require_consistent(database: Database, genesis: Genesis, manifest: Manifest) -> None:
    """What of the manifest follows from the state."""
    with database.snapshot() as reads:
        view = FlatView(reads, manifest.app_hash)
        rules = rules_at(manifest.height + 1, genesis.rules, lambda slot: view.storage(CONSORTIUM, slot))
        table = load_validator_table(view)
    if rules != manifest.rules:
        raise SnapshotRefused("snapshot.rules", "the rules are not those of the state", manifest.rules, rules)
    # A table that no network could run with is passed over (`node.ledger.membership`).
    if table is not None and _stored(table) != manifest.validators[2]:
        raise SnapshotRefused(
            "snapshot.validators",
            "the validators are not those of the state",
            hash_of(manifest.validators[2]),
            hash_of(_stored(table)),
        )


def _write_blocks(
    database: Database, genesis: Genesis, saved: SavedSnapshot, witness: Witness | None
) -> None:
    """Everything but the state; with the tip, which makes it a ledger, in the last batch."""
    manifest, block = saved.manifest, saved.manifest.block
    height = block.height
    signers, following, after_it = manifest.validators
    batch = Batch()
    stored.add_genesis(batch, encode_genesis(genesis))
    stored.add_block(batch, block, (), (), (), None if witness is None else encode_header(witness.header))
    if witness is not None:
        stored.add_seen_commit(batch, height, encode_commit(witness.commit))
    stored.add_validators(batch, height, signers)
    if following != signers:
        stored.add_validators(batch, height + 1, following)
    if after_it != following:
        stored.add_validators(batch, height + 2, after_it)
    add_history(batch, History(oldest=height))
    add_base(batch, Base(height, saved.hash))
    stored.add_tip(
        batch,
        stored.Tip(
            height=height,
            block_hash=block.hash,
            time_ns=block.time_ns,
            app_hash=block.state_root,
            last_results_hash=block.results_hash,
            genesis_hash=genesis.hash,
            validators=following,
            next_validators=after_it,
        ),
    )
    database.write(batch)


def _stored(validators: Iterable[Validator]) -> tuple[stored.StoredValidator, ...]:
    return tuple(stored.StoredValidator(one.public_key, one.power) for one in validators)


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


def _sync_tree(directory: Path) -> None:
    for name in (*sorted(directory.iterdir()), directory):
        _sync(name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_error(error: OSError, place: Path) -> LedgerError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = "state.disk_full" if full else "state.write_failed"
    return LedgerError(code, f"cannot write the restored ledger: {error.strerror}", str(place))
