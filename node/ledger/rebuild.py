"""Two ways to make a ledger of salvaged blocks: from the state that is there, or by executing every block.

`rebuild_from_state` copies: blocks and receipts that later headers confirm, the trie under the last state
root (every node checked by its hash), the flat tables made anew from its leaves, all indexes made anew. It is
quick and holds no older states. The trie knows accounts and slots only by the hashes of their keys, so it
needs the keys of the flat tables, though not their values. Where anything is missing it gives up:
`NotRebuildable`.

`rebuild_by_execution` needs the blocks alone: it begins at the genesis, and every block must give the state
and the results that the header after it states. It takes as long as `shelian check`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from node.chain.commit import encode_commit, verify_commit
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, LedgerError, ProofError
from node.chain.genesis import encode_genesis
from node.chain.header import encode_header
from node.chain.receipt import Log, TransactionResult, decode_receipt, results_hash
from node.chain.validators import Validator
from node.ledger.blocks import DecidedBlock
from node.ledger.ledger import Ledger
from node.ledger.membership import load_validator_table
from node.ledger.salvaged import Broken, SalvagedBlocks, WholeBlock
from node.state import blocks as stored
from node.state import trie
from node.state.account import EMPTY_CODE_HASH, decode_account, decode_storage
from node.state.blocks import BlockRecord, StoredReceipt, StoredValidator
from node.state.database import Batch, Database
from node.state.history import History, add_history
from node.state.nodes import EMPTY_ROOT
from node.state.pruning import Keeping
from node.state.tables import ACCOUNTS, CODES, NODES, SLOTS, decode_height
from node.state.views import FlatView

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all)."""

_ROWS: Final = 20_000
"""Rows of a batch; some megabytes."""


class NotRebuildable(Exception):
    """What `rebuild_from_state` would need cannot be read."""


def rebuild_from_state(blocks: SalvagedBlocks, height: int, path: Path, progress: Progress) -> None:
    """A ledger at `path` with the blocks up to `height`, at least 1, and the state after it.

    Raises NotRebuildable; LedgerError state.disk_full, state.*.
    """
    with Database.create(path) as database:
        writer = _Writer(database)
        last = _copy_blocks(blocks, height, writer, progress)
        record = blocks.record(height)
        assert record is not None  # noqa: S101 (for the type checker: it was copied)
        _copy_state(blocks, record.state_root, height, writer)
        next_validators = blocks.validators(height + 2, None)
        if last.signers is None or last.next_signers is None or next_validators is None:
            raise NotRebuildable("validators")
        for start, validators in blocks.validator_rows():
            if start <= height + 2:
                stored.add_validators(writer.batch, start, _stored(validators))
        writer.flush()
        batch = Batch()
        stored.add_genesis(batch, encode_genesis(blocks.genesis))
        stored.add_seen_commit(batch, height, encode_commit(last.commit))
        add_history(batch, History(oldest=height))
        stored.add_tip(
            batch,
            stored.Tip(
                height=height,
                block_hash=last.hash,
                time_ns=record.time_ns,
                app_hash=record.state_root,
                last_results_hash=record.results_hash,
                genesis_hash=blocks.genesis.hash,
                validators=_stored(last.next_signers),
                next_validators=_stored(next_validators),
            ),
        )
        database.write(batch)
        with database.snapshot() as reads:
            table = load_validator_table(FlatView(reads, record.state_root))
        if table is not None and table != next_validators:
            raise NotRebuildable("validators")
    sync_tree(path)


def rebuild_by_execution(
    blocks: SalvagedBlocks, height: int, path: Path, keeping: Keeping, progress: Progress
) -> Broken | None:
    """A ledger at `path` with the blocks up to `height`; what `keeping` does not keep is pruned on the way.

    Ends early, with the reason, at a block that does not do what the headers or its record say. Raises
    LedgerError state.disk_full, state.*.
    """
    broken: Broken | None = None
    with Ledger.create(path, blocks.genesis, retention=keeping) as ledger:
        for block in islice(blocks.whole(), height):
            if isinstance(block, Broken):
                return block
            broken = _execute(ledger, block, blocks)
            if broken is not None:
                break
            while ledger.prune():
                pass
            progress(block.header.height, height)
    sync_tree(path)
    return broken


