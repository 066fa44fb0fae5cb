"""The ledger behind ABCI 2.0: what each call of CometBFT does here.

    InitChain            compares CometBFT's genesis with the ledger's; changes nothing, so it may come again
    PrepareProposal      what is ready in our pool, through `Ledger.prepare`
    ProcessProposal      `Ledger.process`: by the parent's state, not executed
    FinalizeBlock        `Ledger.finalize`: executed in an overlay, kept in memory
    Commit               `Ledger.commit`: one synced batch; then the pool goes on
    CheckTx              is it in our pool, and ready?
    Info, Query          the tip; who may connect
    snapshots            given to nodes that join, and taken by one (`network.comet.state_sync`)

**Order.** CometBFT calls the methods that decide one after the other, but from connections of their own; here
they share one thread (`consensus`), so none of them ever meets another, whatever a caller does. Info, Query
and CheckTx never wait for that thread: they read pinned snapshots and the pool.

**Nothing is half done.** Only Commit writes, and that in one batch. Between FinalizeBlock and Commit the
block is in memory alone: after a crash CometBFT finds the old height by Info and sends the block again. If it
is CometBFT that crashed, it sends the block again to this very process, and the new result takes the old
one's place.

**The pool is the truth.** CometBFT's mempool only carries executable transactions from node to node. What it
holds is in our pool, because it came in by CheckTx; so PrepareProposal takes from the pool and does not look
at what CometBFT suggests. A transaction that misses a nonce stays in our pool, and CometBFT is told "held
back": what cannot go into a block may not stand in its mempool, or it would make empty blocks without end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from network.comet.forwarding import Forwarding
from network.comet.genesis_check import check_imported, check_init_chain
from network.comet.peers import PeerFilter
from network.comet.retracing import Retracing
from network.comet.state_sync import StateSync
from network.intake import Outcome
from node.chain.encoding import keccak256
from node.chain.errors import BlockRejected, LedgerError, ShelianError
from node.chain.validators import Validator
from node.ledger import DecidedBlock, FinalizedBlock, Ledger, Misbehaviour, Tip
from node.ledger.ledger import HEADERS_AT_RISK
from node.txpool import TransactionPool

_log = structlog.get_logger("network.comet")

CHECK_READY: Final = 0
CHECK_REFUSED: Final = 1
CHECK_HELD_BACK: Final = 2
"""Codes of CheckTx: in our pool and ready; not in our pool; in our pool, but a nonce before it is missing."""

_NEVER_HEALED: Final = ("comet.other_genesis", "comet.not_imported", "comet.other_block")
"""What a restart of CometBFT only finds again."""
_SOFTWARE: Final = "shelian"
_REMEMBERED: Final = 100
"""Pieces of evidence kept for the operator."""
_STRANGER_EVERY_S: Final = 10.0
"""How often a refused peer is worth a line in the log."""
_SECOND_NS: Final = 1_000_000_000
_MISBEHAVIOUR: Final = {1: "duplicate_vote", 2: "light_client_attack"}

Q = TypeVar("Q")
A = TypeVar("A")


class Headers(Protocol):
    """Who fetches the headers of committed blocks."""

    @property
    def next_height(self) -> int:
        """The lowest height whose header and commit are not in the ledger yet."""

    def committed(self) -> None:
        """There is a new block. Any thread."""


class Application:
    """Answers CometBFT for one ledger (`network.comet.server.Handler`). `stop` it before the ledger is
    closed.
    """

    def __init__(
        self,
        ledger: Ledger,
        pool: TransactionPool,
        submit: Callable[[Sequence[bytes]], Awaitable[list[Outcome]]],
        forwarding: Forwarding,
        headers: Headers,
        peers: PeerFilter,
        state_sync: StateSync,
        clock_ns: Callable[[], int],
        retracing: Retracing | None = None,
    ) -> None:
        """`submit` checks transactions and puts them into the pool (`network.intake.Intake`). `retracing`:
        CometBFT comes after the ledger.
        """
        self._ledger = ledger
        self._pool = pool
        self._submit = submit
        self._forwarding = forwarding
        self._headers = headers
        self._peers = peers
        self._state_sync = state_sync
        self._clock_ns = clock_ns
        self._retracing = retracing
        self._consensus = ThreadPoolExecutor(1, thread_name_prefix="consensus")
        self._finalized: FinalizedBlock | None = None
        self._failure: ShelianError | None = None
        self._misbehaviour: deque[Misbehaviour] = deque(maxlen=_REMEMBERED)
        self._next_stranger_s = 0.0

    @property
    def failure(self) -> ShelianError | None:
        """What no restart of CometBFT heals: the ledger takes no more blocks (the disk is full, say), or the
        two are of different chains.
        """
        return self._failure

    @property
    def misbehaviour(self) -> tuple[Misbehaviour, ...]:
        """What validators were proved to have done since the start; the newest last."""
        return tuple(self._misbehaviour)

    def stop(self) -> None:
        """Finish what is in hand."""
        self._consensus.shutdown(wait=True)
        self._state_sync.stop()

    # ---- answered at once

    async def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        tip, behind = self._ledger.tip, self._retracing
        if behind is not None:
            return pb.ResponseInfo(
                data=_SOFTWARE,
                app_version=behind.version,
                last_block_height=behind.height,
                last_block_app_hash=behind.app_hash if behind.height else b"",
            )
        height = self._reported_height(tip.height)
        return pb.ResponseInfo(
            data=_SOFTWARE,
            app_version=self._reported_version(tip),
            last_block_height=height,
            last_block_app_hash=tip.app_hash if height else b"",
        )

    async def query(self, request: pb.RequestQuery) -> pb.ResponseQuery:
        allowed = self._peers.allows(request.path)
        if allowed is None:
            return pb.ResponseQuery(
                code=1,
                codespace="comet.unknown_query",
                log="ask by JSON-RPC; only peer filters are answered here",
            )
        if not allowed:
            self._tell_of_stranger(request.path.rpartition("/")[2][:64])
            return pb.ResponseQuery(
                code=1, codespace="comet.peer_refused", log="not a node of this consortium"
            )
        return pb.ResponseQuery()

    def _tell_of_stranger(self, peer: str) -> None:
        """Now and then: whoever knocks all the time may not fill the log."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_stranger_s:
            self._next_stranger_s = now_s + _STRANGER_EVERY_S
            _log.warning("a node that is no member was turned away", code="comet.peer_refused", peer=peer)

    async def check_txs(self, requests: Sequence[pb.RequestCheckTx]) -> list[pb.ResponseCheckTx]:
        """Whether each is in our pool and ready; new ones are checked and put into it first, together.

        A new one that becomes ready meanwhile is not forwarded: CometBFT has it, and keeps it by this answer.
        """
        raws = [request.tx for request in requests]
        hashes = [keccak256(raw) for raw in raws]
        refused: dict[bytes, ShelianError] = {}
        new = {
            transaction_hash: raw
            for transaction_hash, raw, request in zip(hashes, raws, requests, strict=True)
            if request.type == pb.NEW
        }
        with self._forwarding.arriving(new):
            unknown = {one: raw for one, raw in new.items() if self._pool.pending(one) is None}
            if unknown:
                outcomes = await self._submit(list(unknown.values()))
                refused = {
                    transaction_hash: outcome
                    for transaction_hash, outcome in zip(unknown, outcomes, strict=True)
                    if isinstance(outcome, ShelianError)
                }
        return [self._checked(transaction_hash, refused) for transaction_hash in hashes]

    def _checked(self, transaction_hash: bytes, refused: dict[bytes, ShelianError]) -> pb.ResponseCheckTx:
        # Readiness is asked after `arriving`: what becomes ready from then on is forwarded, so nothing is
        # lost between the two.
        admitted = self._pool.pending(transaction_hash)
        if admitted is not None:
            if self._pool.is_ready(transaction_hash):
                return pb.ResponseCheckTx(code=CHECK_READY, gas_wanted=admitted.gas_limit)
            return pb.ResponseCheckTx(code=CHECK_HELD_BACK, codespace="comet.held_back", log="held back")
        refusal = refused.get(transaction_hash)
        if refusal is None:
            return pb.ResponseCheckTx(
                code=CHECK_REFUSED, codespace="comet.gone", log="not in the pool any more"
            )
        # The code and the fixed message only: what was got may say who sent it.
        return pb.ResponseCheckTx(code=CHECK_REFUSED, codespace=refusal.code, log=refusal.message)

    # ---- one after the other

    async def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        return await self._in_order(self._init_chain, request)

    async def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        return await self._in_order(self._prepare_proposal, request)

    async def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        return await self._in_order(self._process_proposal, request)

    async def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        return await self._in_order(self._finalize_block, request)

    async def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        return await self._in_order(self._commit, request)

    async def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        """Vote extensions are off on this chain, so CometBFT never asks."""
        return pb.ResponseExtendVote()

    async def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension
    ) -> pb.ResponseVerifyVoteExtension:
        status = pb.ResponseVerifyVoteExtension
        return status(status=status.REJECT if request.vote_extension else status.ACCEPT)

    async def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        return await self._state_sync.list()

    async def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        return await self._state_sync.load(request)

    async def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        return await self._in_order(self._offer, request)

    async def apply_snapshot_chunk(
        self, request: pb.RequestApplySnapshotChunk
    ) -> pb.ResponseApplySnapshotChunk:
        return await self._in_order(self._apply_chunk, request)

    # ---- in the consensus thread

    async def _in_order(self, step: Callable[[Q], A], request: Q) -> A:
        return await asyncio.get_running_loop().run_in_executor(self._consensus, self._attempt, step, request)

    def _attempt(self, step: Callable[[Q], A], request: Q) -> A:
        if self._failure is not None:
            raise self._failure
        try:
            return step(request)
        except LedgerError as error:
            if error.code.startswith("state."):
                self._failure = error
            raise
        except CometFault as error:
            if error.code in _NEVER_HEALED:
                self._failure = error
            raise

    def _init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        ledger, behind = self._ledger, self._retracing
        if behind is not None and not behind.height:
            check_init_chain(request, ledger.genesis)
            return pb.ResponseInitChain(app_hash=behind.app_hash)
        if self._reported_height(ledger.tip.height):
            raise CometFault(
                "comet.init_chain_late", "this ledger has blocks of the chain already", ledger.tip.height, 0
            )
        check_init_chain(request, ledger.genesis)
        check_imported(ledger)
        return pb.ResponseInitChain(app_hash=ledger.tip.app_hash)

    def _prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        ledger = self._ledger
        max_bytes = max(0, request.max_tx_bytes)
        ready = self._pool.ready(ledger.rules.block_gas, max_bytes)
        chosen = ledger.prepare(ready, request.height, _nanoseconds(request.time), max_bytes)
        return pb.ResponsePrepareProposal(txs=chosen)

    def _process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        status = pb.ResponseProcessProposal
        try:
            self._ledger.process(tuple(request.txs), request.height, _nanoseconds(request.time))
        except BlockRejected as rejection:
            _log.warning(
                "a proposed block was rejected",
                code=rejection.code,
                height=request.height,
                proposer=request.proposer_address.hex(),
                reason=rejection.message,
                got=_without_content(rejection),
            )
            return status(status=status.REJECT)
        return status(status=status.ACCEPT)

    def _finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        if self._retracing is not None:
            return self._retracing.finalize(request)
        block = DecidedBlock(
            request.height,
            _nanoseconds(request.time),
            request.hash,
            request.proposer_address,
            tuple(request.txs),
        )
        tip = self._ledger.tip
        if block.height <= tip.height:
            raise CometFault(
                "comet.already_committed", "this block is in the ledger already", block.height, tip.height + 1
            )
        self._finalized = None
        self._remember_misbehaviour(request.misbehavior, block.height)
        finalized = self._finalized = self._ledger.finalize(block)
        response = pb.ResponseFinalizeBlock(
            tx_results=[
                pb.ExecTxResult(
                    code=one.code, data=one.data, gas_wanted=one.gas_wanted, gas_used=one.gas_used
                )
                for one in finalized.results
            ],
            validator_updates=[_update(one) for one in finalized.validator_updates],
            app_hash=finalized.app_hash,
        )
        if finalized.rules.version != finalized.block_rules.version:
            # The next header's version.app.
            response.consensus_param_updates.version.app = finalized.rules.version
        return response

    def _commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        if self._retracing is not None:
            self._retracing.commit()
            self._end_retracing()
            return pb.ResponseCommit()
        finalized = self._finalized
        if finalized is None:
            raise CometFault(
                "comet.nothing_finalized", "there is no block to commit; FinalizeBlock comes first"
            )
        self._ledger.commit(finalized)
        self._finalized = None
        self._pool.committed(finalized, self._clock_ns())
        self._headers.committed()
        return pb.ResponseCommit(retain_height=self._retain_height(finalized.block.height))

    def _end_retracing(self) -> None:
        if self._retracing is not None and self._retracing.is_done:
            self._retracing = None

    def _offer(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        return (self._retracing or self._state_sync).offer(request)

    def _apply_chunk(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk:
        if self._retracing is not None:
            taken = self._retracing.apply(request)
            self._end_retracing()
            return taken
        before = self._ledger.tip
        answer = self._state_sync.apply(request)
        if self._ledger.tip is not before:
            self._pool.ledger_replaced(self._clock_ns())
        return answer

    def _retain_height(self, tip: int) -> int:
        """The lowest block that CometBFT must keep; 0: all of them.

        Evidence of misbehaviour needs those of its age, the headers' cursor those it has not saved yet, or
        whose headers a power cut could take from the ledger again.
        """
        age = self._ledger.genesis.consensus_params.evidence_max_age_num_blocks
        lowest = min(tip - max(age, HEADERS_AT_RISK), self._headers.next_height - 1)
        return lowest if lowest > self._ledger.genesis.initial_height else 0

    def _reported_version(self, tip: Tip) -> int:
        """CometBFT asks for it twice: while its own state is that of the genesis, for the first header; and
        at the end of state sync, for the header after the snapshot.
        """
        genesis = self._ledger.genesis
        rules = tip.rules if tip.height > genesis.initial_height else genesis.rules
        return rules.version

    def _reported_height(self, height: int) -> int:
        """0 before the first block of this genesis, whatever height it begins at."""
        return height if height >= self._ledger.genesis.initial_height else 0

    def _remember_misbehaviour(self, pieces: Iterable[pb.Misbehavior], height: int) -> None:
        """No state changes: who is taken out of the validators, the consortium decides by vote."""
        for piece in pieces:
            kind = _MISBEHAVIOUR.get(piece.type, "unknown")
            found = Misbehaviour(
                kind, piece.validator.address, piece.height, _nanoseconds(piece.time), height
            )
            if found in self._misbehaviour:
                continue  # the block came again
            self._misbehaviour.append(found)
            _log.warning(
                "a validator was proved to have misbehaved",
                code="comet.misbehaviour",
                kind=kind,
                validator=found.validator.hex(),
                height=found.height,
                decided_height=height,
            )


def _nanoseconds(time: Timestamp) -> int:
    return time.seconds * _SECOND_NS + time.nanos


def _update(validator: Validator) -> pb.ValidatorUpdate:
    return pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=validator.public_key), power=validator.power)


def _without_content(rejection: BlockRejected) -> object:
    """What the log may hold of it: place and code of the refusal, none of the transaction's fields."""
    got = rejection.got
    return {key: got[key] for key in ("index", "code") if key in got} if isinstance(got, dict) else got
