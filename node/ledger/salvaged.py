"""Blocks read from a damaged directory, believed only as far as signatures and hashes reach.

A block is *whole* when these hold:

1. Its header is there, or can be put together again from what it states, and follows the block before.
2. Its transactions give the header's data hash.
3. The commit it carries for the block before is there and gives the header's last commit hash.
4. A commit for it is there: it names the hash of the whole block, by its parts, and is signed by the
   validators whose set the header names. Where that set cannot be read any more, the signatures are left to
   whoever executes the block and so knows the set.

Rows that later blocks or execution confirm (records, receipts) are not part of it; see `node.ledger.rebuild`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import EMPTY_COMMIT, Commit, commit_hash, decode_commit, verify_commit
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, LedgerError, ProofError
from node.chain.genesis import Genesis
from node.chain.header import NIL_BLOCK_ID, Header, consensus_hash, decode_header, header_hash
from node.chain.validators import Validator, validators_hash
from node.ledger.genesis_state import genesis_validators
from node.state import blocks as stored
from node.state.blocks import BlockRecord, StoredReceipt
from node.state.salvage import Salvage
from node.state.tables import (
    BLOCKS,
    COMMITS,
    HEADERS,
    META,
    RECEIPTS,
    TRANSACTIONS,
    VALIDATORS,
    encode_height,
)


@dataclass(frozen=True, slots=True)
class WholeBlock:
    """A block with the commit it carries and one that was seen for it.

    `signers` and `next_signers` are the validator sets of this height and the next, None where unknown.
    """

    header: Header
    hash: bytes
    transactions: tuple[bytes, ...]
    last_commit: Commit
    commit: Commit
    signers: tuple[Validator, ...] | None
    next_signers: tuple[Validator, ...] | None


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a block is not whole."""

    height: int
    code: str
    message: str


