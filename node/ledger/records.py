"""Between what a ledger works with and the rows it keeps: genesis, tip, block records, late headers."""

from __future__ import annotations

from collections.abc import Iterable

from node.chain.commit import encode_commit
from node.chain.errors import GenesisError, LedgerError
from node.chain.genesis import Genesis, decode_genesis, encode_genesis
from node.chain.header import Header, encode_header, header_hash
from node.chain.receipt import results_hash
from node.chain.rules import CONSORTIUM, rules_at
from node.chain.validators import Validator, apply_updates
from node.execution import Executor
from node.ledger.blocks import DeliveredHeader, FinalizedBlock, Tip
from node.ledger.genesis_state import build_genesis_state, genesis_validators
from node.ledger.snapshot import LedgerSnapshot
from node.state import blocks as stored
from node.state.blocks import BlockRecord, StoredValidator
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.views import FlatView


def require_header_of(header: Header, height: int, block_hash: bytes) -> None:
    """Raises LedgerError ledger.wrong_header."""
    got = header_hash(header)
    if header.height != height or got != block_hash:
        raise LedgerError("ledger.wrong_header", "the header is of another block", got, block_hash)


def add_delivered(batch: Batch, delivered: DeliveredHeader, snapshot: LedgerSnapshot) -> None:
    """Header and commits of a committed block.

    Raises LedgerError ledger.unknown_height, ledger.wrong_header, ledger.wrong_commit.
    """
    header = delivered.header
    record = snapshot.block(header.height)
    if record is None or header.height == 0:
        raise LedgerError(
            "ledger.unknown_height", "there is no such block", header.height, snapshot.tip.height
        )
    require_header_of(header, record.height, record.hash)
    for commit, height in ((delivered.commit, header.height), (delivered.last_commit, header.height - 1)):
        if commit is not None and commit.height != height:
            raise LedgerError("ledger.wrong_commit", "the commit is of another height", commit.height, height)
    stored.add_header(batch, header.height, encode_header(header))
    if delivered.last_commit is not None and header.height > 1:
        stored.add_commit(batch, header.height - 1, encode_commit(delivered.last_commit))
    if delivered.commit is not None:
        stored.add_seen_commit(batch, header.height, encode_commit(delivered.commit))


def next_tip_of(tip: Tip, finalized: FinalizedBlock) -> Tip:
    """The tip once the block is committed on `tip`."""
    block = finalized.block
    next_validators = tip.next_validators
    if finalized.validator_updates:
        updated = apply_updates(validators_of(tip.next_validators), finalized.validator_updates)
        next_validators = stored_of(updated)
    return Tip(
        height=block.height,
        block_hash=block.hash,
        time_ns=block.time_ns,
        app_hash=finalized.app_hash,
        last_results_hash=finalized.results_hash,
        genesis_hash=tip.genesis_hash,
        validators=tip.next_validators,
        next_validators=next_validators,
        rules=finalized.rules,
    )


def record_of(finalized: FinalizedBlock) -> BlockRecord:
    """The row of a block."""
    block = finalized.block
    return BlockRecord(
        height=block.height,
        hash=block.hash,
        time_ns=block.time_ns,
        proposer_address=block.proposer_address,
        state_root=finalized.app_hash,
        results_hash=finalized.results_hash,
        rules_version=finalized.block_rules.version,
        gas_limit=finalized.block_rules.block_gas,
        gas_used=finalized.gas_used,
        logs_bloom=finalized.logs_bloom,
        transaction_count=len(block.transactions),
        size=sum(len(raw) for raw in block.transactions),
    )


def genesis_record(genesis: Genesis, state_root: bytes) -> BlockRecord:
    """The row of height 0, whose block there never was; `state_root` is that of the genesis state."""
    return BlockRecord(
        height=0,
        hash=genesis.hash,
        time_ns=genesis.genesis_time_ns,
        proposer_address=bytes(20),
        state_root=state_root,
        results_hash=results_hash(()),
        rules_version=genesis.rules.version,
        gas_limit=genesis.rules.block_gas,
        gas_used=0,
        logs_bloom=bytes(256),
        transaction_count=0,
        size=0,
    )


def write_genesis(database: Database, genesis: Genesis, executor: Executor) -> None:
    """The state of height 0, its record (whose hash is the genesis hash), the validators of the first height,
    the tip.

    The state of a genesis that goes on is another chain's; nothing stands in its place until it is there.
    """
    with database.snapshot() as reads:
        view = FlatView(reads, EMPTY_ROOT)
        change = Overlay(view).seal() if genesis.goes_on else build_genesis_state(genesis, view, executor)
    no_results = results_hash(())
    validators = stored_of(genesis_validators(genesis))
    batch = Batch()
    stored.add_genesis(batch, encode_genesis(genesis))
    add_state_change(batch, 0, change)
    stored.add_block(batch, genesis_record(genesis, change.state_root), (), (), ())
    stored.add_validators(batch, genesis.initial_height, validators)
    stored.add_tip(
        batch,
        stored.Tip(
            height=0,
            block_hash=b"",
            time_ns=genesis.genesis_time_ns,
            app_hash=change.state_root,
            last_results_hash=no_results,
            genesis_hash=genesis.hash,
            validators=validators,
            next_validators=validators,
        ),
    )
    database.write(batch)


def load_kept_genesis(database: Database) -> Genesis:
    """Raises LedgerError ledger.no_genesis."""
    with database.snapshot() as reads:
        raw = stored.load_genesis(reads)
    if raw is None:
        raise LedgerError("ledger.no_genesis", "the data directory holds no genesis", str(database.path))
    try:
        return decode_genesis(raw)
    except GenesisError as error:
        raise LedgerError("ledger.no_genesis", error.message, error.got, error.expected) from error


def load_kept_tip(database: Database, genesis: Genesis) -> Tip:
    """The tip, with the rules in force after it. Raises LedgerError ledger.no_genesis."""
    with database.snapshot() as reads:
        tip = stored.load_tip(reads)
        if tip is None:
            raise LedgerError(
                "ledger.no_genesis", "the data directory was never finished", str(database.path)
            )
        view = FlatView(reads, tip.app_hash)
        rules = rules_at(tip.height + 1, genesis.rules, lambda slot: view.storage(CONSORTIUM, slot))
    return Tip(
        tip.height,
        tip.block_hash,
        tip.time_ns,
        tip.app_hash,
        tip.last_results_hash,
        tip.genesis_hash,
        tip.validators,
        tip.next_validators,
        rules,
    )


def validators_of(validators: Iterable[StoredValidator]) -> tuple[Validator, ...]:
    """As blocks name them."""
    return tuple(Validator(validator.public_key, validator.power) for validator in validators)


def stored_of(validators: Iterable[Validator]) -> tuple[StoredValidator, ...]:
    """As rows hold them."""
    return tuple(StoredValidator(validator.public_key, validator.power) for validator in validators)
