"""A ledger that went on under a new genesis, behind ABCI: InitChain, the first block, crashes around it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from node.chain.header import NIL_BLOCK_ID, decode_header
from node.chain.light import Archive
from node.chain.light_chain import Segment, verify_segments
from node.chain.merkle import EMPTY_ROOT
from node.ledger import Ledger
from node.ledger.building import build_ledger
from node.ledger.check import check_ledger
from node.ledger.continuation import continue_ledger, load_continuation, load_light_block
from node.ledger.shelf import Shelf
from tests.helpers.graduation import SEEDS, EndedChain, Handover, end_chain, new_validators
from tests.helpers.ledger import Chain, balance_of, set_validators, transfer
from tests.network.comet.machine import Machine
from tests.network.comet.model_comet import POINTS, Cut, ModelComet, signing_key

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[EndedChain, Handover]:
    path = tmp_path_factory.mktemp("ended") / "ledger"
    ended = end_chain(path)
    handover = ended.hand_over()
    continue_ledger(path, handover.genesis, handover.certificate)
    return ended, handover


@pytest.fixture
def path(template: tuple[EndedChain, Handover], tmp_path: Path) -> Path:
    """A directory that went on and has made no block yet."""
    shutil.copytree(template[0].path, tmp_path / "ledger")
    return tmp_path / "ledger"


def comet_of(template: tuple[EndedChain, Handover]) -> ModelComet:
    return ModelComet(template[1].genesis, SEEDS)


def test_blocks_go_on_where_the_old_chain_ended_with_state_nonces_and_receipts(
    template: tuple[EndedChain, Handover], path: Path
) -> None:
    ended, handover = template
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            info = await machine.application.info(pb.RequestInfo())
            assert (info.last_block_height, info.app_version) == (0, 1)
            assert await comet.handshake(machine.application) == 0
            chain = machine.chain
            # The clerk's fourth transaction, by its nonce, signed for the new chain.
            assert chain.nonce(chain.clerk) == 3
            raw = chain.sign(chain.clerk, [transfer(chain.judge.address, 40)])
            (outcome,) = await machine.submit(raw)
            assert isinstance(outcome, bytes)
            assert await machine.propose() == [raw]
            await machine.add(raw)
            await machine.add()
            await machine.add()
            await machine.fetch_headers()
            assert machine.cursor.alarm is None
            with machine.ledger.snapshot() as snapshot:
                first = decode_header(snapshot.header(ended.height + 1) or b"")
                assert (first.last_block_id, first.app_hash) == (NIL_BLOCK_ID, ended.root)
                assert first.last_results_hash == EMPTY_ROOT
                assert first.time_ns == handover.genesis.genesis_time_ns
                assert snapshot.receipts(1)
                assert snapshot.receipts(ended.height + 1)
                assert snapshot.context(ended.height).chain_id == ended.genesis.evm_chain_id
                assert snapshot.context(ended.height + 1).chain_id == handover.genesis.evm_chain_id
        finally:
            machine.close()

    asyncio.run(run())
    report = check_ledger(path, handover.genesis)
    assert report.findings == []
    assert report.height == ended.height + 3
    assert report.headers_to_come == 0


def test_a_light_client_goes_from_the_old_genesis_over_the_seam_to_a_new_header(
    template: tuple[EndedChain, Handover], path: Path
) -> None:
    ended, handover = template
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            for _ in range(4):
                await machine.add()
            await machine.fetch_headers()
            with machine.ledger.snapshot() as snapshot:
                joint = load_continuation(snapshot.reads)
                assert joint is not None
                newest = load_light_block(snapshot.reads, machine.height)
                proven = verify_segments(
                    [Segment(joint.old_genesis, ()), Segment(handover.genesis, (newest,), joint.certificate)],
                    Archive(),
                )
                assert proven.header.height == ended.height + 4
                assert proven.genesis_hash == ended.genesis.hash
                (joined,) = proven.handovers
                assert joined.statement.state_root == ended.root
        finally:
            machine.close()

    asyncio.run(run())


def test_init_chain_may_come_again_until_the_first_block(
    template: tuple[EndedChain, Handover], path: Path
) -> None:
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            for _ in range(3):
                answer = await machine.application.init_chain(comet.init_chain())
                assert answer.app_hash == template[0].root
            await comet.handshake(machine.application)
            await machine.add()
            with pytest.raises(CometFault) as refused:
                await machine.application.init_chain(comet.init_chain())
            assert refused.value.code == "comet.init_chain_late"
        finally:
            machine.close()

    asyncio.run(run())


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_around_the_first_block_loses_nothing(
    template: tuple[EndedChain, Handover], path: Path, point: str
) -> None:
    ended, handover = template
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(path, comet)
        await comet.handshake(machine.application)
        raw = machine.chain.sign(machine.chain.clerk, [transfer(machine.chain.judge.address, 40)])
        block = comet.decide([raw])
        with pytest.raises(Cut):
            await comet.height(machine.application, block, cut=point)
        machine.close()
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            if point == "decided":
                await machine.add(raw)
            assert machine.height == ended.height + 1
            await machine.add()
            await machine.fetch_headers()
        finally:
            machine.close()

    asyncio.run(run())
    assert check_ledger(path, handover.genesis).findings == []


@pytest.mark.parametrize("step", ["commit.begin", "write.begin", "write.done", "commit.published"])
def test_a_kill_inside_the_first_commit_is_healed_by_the_handshake(
    template: tuple[EndedChain, Handover], path: Path, step: str
) -> None:
    ended, handover = template
    comet = comet_of(template)

    class Killed(BaseException):
        pass

    def kill(name: str) -> None:
        if name == step:
            raise Killed

    async def run() -> None:
        machine = Machine(path, comet, on_step=kill)
        await comet.handshake(machine.application)
        with pytest.raises(Killed):
            await machine.add()
        machine.close()
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            assert machine.height == ended.height + 1
            await machine.fetch_headers()
        finally:
            machine.close()

    asyncio.run(run())
    assert check_ledger(path, handover.genesis).findings == []


def test_validators_change_by_vote_after_the_seam(template: tuple[EndedChain, Handover], path: Path) -> None:
    """The first difference that the engine is told is a vote's, not one between the two chains."""
    comet = ModelComet(template[1].genesis, (*SEEDS, "five"))
    five = new_validators((*SEEDS, "five"))

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            await machine.add()
            assert not comet.responses[machine.height].validator_updates
            await machine.add(machine.chain.sign(machine.chain.clerk, [set_validators(3, five)]))
            (update,) = comet.responses[machine.height].validator_updates
            assert update.pub_key.ed25519 == bytes(signing_key("five").verify_key)
            await machine.add()
            await machine.add()
            await machine.fetch_headers()
        finally:
            machine.close()

    asyncio.run(run())
    assert check_ledger(path, template[1].genesis).findings == []


