"""Filling in the blocks below a snapshot that a ledger began with: verified by hashes, not executed.

The ledger holds header h+1 and knows it for true; whoever hands over block h may be anybody. What is taken of
it follows from header h+1, in these steps, and what no hash covers is computed here or left out:

1. *Header.* Its hash is `last_block_id` of header h+1, and the hash covers every field.
2. *Validators* of h: their hash is `validators_hash` of the header; it covers keys, powers and order.
3. *Commit.* Its hash is `last_commit_hash` of header h+1 and covers every vote. Block id and height are those
   of header h+1; the round is in what the votes sign, and the votes are verified.
4. *Transactions.* Their Merkle root is `data_hash` of the header.
5. *Receipts.* Of each transaction's result, code and `data` follow from the encoded receipt, `gas_wanted`
   from the transaction, `gas_used` from the running total in the receipts; the root of the results is
   `last_results_hash` of header h+1.
6. *Record.* Time, proposer and rules version are the header's, the state root is `app_hash` of header h+1,
   the totals follow from transactions and receipts, the gas limit is that of the rules with this version,
   whose table is in the state (versions are never changed once they are there).
7. *Rows.* Sender, address of a contract created, and index of the first log are computed from transaction and
   receipts; all indexes are made from them. Return and revert data are covered by nothing: left out.

Header h is then the one that the block below is verified by. The last one, of the chain's first block, names
no block before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.chain.block import data_hash
from node.chain.commit import Commit, commit_hash, decode_commit, verify_commit
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, LedgerError, ProofError, ShelianError, SignatureRefused
from node.chain.genesis import Genesis
from node.chain.header import NIL_BLOCK_ID, Header, decode_header, header_hash
from node.chain.receipt import (
    UNDECODABLE_RESULT,
    Log,
    Receipt,
    TransactionResult,
    decode_receipt,
    result_of,
    results_hash,
)
from node.chain.rules import CONSORTIUM, Rules, decode_rules, rules_slots
from node.chain.signing import check_form, sender_of
from node.chain.transaction import Address, EthereumTransaction, Transaction, decode
from node.chain.validators import Validator, validators_hash
from node.execution.executor import contract_address
from node.ledger.past import PastBlock
from node.ledger.records import genesis_record, validators_of
from node.state import blocks as stored
from node.state.base import Base, add_base, load_base
from node.state.blocks import BlockRecord, StoredReceipt, StoredValidator
from node.state.database import Batch
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import TRANSACTION_HASHES, VALIDATORS
from node.state.views import StateView


class HistoryRefused(ShelianError):
    """What was handed over is not the block that the chain of hashes names."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """The lowest block held: its header, and the validators of its height."""

    header: Header
    signers: tuple[StoredValidator, ...]


@dataclass(frozen=True, slots=True)
class Filling:
    """The chain that blocks are filled in for; `rules_of` finds the rules of a version."""

    genesis: Genesis
    rules_of: Callable[[int], Rules | None]


@dataclass(frozen=True, slots=True)
class VerifiedBlock:
    """A block with everything that a ledger keeps of it."""

    header: Header
    encoded_header: bytes
    commit: bytes
    record: BlockRecord
    transactions: tuple[bytes, ...]
    receipts: tuple[StoredReceipt, ...]
    logs: tuple[tuple[Log, ...], ...]
    signers: tuple[StoredValidator, ...]


def filling_of(genesis: Genesis, view: StateView) -> Filling:
    """`view`: a state of this chain not older than the blocks to fill in."""

    def rules_of(version: int) -> Rules | None:
        if version == genesis.rules.version:
            return genesis.rules
        return decode_rules(version, *(view.storage(CONSORTIUM, slot) for slot in rules_slots(version)))

    return Filling(genesis, rules_of)


def load_frontier(reads: DatabaseSnapshot, first: int) -> Frontier | None:
    """Where to go on from, or None while the header of `first`, the lowest block held, is not there yet.

    Raises LedgerError ledger.base_differs, state.*.
    """
    encoded = stored.load_header(reads, first)
    if encoded is None:
        return None
    frontier = Frontier(decode_header(encoded), stored.load_validators(reads, first))
    got, expected = _hash_of(frontier.signers), frontier.header.validators_hash
    if got != expected:
        raise LedgerError(
            "ledger.base_differs", "the validators held are not those of the header", got, expected
        )
    return frontier


def add_past(
    batch: Batch, reads: DatabaseSnapshot, filling: Filling, frontier: Frontier, blocks: Sequence[PastBlock]
) -> Frontier:
    """Verify blocks downwards from `frontier`, and add all rows of theirs and the ledger's new beginning.

    Raises HistoryRefused history.* (got begins with the height); LedgerError state.*.
    """
    base = load_base(reads)
    for block in blocks:
        above = frontier
        verified = verify_past(filling, above, block)
        _add_rows(batch, reads, verified)
        _add_signers(batch, verified.signers, above)
        frontier = Frontier(verified.header, verified.signers)
    lowest = frontier.header.height
    stored.add_validators(batch, lowest, frontier.signers)
    if is_first(filling.genesis, frontier.header) and lowest == 1:
        stored.add_block(batch, genesis_record(filling.genesis, frontier.header.app_hash), (), (), ())
        lowest = 0
    add_base(batch, Base(base.height, base.snapshot_hash, lowest))
    return frontier


def is_first(genesis: Genesis, header: Header) -> bool:
    """Whether there is no block below."""
    return header.height <= genesis.initial_height


def verify_past(filling: Filling, above: Frontier, block: PastBlock) -> VerifiedBlock:
    """The block below `above`. See the module. Raises HistoryRefused."""
    height = above.header.height - 1
    # 1
    header = _header(block, above.header)
    if header.height != height or header.chain_name != filling.genesis.chain_name:
        raise _refused(height, "header", "the header is of another height or chain", header.height, height)
    if is_first(filling.genesis, header) and header.last_block_id != NIL_BLOCK_ID:
        raise _refused(height, "header", "the first block names one before it", header.last_block_id.hash)
    # 2
    signers = _signers(block, header, above)
    # 3
    _check_commit(block, filling.genesis.chain_name, signers, above.header)
    # 4
    if data_hash(block.transactions) != header.data_hash:
        raise _refused(
            height, "transactions", "they are not those of the header", data_hash(block.transactions),
            header.data_hash,
        )  # fmt: skip
    # 5
    read = _read_transactions(block, height, filling.genesis.evm_chain_id)
    results = [one.result for one in read]
    if results_hash(results) != above.header.last_results_hash:
        raise _refused(
            height, "receipts", "they are not those of the next header", results_hash(results),
            above.header.last_results_hash,
        )  # fmt: skip
    # 6
    rules = filling.rules_of(header.app_version)
    if rules is None:
        raise _refused(height, "rules", "the state has no rules of this version", header.app_version)
    bloom = 0
    for one in read:
        bloom |= 0 if one.receipt is None else int.from_bytes(one.receipt.bloom, "big")
    record = BlockRecord(
        height=height,
        hash=above.header.last_block_id.hash,
        time_ns=header.time_ns,
        proposer_address=header.proposer_address,
        state_root=above.header.app_hash,
        results_hash=above.header.last_results_hash,
        rules_version=header.app_version,
        gas_limit=rules.block_gas,
        gas_used=sum(result.gas_used for result in results),
        logs_bloom=bloom.to_bytes(256, "big"),
        transaction_count=len(block.transactions),
        size=sum(map(len, block.transactions)),
    )
    # 7
    receipts, first_log = [], 0
    for one in read:
        receipts.append(one.row(first_log))
        first_log += len(one.logs)
    return VerifiedBlock(
        header,
        block.header,
        block.commit,
        record,
        block.transactions,
        tuple(receipts),
        tuple(one.logs for one in read),
        signers,
    )


def _refused(
    height: int, what: str, message: str, got: object = None, expected: object = None
) -> HistoryRefused:
    return HistoryRefused(f"history.{what}", message, [height, got], expected)


def _header(block: PastBlock, above: Header) -> Header:
    try:
        header = decode_header(block.header)
    except DecodeError as error:
        raise _refused(above.height - 1, "header", error.message, error.got, error.expected) from error
    got = header_hash(header)
    if got != above.last_block_id.hash:
        raise _refused(
            above.height - 1,
            "header",
            "not the header that the next one names",
            got,
            above.last_block_id.hash,
        )
    return header


def _signers(block: PastBlock, header: Header, above: Frontier) -> tuple[StoredValidator, ...]:
    same = header.validators_hash == above.header.validators_hash
    signers = above.signers if block.signers is None else block.signers
    if (block.signers is None) != same or _hash_of(signers) != header.validators_hash:
        raise _refused(
            header.height, "validators", "they are not those of the header", _hash_of(signers),
            header.validators_hash,
        )  # fmt: skip
    return signers


def _hash_of(validators: Sequence[StoredValidator]) -> bytes:
    return validators_hash(validators_of(validators))


def _check_commit(
    block: PastBlock, chain_name: str, signers: tuple[StoredValidator, ...], above: Header
) -> None:
    height = above.height - 1
    try:
        commit: Commit = decode_commit(block.commit)
        got = commit_hash(commit)
        if got != above.last_commit_hash:
            raise _refused(
                height, "commit", "not the commit that the next block carries", got, above.last_commit_hash
            )
        validators: tuple[Validator, ...] = validators_of(signers)
        verify_commit(chain_name, validators, above.last_block_id, height, commit)
    except (DecodeError, ProofError) as error:
        raise _refused(
            height, "commit", f"{error.code}: {error.message}", error.got, error.expected
        ) from error


@dataclass(frozen=True, slots=True)
class _Read:
    """A transaction and what became of it; `transaction` and `receipt` None for bytes that are none."""

    transaction: Transaction | None
    sender: Address
    encoded: bytes
    receipt: Receipt | None
    result: TransactionResult

    @property
    def logs(self) -> tuple[Log, ...]:
        return () if self.receipt is None else self.receipt.logs

    def row(self, first_log: int) -> StoredReceipt:
        tx, created = self.transaction, None
        if tx is not None and self.receipt is not None and self.receipt.status:
            creates = isinstance(tx, EthereumTransaction) and tx.to is None
            created = contract_address(self.sender, tx.nonce) if creates else None
        return StoredReceipt(self.sender, self.result, self.encoded, created, None, first_log)


def _read_transactions(block: PastBlock, height: int, chain_id: int) -> list[_Read]:
    """Step 5, as far as it is one by one."""
    if len(block.receipts) != len(block.transactions):
        raise _refused(
            height, "receipts", "one a transaction is wanted", len(block.receipts), len(block.transactions)
        )
    read: list[_Read] = []
    total = 0
    for index, (raw, encoded) in enumerate(zip(block.transactions, block.receipts, strict=True)):
        try:
            tx = decode(raw)
        except DecodeError:
            if encoded:
                raise _refused(height, "receipts", "no transaction, but a receipt", index) from None
            read.append(_Read(None, b"", b"", None, UNDECODABLE_RESULT))
            continue
        try:
            receipt = decode_receipt(encoded)
        except DecodeError as error:
            raise _refused(height, "receipts", f"{error.code}: {error.message}", index) from error
        gas_used = receipt.cumulative_gas_used - total
        if gas_used < 0:
            raise _refused(height, "receipts", "the gas used in the block goes back", index)
        total = receipt.cumulative_gas_used
        result = result_of(encoded, tx.gas_limit, gas_used)
        read.append(_Read(tx, _sender(tx, chain_id), encoded, receipt, result))
    return read


def _sender(tx: Transaction, chain_id: int) -> Address:
    """As execution finds it (`node.ledger.finalize`): nobody where the chain or the form is wrong."""
    if tx.chain_id != chain_id:
        return b""
    try:
        check_form(tx)
        return sender_of(tx)
    except SignatureRefused:
        return b""


def _add_rows(batch: Batch, reads: DatabaseSnapshot, block: VerifiedBlock) -> None:
    """All rows of the block. The place of a transaction's hash is that of its last inclusion, so one above,
    in this batch or in the ledger, stays.
    """
    alone = Batch()
    stored.add_block(
        alone, block.record, block.transactions, block.receipts, block.logs, block.encoded_header
    )
    stored.add_commit(alone, block.record.height, block.commit)
    for key, row in alone.rows.items():
        if key[:1] == TRANSACTION_HASHES.prefix:
            above = batch.rows.get(key) or reads.get_raw(key)
            if above is not None and row is not None and above > row:
                continue
        batch.rows[key] = row


def _add_signers(batch: Batch, signers: tuple[StoredValidator, ...], above: Frontier) -> None:
    """A row stands where a set begins to be in force."""
    if signers == above.signers:
        batch.delete(VALIDATORS, above.header.height)
    else:
        stored.add_validators(batch, above.header.height, above.signers)


def later_places(reads: DatabaseSnapshot, first: int, last: int) -> set[bytes]:
    """Database keys of the transaction hashes of the blocks `first` to `last`."""
    return {
        TRANSACTION_HASHES.key(keccak256(raw))
        for height in range(first, last + 1)
        for raw in stored.load_transactions(reads, height)
    }
