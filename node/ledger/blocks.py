"""What goes through a ledger: a decided block, what finalizing it gave, the tip it moves."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain.commit import Commit
from node.chain.header import Header
from node.chain.receipt import Log, TransactionResult
from node.chain.rules import Rules
from node.chain.validators import Validator
from node.state import blocks as stored
from node.state.overlay import StateChange


@dataclass(frozen=True, slots=True)
class DecidedBlock:
    """A block that an engine has decided. `hash` is its header hash; times in nanoseconds since the epoch."""

    height: int
    time_ns: int
    hash: bytes
    proposer_address: bytes
    transactions: tuple[bytes, ...]

    @property
    def timestamp(self) -> int:
        """Whole seconds, rounded down: what contracts and admission see."""
        return self.time_ns // 1_000_000_000


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What a validator was proved to have done against the rules of consensus.

    Attributes:
        kind: ``duplicate_vote`` or ``light_client_attack``.
        validator: the validator's address, 20 bytes.
        height: of the misdeed.
        time_ns: of the block of that height, nanoseconds since the epoch.
        decided_height: of the block that holds the proof.
    """

    kind: str
    validator: bytes
    height: int
    time_ns: int
    decided_height: int


@dataclass(frozen=True, slots=True)
class FinalizedBlock:
    """What a decided block does. Nothing of it is written before `Ledger.commit`.

    `results` are what CometBFT hashes, `results_hash` their hash (`last_results_hash` of the next header);
    `receipts` and `logs` have one entry a transaction; `app_hash` is the state root after the block
    (`app_hash` of the next header); `validator_updates` take effect at height + 2; `rules` are in force at
    height + 1, `block_rules` were in force in this block.
    """

    block: DecidedBlock
    parent_app_hash: bytes
    results: tuple[TransactionResult, ...]
    receipts: tuple[stored.StoredReceipt, ...]
    logs: tuple[tuple[Log, ...], ...]
    logs_bloom: bytes
    gas_used: int
    results_hash: bytes
    app_hash: bytes
    change: StateChange
    validator_updates: tuple[Validator, ...]
    block_rules: Rules
    rules: Rules


@dataclass(frozen=True, slots=True)
class DeliveredHeader:
    """The header of a committed block, from an engine that has it later than the block.

    `commit` is the one seen for this block, `last_commit` the one it carries for the block before.
    """

    header: Header
    commit: Commit | None = None
    last_commit: Commit | None = None


@dataclass(frozen=True, slots=True)
class Tip(stored.Tip):
    """The newest block and what the next one builds on: what is stored of it, and the rules in force at
    height + 1.

    At height 0 there is no block yet: `block_hash` is empty and `time_ns` the genesis time.
    """

    rules: Rules