def test_a_ledger_without_the_old_chains_state_starts_nothing(
    template: tuple[EndedChain, Handover], tmp_path: Path
) -> None:
    """An empty directory of the new genesis waits for a snapshot; InitChain is refused, and stays refused."""
    _, handover = template
    Ledger.create(tmp_path / "ledger", handover.genesis).close()
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(tmp_path / "ledger", comet)
        try:
            info = await machine.application.info(pb.RequestInfo())
            assert info.last_block_height == 0
            for _ in range(2):
                with pytest.raises(CometFault) as refused:
                    await machine.application.init_chain(comet.init_chain())
                assert refused.value.code == "comet.not_imported"
            assert machine.application.failure is not None
        finally:
            machine.close()

    asyncio.run(run())


def test_the_old_chain_itself_is_not_taken_for_the_new_one(
    template: tuple[EndedChain, Handover], tmp_path: Path
) -> None:
    end_chain(tmp_path / "ledger")
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(tmp_path / "ledger", comet)
        try:
            with pytest.raises(CometFault) as refused:
                await machine.application.init_chain(comet.init_chain())
            assert refused.value.code == "comet.init_chain_late"
        finally:
            machine.close()

    asyncio.run(run())


def test_transactions_signed_for_the_old_chain_are_refused_on_the_new_one(
    template: tuple[EndedChain, Handover], path: Path
) -> None:
    ended, _ = template
    with Ledger.open(path) as ledger:
        chain = Chain(ledger)
        raw = chain.sign(chain.clerk, [balance_of(chain.judge.address)], chain_id=ended.genesis.evm_chain_id)
        with pytest.raises(Exception, match=r"^tx\.wrong_chain"):
            ledger.check(raw, ledger.tip.time_ns)


def test_who_joins_later_begins_at_a_snapshot_of_the_new_chain(
    template: tuple[EndedChain, Handover], path: Path, tmp_path: Path
) -> None:
    """One of the old chain's last block is not passed on: it is of another genesis."""
    ended, handover = template
    comet = comet_of(template)
    shelf = Shelf(path.parent / "snapshots")

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            raw = machine.chain.sign(machine.chain.clerk, [transfer(machine.chain.judge.address, 40)])
            await machine.add(raw)
            with machine.ledger.snapshot() as snapshot:
                shelf.create(snapshot, handover.genesis)
            for _ in range(3):
                await machine.add()
            await machine.fetch_headers()
            assert machine.cursor.alarm is None
            listed = await machine.application.list_snapshots(pb.RequestListSnapshots())
            assert [one.height for one in listed.snapshots] == [ended.height + 1]
        finally:
            machine.close()

    asyncio.run(run())
    saved = shelf.find(ended.height + 1)
    assert saved is not None
    (tmp_path / "joiner").mkdir()
    build_ledger(tmp_path / "joiner" / "ledger", handover.genesis, saved)
    shutil.copytree(saved.directory, tmp_path / "joiner" / "snapshots" / str(ended.height + 1))
    report = check_ledger(tmp_path / "joiner" / "ledger", handover.genesis)
    assert report.findings == []
    assert report.base == ended.height + 1


def test_a_snapshot_of_the_old_chain_is_not_listed(
    template: tuple[EndedChain, Handover], path: Path, tmp_path: Path
) -> None:
    old = end_chain(tmp_path / "again")
    with Ledger.open(old.path) as ledger, ledger.snapshot() as snapshot:
        Shelf(path.parent / "snapshots").create(snapshot, ledger.genesis)
    comet = comet_of(template)

    async def run() -> None:
        machine = Machine(path, comet)
        try:
            await comet.handshake(machine.application)
            for _ in range(4):
                await machine.add()
            await machine.fetch_headers()
            listed = await machine.application.list_snapshots(pb.RequestListSnapshots())
            assert not listed.snapshots
        finally:
            machine.close()

    asyncio.run(run())
