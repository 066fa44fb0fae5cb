"""Building a ledger of a snapshot's records: everything is verified on the way, nothing read twice.

Every record goes, in order, into the flat tables; each storage trie is built and compared with its account's
root as soon as the account is complete, the account trie with the app hash at the end. Memory does not grow
with the state (`node.state.building`). What follows from the state is compared with the manifest. The tip,
without which the directory is no ledger, is in the last batch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from node.chain.commit import encode_commit
from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.chain.header import encode_header
from node.chain.rules import CONSORTIUM, rules_at
from node.chain.validators import Validator
from node.ledger.chunks import ACCOUNT, CODE, OWNER, SLOT, split_chunk
from node.ledger.export import Witness
from node.ledger.manifest import Manifest, SnapshotRefused, hash_of
from node.ledger.membership import load_validator_table
from node.ledger.shelf import SavedSnapshot, sync, write_error
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

_ACCOUNTS: Final = "accounts"
_STORAGE: Final = "storage"
"""Directories where keys are sorted."""


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
        sync_tree(path)
    except OSError as error:
        raise write_error(error, path) from error
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


def sync_tree(directory: Path) -> None:
    """The directory and everything in it onto the disk. OSError."""
    for name in (*sorted(directory.iterdir()), directory):
        sync(name)
