"""The embedded engine: one machine, one validator, the same blocks as CometBFT's.

Flow of one block, all on one thread of its own::

    wait for work -> last commit re-signed with the time of now -> prepare -> header, parts, block id
        -> finalize (execute) -> precommit -> ledger.commit (one synced batch) -> listeners

* **On demand.** A transaction wakes the engine; whatever arrives while a block is made goes together into
  the next one, so under load one disk sync serves many transactions (group commit).
* **Time.** CometBFT's block time is the median of the precommits in the block. With one validator that is
  its own precommit, so the engine signs the last block's precommit again with the present time when it
  proposes (same block, same height: no equivocation) and the header takes that time. One operator asserts
  the time; proofs say so.
* **Proof blocks.** A block that changed the state or has results is followed by another one, after a short
  wait in which a transaction may make it worth more. Nothing else makes blocks but the heartbeat.
* **Failure.** If the ledger cannot commit (a full disk), the engine stops and says why; reads go on,
  nothing that was acknowledged is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from network.engine import EngineStatus
from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import EMPTY_COMMIT, Commit, commit_hash, decode_commit, sign_precommit, verify_commit
from node.chain.errors import LedgerError, ShelianError
from node.chain.header import NIL_BLOCK_ID, BlockId, Header, consensus_hash, header_hash
from node.chain.validators import Validator, validator_address, validators_hash
from node.ledger import Admitted, DecidedBlock, FinalizedBlock, Ledger
from node.state.blocks import StoredValidator

_log = structlog.get_logger("network.embedded")
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ValidatorKey:
    """The machine's consensus key.

    Attributes:
        public_key: Ed25519, 32 bytes.
        sign: message -> raw signature of 64 bytes.
    """

    public_key: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Pace:
    """When blocks come.

    Attributes:
        heartbeat_s: the longest time without a block.
        proof_delay_s: how long a proof block waits for a transaction that would take its place.
    """

    heartbeat_s: float = 60.0
    proof_delay_s: float = 0.1


class Candidates(Protocol):
    """Where the transactions come from: a pool, safe to call from the engine's thread."""

    def ready(self, max_gas: int, max_bytes: int) -> Iterable[Admitted]:
        """Executable transactions, nonce order within a sender, fair between senders."""

    def committed(self, finalized: FinalizedBlock) -> None:
        """These are in a block now; called after they are on disk."""

    def has_ready(self) -> bool: ...


