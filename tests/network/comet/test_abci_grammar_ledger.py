"""A real ledger behind the real socket, called in every order that CometBFT's grammar allows.

Whatever the rounds, and wherever CometBFT or the whole node crashes: the application never refuses, reports
the state it last committed, answers a block that comes again as before, and the decided blocks give through
the ledger alone what they gave through ABCI.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from network.comet import abci_pb2 as pb
from network.comet.server import AbciServer
from node.chain.genesis import Genesis
from node.chain.validators import Validator, sort_validators
from node.ledger import DecidedBlock, Ledger
from node.ledger.check import check_ledger
from tests.helpers.ledger import SECOND_NS, Chain, make_genesis, mint, transfer
from tests.network.comet import grammar
from tests.network.comet.abci_peers import Client
from tests.network.comet.machine import Machine
from tests.network.comet.model_comet import ModelComet, set_time

TO = b"\x77" * 20
HASH = b"\x11" * 32
FLUSH = pb.Request(flush=pb.RequestFlush())


@dataclass
class Node:
    """Carries out the steps of a sequence. What its fields hold outlives a crash, like CometBFT's store."""

    path: Path
    genesis: Genesis
    height: int = 0  # committed
    roots: list[bytes] = field(default_factory=list)
    decided: list[DecidedBlock] = field(default_factory=list)
    answers: dict[int, pb.ResponseFinalizeBlock] = field(default_factory=dict)
    proposals: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    gossiped: dict[int, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def start(self) -> None:
        self.machine = Machine(self.path / "ledger", ModelComet(self.genesis))
        self.server = AbciServer(
            self.machine.application,
            self.path / "abci.sock",
            lambda place, fault: self.faults.append(f"{place}: {fault}"),
        )
        await self.server.start()
        await self.connect()

    async def connect(self) -> None:
        """Two connections, as the one for consensus and the one for the mempool."""
        self.consensus, self.mempool = [
            Client(*await asyncio.open_unix_connection(self.path / "abci.sock")) for _ in range(2)
        ]

    async def stop(self) -> None:
        self.consensus.close()
        self.mempool.close()
        await self.server.stop()
        self.machine.close()

    async def ask(self, request: pb.Request) -> pb.Response:
        answer, flushed = await self.consensus.ask(request, FLUSH)
        assert answer.WhichOneof("value") == request.WhichOneof("value"), answer
        assert flushed.HasField("flush")
        return answer

    async def carry_out(self, step: grammar.Step) -> None:
        match step:
            case grammar.Crash(of_application):
                if of_application:
                    await self.stop()
                    await self.start()
                else:
                    self.consensus.close()
                    self.mempool.close()
                    await self.connect()
            case grammar.Info():
                answer = (await self.ask(pb.Request(info=pb.RequestInfo(version="0.40.0")))).info
                root = self.roots[-1] if self.roots else b""
                assert (answer.last_block_height, answer.last_block_app_hash) == (self.height, root)
            case grammar.InitChain():
                request = self.machine.comet.init_chain()
                answer = (await self.ask(pb.Request(init_chain=request))).init_chain
                assert answer.app_hash == self.machine.ledger.tip.app_hash
            case grammar.PrepareProposal(height, _, number):
                await self.something_arrives()
                prepare = pb.RequestPrepareProposal(height=height, max_tx_bytes=1 << 20)
                set_time(prepare.time, self.time_ns(height))
                answer = (await self.ask(pb.Request(prepare_proposal=prepare))).prepare_proposal
                assert answer.txs, "what waits in the pool is proposed"
                self.proposals[number] = tuple(answer.txs)
            case grammar.ProcessProposal(height, _, number):
                judge = pb.RequestProcessProposal(height=height, txs=self.proposal(number), hash=HASH)
                set_time(judge.time, self.time_ns(height))
                answer = (await self.ask(pb.Request(process_proposal=judge))).process_proposal
                assert answer.status == pb.ResponseProcessProposal.ACCEPT
            case grammar.ExtendVote(height, _, number):
                extend = pb.RequestExtendVote(height=height, txs=self.proposal(number), hash=HASH)
                assert (await self.ask(pb.Request(extend_vote=extend))).extend_vote.vote_extension == b""
            case grammar.VerifyVoteExtension(height):
                verify = pb.RequestVerifyVoteExtension(height=height, hash=HASH)
                answer = (await self.ask(pb.Request(verify_vote_extension=verify))).verify_vote_extension
                assert answer.status == pb.ResponseVerifyVoteExtension.ACCEPT
            case grammar.FinalizeBlock(height, number):
                await self.finalize(self.block(height, self.proposal(number)))
            case grammar.Commit(height):
                await self.ask(pb.Request(commit=pb.RequestCommit()))
                self.height = height
                self.roots.append(self.answers[height].app_hash)
                self.proposals.clear()
                assert self.machine.ledger.tip.app_hash == self.roots[-1]

    async def finalize(self, block: DecidedBlock) -> None:
        request = pb.RequestFinalizeBlock(
            height=block.height,
            txs=block.transactions,
            hash=block.hash,
            proposer_address=block.proposer_address,
        )
        set_time(request.time, block.time_ns)
        before = self.machine.ledger.tip
        answer = (await self.ask(pb.Request(finalize_block=request))).finalize_block
        assert self.machine.ledger.tip == before, "only Commit moves the tip"
        assert len(answer.tx_results) == len(block.transactions)
        if self.answers.setdefault(block.height, answer) == answer and len(self.decided) < block.height:
            self.decided.append(block)
        assert (self.answers[block.height], self.decided[-1]) == (answer, block), (
            "it came again, and is the same"
        )

    async def something_arrives(self) -> None:
        """By gossip, while consensus goes on: the clerk's next transaction, which may be there already."""
        chain = self.machine.chain
        nonce = chain.nonce(chain.clerk)
        if nonce not in self.gossiped:
            self.gossiped[nonce] = chain.sign(chain.clerk, [transfer(TO, 1)], nonce=nonce)
        check = pb.Request(check_tx=pb.RequestCheckTx(tx=self.gossiped[nonce]))
        (answer, _) = await self.mempool.ask(check, FLUSH)
        assert answer.check_tx.code == 0

    def proposal(self, number: int) -> tuple[bytes, ...]:
        """By its number. One that was not made here comes from another node: the judge's, or an empty one."""
        if number not in self.proposals:
            chain = self.machine.chain
            foreign = [chain.sign(chain.judge, [mint(TO, number + 1)])] if number % 3 else []
            self.proposals[number] = tuple(foreign)
        return self.proposals[number]

    def time_ns(self, height: int) -> int:
        return self.genesis.genesis_time_ns + height * SECOND_NS

    def block(self, height: int, transactions: tuple[bytes, ...]) -> DecidedBlock:
        parts = b"".join(hashlib.sha256(raw).digest() for raw in transactions)
        return DecidedBlock(
            height,
            self.time_ns(height),
            hashlib.sha256(height.to_bytes(8, "big") + parts).digest(),
            sort_validators(Validator(v.public_key, v.power) for v in self.genesis.validators)[0].address,
            transactions,
        )


@pytest.fixture(scope="module")
def genesis(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genesis, Path]:
    """A chain's genesis and a ledger that holds nothing else."""
    genesis = make_genesis(Chain.people(), calls=[mint(Chain.people()[0].address, 1_000_000)])
    path = tmp_path_factory.mktemp("genesis") / "ledger"
    Ledger.create(path, genesis).close()
    return genesis, path


@pytest.mark.parametrize("vote_extensions", [False, True], ids=["as on our chain", "with vote extensions"])
def test_any_order_that_the_grammar_allows(
    genesis: tuple[Genesis, Path], tmp_path_factory: pytest.TempPathFactory, vote_extensions: bool
) -> None:
    document, empty = genesis

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(grammar.call_sequences(vote_extensions=vote_extensions))
    def go_through(steps: tuple[grammar.Step, ...]) -> None:
        place = tmp_path_factory.mktemp("node")
        shutil.copytree(empty, place / "ledger")
        shutil.copytree(empty, place / "alone")

        async def drive() -> Node:
            node = Node(place, document)
            await node.start()
            for step in steps:
                await node.carry_out(step)
            await node.stop()
            return node

        node = asyncio.run(drive())
        assert node.faults == []
        assert node.height == steps[-1].height
        with Ledger.open(place / "alone") as alone:
            for block, root in zip(node.decided, node.roots, strict=True):
                finalized = alone.finalize(block)
                alone.commit(finalized)
                assert finalized.app_hash == root
                assert [(r.code, r.data, r.gas_wanted, r.gas_used) for r in finalized.results] == [
                    (r.code, r.data, r.gas_wanted, r.gas_used) for r in node.answers[block.height].tx_results
                ]
        report = check_ledger(place / "ledger", document)
        assert report.ok, report.findings
        shutil.rmtree(place)

    go_through()
