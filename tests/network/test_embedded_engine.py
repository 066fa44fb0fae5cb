"""The embedded engine makes blocks when there is a reason, signs them, and keeps what it acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from network.embedded import EmbeddedEngine, Pace, ValidatorKey
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.chain.block import Block, block_id_of
from node.chain.commit import decode_commit, verify_commit
from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.header import decode_header, header_hash
from node.chain.validators import Validator
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.rpc.config import RpcConfig
from node.txpool import TransactionPool
from tests.helpers.ledger import GENESIS_TIME, SECOND_NS, Chain, transfer, validator_key

QUICK = Pace(heartbeat_s=60, proof_delay_s=0.01)


def machine_key() -> ValidatorKey:
    key = validator_key()
    return ValidatorKey(bytes(key.verify_key), lambda message: key.sign(message).signature)


@dataclass
class Clock:
    """A clock that a test sets."""

    now_ns: int = (GENESIS_TIME + 1) * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Machine:
    chain: Chain
    pool: TransactionPool
    engine: EmbeddedEngine
    clock: Clock

    def submit(self, raw: bytes) -> None:
        self.pool.add(self.chain.ledger.check(raw, self.clock()), self.clock())
        self.engine.wake()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, (
                f"at height {self.chain.ledger.tip.height}: {self.engine.status()}"
            )
            time.sleep(0.002)

    @property
    def height(self) -> int:
        return self.chain.ledger.tip.height


@pytest.fixture
def machine(tmp_path: Path):
    chain = Chain.create(tmp_path / "ledger")
    pool, clock = TransactionPool(chain.ledger), Clock()
    machine = Machine(chain, pool, EmbeddedEngine(chain.ledger, pool, machine_key(), clock, QUICK), clock)
    yield machine
    machine.engine.stop()
    chain.close()


def transfer_raw(machine: Machine, nonce: int) -> bytes:
    chain = machine.chain
    return chain.sign(chain.clerk, [transfer(chain.resident.address, 1)], nonce=nonce, valid_for=10_000)


def test_a_transaction_makes_a_block_and_a_proof_block_and_then_it_is_quiet(machine: Machine) -> None:
    machine.engine.start()
    machine.until(lambda: machine.height == 1)
    time.sleep(0.1)
    assert machine.height == 1, "the first block has no transactions and changes nothing"
    machine.submit(transfer_raw(machine, 0))
    machine.until(lambda: machine.height == 3)
    time.sleep(0.1)
    assert machine.height == 3
    with machine.chain.ledger.snapshot() as snapshot:
        assert [len(snapshot.transactions(height)) for height in (1, 2, 3)] == [0, 1, 0]
        record, proof = snapshot.block(2), snapshot.header(3)
        assert record is not None
        assert proof is not None
        assert decode_header(proof).app_hash == record.state_root
        assert decode_header(proof).last_results_hash == record.results_hash


def test_every_block_is_signed_and_linked(machine: Machine) -> None:
    machine.engine.start()
    for nonce in range(5):
        machine.submit(transfer_raw(machine, nonce))
    machine.until(lambda: not machine.pool.has_ready() and machine.height >= 2)
    machine.engine.stop()
    genesis = machine.chain.ledger.genesis
    validators = (Validator(machine_key().public_key, 10),)
    with machine.chain.ledger.snapshot() as snapshot:
        for height in range(1, machine.height + 1):
            raw_header, raw_commit = snapshot.header(height), snapshot.commit(height)
            assert raw_header is not None
            assert raw_commit is not None
            header, commit = decode_header(raw_header), decode_commit(raw_commit)
            verify_commit(genesis.chain_name, validators, commit.block_id, height, commit)
            assert commit.block_id.hash == header_hash(header)
            if height > 1:
                last = snapshot.commit(height - 1)
                assert last is not None
                block = Block(header, snapshot.transactions(height), decode_commit(last))
                assert block_id_of(block) == commit.block_id


def test_block_time_is_the_time_of_proposal_and_rises_when_the_clock_does_not(machine: Machine) -> None:
    machine.engine.make_block()
    assert machine.chain.ledger.tip.time_ns == machine.chain.ledger.genesis.genesis_time_ns
    machine.engine.make_block()
    assert machine.chain.ledger.tip.time_ns == machine.clock.now_ns
    machine.clock.now_ns -= 500 * SECOND_NS
    before = machine.chain.ledger.tip.time_ns
    machine.engine.make_block()
    assert machine.chain.ledger.tip.time_ns == before + 1


def test_the_header_time_is_that_of_the_last_commit(machine: Machine) -> None:
    for _ in range(3):
        machine.clock.now_ns += SECOND_NS
        machine.engine.make_block()
    with machine.chain.ledger.snapshot() as snapshot:
        for height in (2, 3):
            header, commit = snapshot.header(height), snapshot.commit(height - 1)
            assert header is not None
            assert commit is not None
            assert decode_header(header).time_ns == decode_commit(commit).signatures[0].time_ns


def test_a_heartbeat_comes_when_nothing_else_does(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path / "ledger")
    pool = TransactionPool(chain.ledger)
    start = time.monotonic_ns()
    clock = lambda: (GENESIS_TIME + 60) * SECOND_NS + time.monotonic_ns() - start  # noqa: E731
    engine = EmbeddedEngine(
        chain.ledger, pool, machine_key(), clock, Pace(heartbeat_s=0.05, proof_delay_s=0.01)
    )
    engine.start()
    time.sleep(0.5)
    engine.stop()
    assert 4 <= chain.ledger.tip.height <= 12
    chain.close()


def test_a_foreign_key_cannot_drive_the_chain(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path / "ledger")
    other = ValidatorKey(bytes(32), lambda message: bytes(64))
    engine = EmbeddedEngine(chain.ledger, TransactionPool(chain.ledger), other, Clock(), QUICK)
    with pytest.raises(LedgerError) as refused:
        engine.make_block()
    assert refused.value.code == "engine.no_quorum"
    assert chain.ledger.tip.height == 0
    chain.close()


def test_when_the_ledger_cannot_write_the_engine_stops_and_reads_go_on(tmp_path: Path) -> None:
    def disk_full(step: str) -> None:
        if step == "write.begin" and full:
            raise LedgerError("state.disk_full", "the disk is full")

    full: list[bool] = []
    chain = Chain.create(tmp_path / "ledger", on_step=disk_full)
    engine = EmbeddedEngine(chain.ledger, TransactionPool(chain.ledger), machine_key(), Clock(), QUICK)
    engine.make_block()
    full.append(True)
    engine.start()
    engine.wake()
    deadline = time.monotonic() + 5
    while engine.status().failure is None and time.monotonic() < deadline:
        time.sleep(0.01)
    status = engine.status()
    assert not status.running
    assert "state.disk_full" in (status.failure or "")
    with chain.ledger.snapshot() as snapshot:
        assert snapshot.tip.height == 1
    chain.close()
    assert check_ledger(tmp_path / "ledger").ok


def test_a_node_continues_where_it_stopped_and_its_directory_passes_the_check(tmp_path: Path) -> None:
    genesis = Chain.create(tmp_path / "ledger")
    signed = [
        genesis.sign(genesis.clerk, [transfer(genesis.resident.address, 1)], nonce=n, valid_for=10_000)
        for n in range(6)
    ]
    genesis.close()
    clock = Clock()

    async def run(transactions: list[bytes]) -> int:
        config = NodeConfig(tmp_path / "ledger", EmbeddedConfig(machine_key(), QUICK), RpcConfig(port=0))
        async with Node(config, clock) as node:
            for raw in transactions:
                clock.now_ns += SECOND_NS
                await node.submit(raw)
            while node.pool().ready:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            return node.ledger.tip.height

    first = asyncio.run(run(signed[:3]))
    second = asyncio.run(run(signed[3:]))
    assert second > first
    with Ledger.open(tmp_path / "ledger") as ledger, ledger.snapshot() as snapshot:
        assert all(snapshot.locate(keccak256(raw)) for raw in signed)
    assert check_ledger(tmp_path / "ledger").ok