class EmbeddedEngine:
    """Makes blocks for one ledger. See the module for the flow."""

    def __init__(
        self,
        ledger: Ledger,
        candidates: Candidates,
        key: ValidatorKey,
        clock_ns: Callable[[], int],
        pace: Pace = Pace(),
    ) -> None:
        self._ledger = ledger
        self._candidates = candidates
        self._key = key
        self._clock_ns = clock_ns
        self._pace = pace
        self._changed = threading.Condition()
        self._work = False
        self._proof_due = ledger.tip.height == 0
        self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="embedded-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        with self._changed:
            self._work = True
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def status(self) -> EngineStatus:
        tip = self._ledger.tip
        failure = self._failure
        return EngineStatus(
            name="embedded",
            running=self._thread.is_alive() and failure is None,
            height=tip.height,
            last_block_ns=tip.time_ns,
            failure=None if failure is None else str(failure),
            failure_code=None if failure is None else _code_of(failure),
            heartbeat_s=self._pace.heartbeat_s,
            validator_key=self._key.public_key,
        )

    def _run(self) -> None:
        try:
            while self._wait():
                self._proof_due = self.make_block()
        except Exception as error:
            self._failure = error
            _log.error(
                "engine stopped",
                code=_code_of(error),
                error=str(error),
                exc_info=not isinstance(error, ShelianError),
            )

    def _wait(self) -> bool:
        """Until there is a reason for a block; False when the engine is to stop."""
        with self._changed:
            if not self._work and not self._candidates.has_ready():
                idle_s = (self._clock_ns() - self._ledger.tip.time_ns) / _SECOND_NS
                patience = self._pace.proof_delay_s if self._proof_due else self._pace.heartbeat_s - idle_s
                self._changed.wait_for(lambda: self._stopping or self._work, timeout=max(0.0, patience))
            self._work = False
            return not self._stopping

    def make_block(self) -> bool:
        """Make the next block from what is ready; returns whether a proof block is due.

        Raises: LedgerError when it cannot be written, ``engine.no_quorum`` when this machine's key is not
        enough.
        """
        ledger, tip = self._ledger, self._ledger.tip
        height = tip.height + 1
        rules, params = ledger.rules, ledger.genesis.consensus_params
        time_ns = self._block_time()
        last_id, last_commit = self._last_commit(time_ns)
        ready = self._candidates.ready(rules.block_gas, params.block_max_bytes)
        transactions = ledger.prepare(ready, height, time_ns, params.block_max_bytes)
        validators = _validators(tip.validators)
        header = Header(
            chain_name=ledger.genesis.chain_name,
            height=height,
            time_ns=time_ns,
            last_block_id=last_id,
            last_commit_hash=commit_hash(last_commit),
            data_hash=data_hash(transactions),
            validators_hash=validators_hash(validators),
            next_validators_hash=validators_hash(_validators(tip.next_validators)),
            consensus_hash=consensus_hash(params.block_max_bytes, params.block_max_gas),
            app_hash=tip.app_hash,
            last_results_hash=tip.last_results_hash,
            evidence_hash=evidence_hash(()),
            proposer_address=validator_address(self._key.public_key),
            app_version=rules.version,
        )
        block_id = block_id_of(Block(header, transactions, last_commit))
        commit = self._sign(height, block_id, time_ns, validators)
        finalized = ledger.finalize(
            DecidedBlock(height, time_ns, header_hash(header), header.proposer_address, transactions)
        )
        ledger.commit(finalized, header=header, commit=commit, last_commit=last_commit)
        self._candidates.committed(finalized)
        return bool(transactions) or ledger.tip.app_hash != tip.app_hash

    def _block_time(self) -> int:
        """The first block's time is the genesis time (CometBFT); later ones rise, even if the clock does
        not."""
        tip = self._ledger.tip
        if tip.height == 0:
            return self._ledger.genesis.genesis_time_ns
        return max(self._clock_ns(), tip.time_ns + 1)

    def _last_commit(self, time_ns: int) -> tuple[BlockId, Commit]:
        height = self._ledger.tip.height
        if height == 0:
            return NIL_BLOCK_ID, EMPTY_COMMIT
        with self._ledger.snapshot() as snapshot:
            seen = snapshot.commit(height)
            signers = snapshot.validators(height)
        if seen is None:
            raise LedgerError(
                "engine.no_commit",
                "the commit of the last block is missing",
                got=height,
                expected="a ledger written by the embedded engine",
            )
        block_id = decode_commit(seen).block_id
        validators = _validators(signers)
        return block_id, self._sign(height, block_id, time_ns, validators)

    def _sign(
        self, height: int, block_id: BlockId, time_ns: int, validators: tuple[Validator, ...]
    ) -> Commit:
        address = validator_address(self._key.public_key)
        if len(validators) != 1 or validators[0].address != address:
            raise LedgerError(
                "engine.no_quorum",
                "the embedded engine signs alone; this chain's validators are others",
                got=address,
                expected=[v.address for v in validators],
            )
        chain = self._ledger.genesis.chain_name
        signature = sign_precommit(chain, height, 0, block_id, time_ns, address, self._key.sign)
        commit = Commit(height, 0, block_id, (signature,))
        verify_commit(chain, validators, block_id, height, commit)
        return commit


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, ShelianError) else "engine.failed"


def _validators(stored: Iterable[StoredValidator]) -> tuple[Validator, ...]:
    return tuple(Validator(one.public_key, one.power) for one in stored)
