"""CometBFT as an application sees it, in a hundred lines: a block store, a state, the calls in their order.

It decides blocks, keeps them as CometBFT keeps its own (store first, state last), makes each header from
nothing but the application's *answers*, and after a crash of either side goes through the handshake of
CometBFT's consensus/replay.go. So a wrong answer shows as a header that does not fit the ledger, as a replay
that gives another state, or as `ModelPanic`, where CometBFT itself would stop.

Validators sign with keys from `signing_key(seed)`; it knows those of the seeds it is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from nacl.signing import SigningKey

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from network.comet.home import comet_genesis
from network.comet.server import Handler
from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import EMPTY_COMMIT, Commit, commit_hash, sign_precommit
from node.chain.encoding import encode_canonical_json
from node.chain.genesis import Genesis
from node.chain.header import NIL_BLOCK_ID, Header, consensus_hash, header_hash
from node.chain.receipt import TransactionResult, results_hash
from node.chain.validators import Validator, apply_updates, sort_validators, validators_hash

SECOND_NS = 1_000_000_000


class ModelPanic(Exception):
    """What makes CometBFT stop for good."""


class Cut(Exception):
    """The model was cut off at a named point, as by kill -9."""


POINTS = ("decided", "stored", "finalized", "committed", "saved")
"""Where a height can be cut off: nothing kept; block stored; FinalizeBlock answered; Commit answered; state
saved.
"""


def signing_key(seed: str) -> SigningKey:
    return SigningKey(hashlib.sha256(seed.encode()).digest())


@dataclass(frozen=True)
class Stored:
    """A decided block in the store."""

    header: Header
    transactions: tuple[bytes, ...]
    last_commit: Commit
    seen: Commit
    misbehaviour: tuple[pb.Misbehavior, ...] = ()

    @property
    def hash(self) -> bytes:
        return header_hash(self.header)


@dataclass(frozen=True)
class State:
    """What CometBFT knows after a height; `validators` sign the next one."""

    height: int
    app_hash: bytes
    results_hash: bytes
    app_version: int
    validators: tuple[Validator, ...]
    next_validators: tuple[Validator, ...]


@dataclass
class ModelComet:
    """One node's CometBFT. `blocks` and `state` are what survives its crash."""

    genesis: Genesis
    seeds: Iterable[str] = ("validator",)
    blocks: list[Stored] = field(default_factory=list)
    state: State | None = None
    responses: dict[int, pb.ResponseFinalizeBlock] = field(default_factory=dict)

    @property
    def before(self) -> int:
        """The height before the first."""
        return self.genesis.initial_height - 1

    @property
    def store(self) -> int:
        """The height of the newest block; `before` without one."""
        return self.before + len(self.blocks)

    def at(self, height: int) -> Stored:
        return self.blocks[height - 1 - self.before]

    def __post_init__(self) -> None:
        self.keys = {bytes(signing_key(seed).verify_key): signing_key(seed) for seed in self.seeds}

    # ---- the handshake

    def init_chain(self) -> pb.RequestInitChain:
        document = comet_genesis(self.genesis)
        params = self.genesis.consensus_params
        request = pb.RequestInitChain(
            chain_id=document["chain_id"],
            initial_height=self.genesis.initial_height,
            app_state_bytes=encode_canonical_json(document["app_state"]),
            validators=[
                pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=one.public_key), power=one.power)
                for one in self.genesis.validators
            ],
        )
        set_time(request.time, self.genesis.genesis_time_ns)
        request.consensus_params.block.max_bytes = params.block_max_bytes
        request.consensus_params.block.max_gas = params.block_max_gas
        evidence = request.consensus_params.evidence
        evidence.max_age_num_blocks = params.evidence_max_age_num_blocks
        evidence.max_age_duration.FromNanoseconds(params.evidence_max_age_duration_ns)
        evidence.max_bytes = params.evidence_max_bytes
        request.consensus_params.validator.pub_key_types.append("ed25519")
        request.consensus_params.version.app = self.genesis.rules.version
        request.consensus_params.abci.SetInParent()
        return request

    def begin(self, answer: pb.ResponseInitChain) -> None:
        """The state before the first block."""
        validators = sort_validators(Validator(one.public_key, one.power) for one in self.genesis.validators)
        version = self.genesis.rules.version
        self.state = State(self.before, answer.app_hash, results_hash(()), version, validators, validators)

    async def handshake(self, handler: Handler) -> int:
        """Bring the application to the store's height; the number of blocks it was sent."""
        info = await handler.info(pb.RequestInfo(version="0.40.0"))
        app, app_hash = info.last_block_height, info.last_block_app_hash
        store = self.store
        if app == 0:
            app = self.before
            answer = await handler.init_chain(self.init_chain())
            app_hash = answer.app_hash
            if self.state is None:
                self.begin(answer)
        if self.state is None:
            raise ModelPanic("the application is ahead of an empty store")
        if app > store:
            raise ModelPanic(f"app block height ({app}) is higher than core ({store})")
        sent = 0
        for height in range(app + 1, store + 1):
            if height > self.state.height:
                await self._apply(self.at(height), handler)
            else:  # the state has it already: replayed without looking at the answer but for its root
                stored = self.at(height)
                answer = await handler.finalize_block(request_of(stored))
                await handler.commit(pb.RequestCommit())
                following = self.at(height + 1).header.app_hash if height < store else self.state.app_hash
                if answer.app_hash != following:
                    raise ModelPanic(f"AppHash does not match AppHash after replay at {height}")
            sent += 1
        if app == store and self.state.height == store - 1:
            # It committed and the state was not saved: the answer kept from FinalizeBlock serves.
            self.state = self._following(self.state, self.blocks[-1], self.responses[store])
        elif not sent and self.blocks and app_hash != self.state.app_hash:
            raise ModelPanic("state.AppHash does not match AppHash after replay")
        return sent

    # ---- one height

    def decide(self, transactions: Sequence[bytes], misbehaviour: Sequence[pb.Misbehavior] = ()) -> Stored:
        """The next block with these transactions, signed by all validators of its height."""
        state = self._state()
        height = state.height + 1
        last_id, last_commit, time = NIL_BLOCK_ID, EMPTY_COMMIT, self.genesis.genesis_time_ns
        if self.blocks:
            last = self.blocks[-1]
            last_id, last_commit = last.seen.block_id, self.canonical(last)
            time = last.header.time_ns + SECOND_NS
        params = self.genesis.consensus_params
        header = Header(
            chain_name=self.genesis.chain_name,
            height=height,
            time_ns=time,
            last_block_id=last_id,
            last_commit_hash=commit_hash(last_commit),
            data_hash=data_hash(transactions),
            validators_hash=validators_hash(state.validators),
            next_validators_hash=validators_hash(state.next_validators),
            consensus_hash=consensus_hash(params.block_max_bytes, params.block_max_gas),
            app_hash=state.app_hash,
            last_results_hash=state.results_hash,
            evidence_hash=evidence_hash(()),
            proposer_address=state.validators[height % len(state.validators)].address,
            app_version=state.app_version,
        )
        block_id = block_id_of(Block(header, tuple(transactions), last_commit))
        seen = Commit(
            height,
            0,
            block_id,
            tuple(
                sign_precommit(
                    self.genesis.chain_name, height, 0, block_id, time, one.address, self._sign(one)
                )
                for one in state.validators
            ),
        )
        return Stored(header, tuple(transactions), last_commit, seen, tuple(misbehaviour))

    def canonical(self, stored: Stored) -> Commit:
        """The commit that the next block carries; at even heights its proposer saw other votes than we."""
        if stored.header.height % 2:
            return stored.seen
        commit = stored.seen
        time = stored.header.time_ns + 1
        votes = tuple(
            sign_precommit(
                self.genesis.chain_name,
                commit.height,
                0,
                commit.block_id,
                time,
                vote.validator_address,
                self._sign_as(vote.validator_address),
            )
            for vote in commit.signatures
        )
        return replace(commit, signatures=votes)

    async def height(self, handler: Handler, stored: Stored, cut: str | None = None) -> None:
        """A decided block goes through; raises Cut at the point `cut`."""
        self._cut("decided", cut)
        self.blocks.append(stored)
        self._cut("stored", cut)
        await self._apply(stored, handler, cut)

    def keep(self, stored: Stored, answer: pb.ResponseFinalizeBlock) -> None:
        """The application has committed the block."""
        self.blocks.append(stored)
        self.state = self._following(self._state(), stored, answer)

    async def _apply(self, stored: Stored, handler: Handler, cut: str | None = None) -> None:
        answer = await handler.finalize_block(request_of(stored))
        if len(answer.tx_results) != len(stored.transactions):
            raise ModelPanic("not one result for each transaction")
        self.responses[stored.header.height] = answer
        self._cut("finalized", cut)
        following = self._following(self._state(), stored, answer)
        await handler.commit(pb.RequestCommit())
        self._cut("committed", cut)
        self.state = following
        self._cut("saved", cut)

    def _following(self, state: State, stored: Stored, answer: pb.ResponseFinalizeBlock) -> State:
        updates = [Validator(one.pub_key.ed25519, one.power) for one in answer.validator_updates]
        known = {one.public_key for one in state.next_validators}
        if len({one.public_key for one in updates}) != len(updates):
            raise ModelPanic("two updates for one validator")
        if any(not one.power and one.public_key not in known for one in updates):
            raise ModelPanic("a validator that is none is removed")
        next_validators = apply_updates(state.next_validators, updates) if updates else state.next_validators
        if not next_validators:
            raise ModelPanic("no validators are left")
        version = state.app_version
        if answer.HasField("consensus_param_updates"):
            version = answer.consensus_param_updates.version.app
        results = [
            TransactionResult(one.code, one.data, one.gas_wanted, one.gas_used) for one in answer.tx_results
        ]
        return State(
            stored.header.height,
            answer.app_hash,
            results_hash(results),
            version,
            state.next_validators,
            next_validators,
        )

    # ---- the RPC, as the headers' cursor asks it

    async def commit(self, height: int) -> tuple[Header, Commit, bool]:
        stored = self.at(height)
        canonical = height < self.store
        return stored.header, self.at(height + 1).last_commit if canonical else stored.seen, canonical

    async def commits(self, heights: Sequence[int]) -> list[tuple[Header, Commit, bool] | CometFault]:
        return [await self.commit(height) for height in heights]

    async def last_commit(self, height: int) -> Commit:
        return self.at(height).last_commit

    def _state(self) -> State:
        assert self.state is not None, "no handshake yet"
        return self.state

    def _sign(self, validator: Validator):  # type: ignore[no-untyped-def]
        key = self.keys[validator.public_key]
        return lambda message: key.sign(message).signature

    def _sign_as(self, address: bytes):  # type: ignore[no-untyped-def]
        (key,) = [key for public, key in self.keys.items() if Validator(public, 1).address == address]
        return lambda message: key.sign(message).signature

    @staticmethod
    def _cut(point: str, cut: str | None) -> None:
        if point == cut:
            raise Cut(point)


def set_time(message, time_ns: int) -> None:  # type: ignore[no-untyped-def]
    message.seconds, message.nanos = divmod(time_ns, SECOND_NS)


def request_of(stored: Stored) -> pb.RequestFinalizeBlock:
    request = pb.RequestFinalizeBlock(
        txs=stored.transactions,
        hash=stored.hash,
        height=stored.header.height,
        proposer_address=stored.header.proposer_address,
        next_validators_hash=stored.header.next_validators_hash,
        misbehavior=stored.misbehaviour,
    )
    set_time(request.time, stored.header.time_ns)
    return request