class SalvagedBlocks:
    """The blocks of a salvage. Validator sets are those that headers confirm."""

    def __init__(self, source: Salvage, genesis: Genesis) -> None:
        self.source = source
        self.genesis = genesis
        first = tuple(genesis_validators(genesis))
        rows = [(height, stored.decode_validators(raw)) for height, raw in _decodable(source)]
        self._sets = [(1, first)]
        self._sets += [
            (height, tuple(Validator(v.public_key, v.power) for v in validators))
            for height, validators in rows
            if height > 1
        ]

    def validators(self, height: int, expected_hash: bytes | None) -> tuple[Validator, ...] | None:
        """The set in force at `height`, if it has the hash that a header names (or there is none to ask)."""
        found = [validators for start, validators in self._sets if start <= height][-1]
        return found if expected_hash in (None, validators_hash(found)) else None

    def validator_rows(self) -> list[tuple[int, tuple[Validator, ...]]]:
        return list(self._sets)

    def record(self, height: int) -> BlockRecord | None:
        raw = self.source.get(BLOCKS, height)
        try:
            return None if raw is None else stored.decode_record(height, raw)
        except LedgerError:
            return None

    def receipts(self, height: int, count: int) -> list[StoredReceipt] | None:
        """All receipts of a block of `count` transactions, or None."""
        receipts = []
        for index in range(count):
            raw = self.source.get(RECEIPTS, (height, index))
            try:
                if raw is None:
                    return None
                receipts.append(stored.decode_receipt(raw))
            except LedgerError:
                return None
        return receipts

    def transactions(self, height: int) -> tuple[bytes, ...]:
        """From the first up to one that cannot be read."""
        found: list[bytes] = []
        while (raw := self.source.get(TRANSACTIONS, (height, len(found)))) is not None:
            found.append(raw)
        return tuple(found)

    def whole(self) -> Iterator[WholeBlock | Broken]:
        """Blocks from height 1 on; the first that is not whole is the last thing given."""
        parent, height = NIL_BLOCK_ID, 0
        last_commit = EMPTY_COMMIT
        while True:
            height += 1
            block = self._block(height, parent.hash, last_commit)
            yield block
            if isinstance(block, Broken):
                return
            parent, last_commit = block.commit.block_id, self._commit(height, seen=False) or EMPTY_COMMIT

    def _block(self, height: int, parent_hash: bytes, last_commit: Commit) -> WholeBlock | Broken:
        transactions = self.transactions(height)
        header = self._header(height, transactions, last_commit)
        if header is None:
            return Broken(height, "repair.header", "the header cannot be read nor put together again")
        if (header.height, header.chain_name) != (height, self.genesis.chain_name):
            return Broken(height, "repair.header", "the header is of another block")
        if header.last_block_id.hash != parent_hash:
            return Broken(height, "repair.header", "the header does not follow the block before")
        if data_hash(transactions) != header.data_hash:
            return Broken(height, "repair.transactions", "transactions are missing or others")
        if height > 1 and (
            commit_hash(last_commit) != header.last_commit_hash
            or last_commit.block_id != header.last_block_id
        ):
            return Broken(height, "repair.last_commit", "the commit for the block before is missing")
        commit = self._commit(height, seen=True)
        if commit is None:
            return Broken(height, "repair.commit", "no commit for it can be read")
        block_hash = header_hash(header)
        signed = commit.block_id
        if header.evidence_hash == evidence_hash(()):
            signed = block_id_of(Block(header, transactions, last_commit))
        if commit.block_id != signed or signed.hash != block_hash:
            return Broken(height, "repair.commit", "the commit is of another block")
        signers = self.validators(height, header.validators_hash)
        if signers is not None:
            try:
                verify_commit(self.genesis.chain_name, signers, commit.block_id, height, commit)
            except ProofError as error:
                return Broken(height, "repair.commit", error.message)
        following = self.validators(height + 1, header.next_validators_hash)
        return WholeBlock(header, block_hash, transactions, last_commit, commit, signers, following)

    def _header(self, height: int, transactions: tuple[bytes, ...], last_commit: Commit) -> Header | None:
        raw = self.source.get(HEADERS, height)
        try:
            if raw is not None:
                return decode_header(raw)
        except DecodeError:
            pass
        return self._header_again(height, transactions, last_commit)

    def _header_again(
        self, height: int, transactions: tuple[bytes, ...], last_commit: Commit
    ) -> Header | None:
        """A header says nothing that is not elsewhere too; whether it is the same one, its hash tells."""
        record, before = self.record(height), self.record(height - 1)
        signers, following = self.validators(height, None), self.validators(height + 1, None)
        if record is None or before is None or signers is None or following is None:
            return None
        params = self.genesis.consensus_params
        header = Header(
            chain_name=self.genesis.chain_name,
            height=height,
            time_ns=record.time_ns,
            last_block_id=last_commit.block_id,
            last_commit_hash=commit_hash(last_commit),
            data_hash=data_hash(transactions),
            validators_hash=validators_hash(signers),
            next_validators_hash=validators_hash(following),
            consensus_hash=consensus_hash(params.block_max_bytes, params.block_max_gas),
            app_hash=before.state_root,
            last_results_hash=before.results_hash,
            evidence_hash=evidence_hash(()),
            proposer_address=record.proposer_address,
            app_version=record.rules_version,
        )
        return header if header_hash(header) == record.hash else None

    def _commit(self, height: int, *, seen: bool) -> Commit | None:
        """The canonical commit; if there is none and `seen`, the one that was seen for the tip."""
        raw = self.source.get(COMMITS, height)
        if raw is None and seen:
            row = self.source.get(META, b"seen_commit")
            raw = row[8:] if row is not None and row[:8] == encode_height(height) else None
        try:
            return None if raw is None else decode_commit(raw)
        except DecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A block above the last whole one, as far as it can be read: `time_ns` None where it is not known."""

    height: int
    time_ns: int | None
    transactions: tuple[tuple[int, bytes], ...]  # (index, bytes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(keccak256(raw) for _, raw in self.transactions)


def load_dropped(blocks: SalvagedBlocks, above: int) -> tuple[Dropped, ...]:
    """What can be read of the blocks above `above`."""
    source = blocks.source
    found: dict[int, list[tuple[int, bytes]]] = {}
    for table in (BLOCKS, HEADERS):
        for height, _ in source.scan(table):
            if height > above:
                found.setdefault(height, [])
    for (height, index), raw in source.scan(TRANSACTIONS):
        if height > above:
            found.setdefault(height, []).append((index, raw))
    dropped = []
    for height, transactions in sorted(found.items()):
        record = blocks.record(height)
        time_ns = None if record is None else record.time_ns
        dropped.append(Dropped(height, time_ns, tuple(transactions)))
    return tuple(dropped)


def _decodable(source: Salvage) -> Iterator[tuple[int, bytes]]:
    for height, raw in source.scan(VALIDATORS):
        try:
            stored.decode_validators(raw)
        except LedgerError:
            continue
        yield height, raw