def sync_tree(path: Path) -> None:
    """Everything in the directory onto the disk. LedgerError state.write_failed."""
    try:
        for name in (*sorted(path.iterdir()), path):
            descriptor = os.open(name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise LedgerError("state.write_failed", f"cannot sync {path}: {error.strerror}") from error


def _execute(ledger: Ledger, block: WholeBlock, blocks: SalvagedBlocks) -> Broken | None:
    header, tip = block.header, ledger.tip
    if (header.app_hash, header.last_results_hash) != (tip.app_hash, tip.last_results_hash):
        return Broken(header.height, "repair.execution", "the block before does not do what the header says")
    signers = tuple(Validator(one.public_key, one.power) for one in tip.validators)
    try:
        verify_commit(blocks.genesis.chain_name, signers, block.commit.block_id, header.height, block.commit)
    except ProofError as error:
        return Broken(header.height, "repair.commit", error.message)
    decided = DecidedBlock(
        header.height, header.time_ns, block.hash, header.proposer_address, block.transactions
    )
    finalized = ledger.finalize(decided)
    record = blocks.record(header.height)
    if record is not None and record.state_root != finalized.app_hash:
        return Broken(header.height, "repair.execution", "the block does not do what its record says")
    ledger.commit(
        finalized,
        header,
        block.commit,
        block.last_commit if header.height > 1 else None,
    )
    return None


class _Writer:
    """Rows in batches of bounded size. Not synced: an unfinished directory is of no use anyway."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.batch = Batch()

    def flush(self, rows: int = 0) -> None:
        """Write what there is, if it is more than `rows`."""
        if len(self.batch) > rows:
            self._database.write(self.batch, sync=False)
            self.batch = Batch()


def _copy_blocks(blocks: SalvagedBlocks, height: int, writer: _Writer, progress: Progress) -> WholeBlock:
    """Every block, with its record and receipts confirmed by the header after it. Returns the last one."""
    before = blocks.record(0)
    if before is None or (before.hash, before.results_hash) != (blocks.genesis.hash, results_hash(())):
        raise NotRebuildable("the genesis record")
    stored.add_block(writer.batch, before, (), (), ())
    last: WholeBlock | None = None
    for block in islice(blocks.whole(), height):
        if isinstance(block, Broken):
            raise NotRebuildable(block.message)
        header = block.header
        if (header.app_hash, header.last_results_hash) != (before.state_root, before.results_hash):
            raise NotRebuildable(f"the record of block {before.height}")
        before, receipts, logs = _confirmed(blocks, block)
        stored.add_block(writer.batch, before, block.transactions, receipts, logs, encode_header(header))
        if last is not None:
            stored.add_commit(writer.batch, last.header.height, encode_commit(block.last_commit))
        last = block
        writer.flush(_ROWS)
        progress(header.height, height)
    if last is None:
        raise NotRebuildable("no block")
    return last


def _confirmed(
    blocks: SalvagedBlocks, block: WholeBlock
) -> tuple[BlockRecord, list[StoredReceipt], list[tuple[Log, ...]]]:
    """The record, receipts and logs of a block, if they agree with one another and with the header."""
    height = block.header.height
    record = blocks.record(height)
    receipts = blocks.receipts(height, len(block.transactions))
    if record is None or receipts is None:
        raise NotRebuildable(f"the record or receipts of block {height}")
    bloom = 0
    logs: list[tuple[Log, ...]] = []
    results: list[TransactionResult] = []
    for receipt in receipts:
        results.append(receipt.result)
        if not receipt.encoded:
            logs.append(())
            continue
        try:
            decoded = decode_receipt(receipt.encoded)
        except DecodeError as error:
            raise NotRebuildable(f"a receipt of block {height}") from error
        if keccak256(receipt.encoded) != receipt.result.data:
            raise NotRebuildable(f"a receipt of block {height}")
        logs.append(decoded.logs)
        bloom |= int.from_bytes(decoded.bloom, "big")
    wanted = BlockRecord(
        height=height,
        hash=block.hash,
        time_ns=block.header.time_ns,
        proposer_address=block.header.proposer_address,
        state_root=record.state_root,
        results_hash=results_hash(results),
        rules_version=block.header.app_version,
        gas_limit=record.gas_limit,
        gas_used=sum(result.gas_used for result in results),
        logs_bloom=bloom.to_bytes(256, "big"),
        transaction_count=len(block.transactions),
        size=sum(map(len, block.transactions)),
    )
    if record != wanted:
        raise NotRebuildable(f"the record of block {height}")
    return record, receipts, logs


def _copy_state(blocks: SalvagedBlocks, state_root: bytes, height: int, writer: _Writer) -> None:
    """The trie under `state_root` with every node checked, and the flat tables from its leaves."""
    source = blocks.source
    for code_hash, code in source.scan(CODES):
        if keccak256(code) == code_hash:
            writer.batch.put(CODES, code_hash, code)
    addresses = {keccak256(address): address for address, _ in source.scan(ACCOUNTS)}

    def load(owner: bytes, node_hash: bytes) -> bytes:
        row = source.get(NODES, owner + node_hash)
        if row is None or keccak256(row[8:]) != node_hash or decode_height(row[:8]) > height:
            raise NotRebuildable("a node of the trie")
        writer.batch.put(NODES, owner + node_hash, row)
        return row[8:]

    for key, leaf in _leaves(partial(load, b""), state_root):
        address = addresses.get(key)
        if address is None:
            raise NotRebuildable("the address of an account")
        account = decode_account(leaf)
        writer.batch.put(ACCOUNTS, address, leaf)
        code_hash = account.code_hash
        if code_hash != EMPTY_CODE_HASH and keccak256(source.get(CODES, code_hash) or b"") != code_hash:
            raise NotRebuildable("the code of a contract")
        if account.storage_root != EMPTY_ROOT:
            keys = {
                keccak256(row[21:]): int.from_bytes(row[21:], "big")
                for row, _ in source.rows(SLOTS.prefix + address)
            }
            for hashed, value in _leaves(partial(load, address), account.storage_root):
                slot = keys.get(hashed)
                if slot is None:
                    raise NotRebuildable("the key of a slot")
                writer.batch.put(SLOTS, (address, slot), decode_storage(value))
                writer.flush(_ROWS)
        writer.flush(_ROWS)


def _leaves(load: trie.Load, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from trie.leaves(load, root)
    except LedgerError as error:
        raise NotRebuildable("a node of the trie") from error


def _stored(validators: tuple[Validator, ...]) -> tuple[StoredValidator, ...]:
    return tuple(StoredValidator(one.public_key, one.power) for one in validators)
