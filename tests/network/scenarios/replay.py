"""Blocks that CometBFT decided, taken through a fresh ledger as the embedded engine drives one.

For each height in turn:

1. The header is made anew out of what the fresh ledger says of itself, as the embedded engine makes its own,
   and compared with the one the validators signed: every field but the evidence's hash, which no ledger has.
2. So is the block's id, with all its parts (where the block brought no evidence), from the transactions and
   the commit for the block before.
3. The block is finalized: state root, each result, each receipt and the gas must be those on record.
4. It is committed with header and commits, in one batch.
"""

from __future__ import annotations

from pathlib import Path

from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import EMPTY_COMMIT, Commit, commit_hash, decode_commit
from node.chain.genesis import Genesis
from node.chain.header import NIL_BLOCK_ID, Header, consensus_hash, decode_header, header_hash
from node.chain.validators import Validator, validators_hash
from node.ledger import DecidedBlock, Ledger, LedgerSnapshot
from node.state.blocks import StoredValidator


def replay(decided: Path, genesis: Genesis, fresh: Path) -> int:
    """The ledger at `decided`, from its genesis on, into a new one at `fresh`: the height reached. Fails at
    what differs; the newest blocks, whose headers have not come yet, are compared by 3 alone.
    """
    Ledger.create(fresh, genesis).close()
    with (
        Ledger.open(decided, genesis) as original,
        original.snapshot() as theirs,
        Ledger.open(fresh, genesis) as ours,
    ):
        last_commit = EMPTY_COMMIT
        for height in range(1, theirs.tip.height + 1):
            last_commit = _replay_one(theirs, ours, height, last_commit)
        assert ours.tip.app_hash == original.tip.app_hash
        return ours.tip.height


def _replay_one(theirs: LedgerSnapshot, ours: Ledger, height: int, last_commit: Commit) -> Commit:
    """The commit for this block."""
    record, transactions = theirs.block(height), theirs.transactions(height)
    assert record is not None
    raw_header, raw_commit = theirs.header(height), theirs.commit(height)
    header = None if raw_header is None else decode_header(raw_header)
    commit = EMPTY_COMMIT if raw_commit is None else decode_commit(raw_commit)
    if header is not None:
        made = _make_header(ours, header, transactions, last_commit)
        assert made == header, f"height {height}: {made} is not {header}"
        assert header_hash(made) == record.hash, f"height {height}"
        if header.evidence_hash == evidence_hash(()) and raw_commit is not None:
            assert block_id_of(Block(made, transactions, last_commit)) == commit.block_id, f"height {height}"
    block = DecidedBlock(height, record.time_ns, record.hash, record.proposer_address, transactions)
    finalized = ours.finalize(block)
    assert finalized.app_hash == record.state_root, f"height {height}: another state root"
    receipts = theirs.receipts(height)
    assert finalized.receipts == receipts, f"height {height}: other receipts"
    assert finalized.results == tuple(one.result for one in receipts), f"height {height}: other results"
    assert (finalized.results_hash, finalized.gas_used) == (record.results_hash, record.gas_used), height
    ours.commit(
        finalized,
        header=header,
        commit=None if raw_commit is None else commit,
        last_commit=None if header is None or height == 1 else last_commit,
    )
    return commit


def _make_header(
    ours: Ledger, decided: Header, transactions: tuple[bytes, ...], last_commit: Commit
) -> Header:
    """What is not the ledger's to know (time, proposer, evidence) comes from the decided one."""
    tip, params = ours.tip, ours.genesis.consensus_params
    return Header(
        chain_name=ours.genesis.chain_name,
        height=tip.height + 1,
        time_ns=decided.time_ns,
        last_block_id=last_commit.block_id if tip.height else NIL_BLOCK_ID,
        last_commit_hash=commit_hash(last_commit),
        data_hash=data_hash(transactions),
        validators_hash=validators_hash(_validators(tip.validators)),
        next_validators_hash=validators_hash(_validators(tip.next_validators)),
        consensus_hash=consensus_hash(params.block_max_bytes, params.block_max_gas),
        app_hash=tip.app_hash,
        last_results_hash=tip.last_results_hash,
        evidence_hash=decided.evidence_hash,
        proposer_address=decided.proposer_address,
        app_version=ours.rules.version,
    )


def _validators(stored: tuple[StoredValidator, ...]) -> tuple[Validator, ...]:
    return tuple(Validator(one.public_key, one.power) for one in stored)
