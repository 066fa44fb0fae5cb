"""What becomes ready here reaches CometBFT: once, in order, again after a restart; what has left does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from network.comet import forwarding as module
from network.comet.faults import CometFault
from network.comet.forwarding import BATCH_COUNT, Forwarding
from node.chain.errors import ShelianError
from node.txpool import TransactionPool
from tests.helpers.ledger import Chain, Person, transfer

TO = b"\x77" * 20
FULL = CometFault("comet.mempool_full", "the mempool is full")
AWAY = CometFault("comet.rpc_unreachable", "CometBFT does not answer")
TOO_LARGE = CometFault("comet.transaction_refused", "too large")


class Mempool:
    """CometBFT's side: takes what comes, in order; refuses what `refuse` says."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.asked = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.is_away = False
        self.refuse: Callable[[bytes], ShelianError | None] = lambda raw: None

    async def broadcast(self, raws: Sequence[bytes]) -> list[ShelianError | None]:
        self.asked += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        assert 0 < len(raws) <= BATCH_COUNT
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        if self.is_away:
            raise AWAY
        outcomes = [self.refuse(raw) for raw in raws]
        self.taken += [raw for raw, outcome in zip(raws, outcomes, strict=True) if outcome is None]
        return outcomes


class Node:
    def __init__(self, path: Path) -> None:
        self.chain = Chain.create(path)
        self.forwarding = Forwarding()
        self.pool = TransactionPool(self.chain.ledger, on_ready=self.forwarding.ready)
        self.mempool = Mempool()

    def put(self, who: Person, nonce: int) -> bytes:
        raw = self.chain.sign(who, [transfer(TO, 1)], nonce=nonce)
        self.pool.add(self.chain.ledger.check(raw, self.chain.next_time_ns), self.chain.next_time_ns)
        return raw

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.forwarding.run(self.pool, self.mempool))
        yield
        assert not task.done(), "forwarding ended by itself"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_idle(self) -> None:
        await self.until(lambda: not self.forwarding.waiting and not self.mempool.in_flight)


@pytest.fixture
def node(tmp_path: Path):  # type: ignore[no-untyped-def]
    node = Node(tmp_path / "ledger")
    yield node
    node.chain.close()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_REST_S", 0.005)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 60.0)


def test_each_sender_keeps_its_order_and_several_requests_are_in_flight(node: Node) -> None:
    async def drive() -> None:
        people = Chain.people()
        sent = {who.address: [node.put(who, 0)] for who in people}
        async with node.running():
            for nonce in range(1, 30):
                for who in people:
                    sent[who.address].append(node.put(who, nonce))
                await asyncio.sleep(0)
            await node.until(lambda: len(node.mempool.taken) == 150)
            await node.until_idle()
        for raws in sent.values():
            assert [raw for raw in node.mempool.taken if raw in raws] == raws
        assert len(node.mempool.taken) == 150
        assert node.mempool.most_in_flight <= module.LANES

    asyncio.run(drive())


def test_a_transaction_that_misses_a_nonce_goes_when_the_gap_closes(node: Node) -> None:
    async def drive() -> None:
        clerk = node.chain.clerk
        async with node.running():
            second = node.put(clerk, 1)
            await asyncio.sleep(0.02)
            assert node.mempool.taken == []
            first = node.put(clerk, 0)
            await node.until(lambda: node.mempool.taken == [first, second])

    asyncio.run(drive())


def test_what_cannot_be_handed_over_goes_later_in_order_and_what_has_left_the_pool_does_not(
    node: Node,
) -> None:
    async def drive() -> None:
        clerk = node.chain.clerk
        node.mempool.is_away = True
        async with node.running():
            raws = [node.put(clerk, nonce) for nonce in range(6)]
            await node.until(lambda: node.mempool.asked >= 3 and not node.mempool.in_flight)
            node.pool.committed(node.chain.add_block(raws[:2]))
            node.mempool.is_away = False
            await node.until(lambda: len(node.mempool.taken) == 4)
            await node.until_idle()
        assert node.mempool.taken == raws[2:]

    asyncio.run(drive())


def test_a_full_mempool_is_asked_again_for_what_it_did_not_take(node: Node) -> None:
    async def drive() -> None:
        clerk = node.chain.clerk
        raws = [node.put(clerk, nonce) for nonce in range(5)]
        node.mempool.refuse = lambda raw: None if raw in raws[:3] else FULL
        async with node.running():
            await node.until(lambda: node.mempool.asked >= 3)
            assert node.mempool.taken == raws[:3]
            node.mempool.refuse = lambda raw: None
            await node.until(lambda: node.mempool.taken == raws)

    asyncio.run(drive())


def test_what_cometbft_does_not_carry_is_not_handed_over_for_ever(node: Node) -> None:
    async def drive() -> None:
        node.mempool.refuse = lambda raw: TOO_LARGE
        raw = node.put(node.chain.clerk, 0)
        async with node.running():
            await node.until(lambda: node.mempool.asked == 1)
            await asyncio.sleep(0.05)
        assert node.mempool.asked == 1
        assert [one.transaction.raw for one in node.pool.all_ready()] == [raw], (
            "this node can still propose it"
        )

    asyncio.run(drive())


def test_after_a_restart_of_cometbft_everything_that_is_ready_goes_again(node: Node) -> None:
    async def drive() -> None:
        raws = [node.put(node.chain.clerk, nonce) for nonce in range(3)]
        node.put(node.chain.judge, 4)
        async with node.running():
            await node.until(lambda: len(node.mempool.taken) == 3)
            node.mempool.taken.clear()
            node.forwarding.forward_everything()
            await node.until(lambda: node.mempool.taken[:3] == raws)

    asyncio.run(drive())


def test_what_a_mempool_lost_is_handed_over_once_more(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)

    async def drive() -> None:
        raw = node.put(node.chain.clerk, 0)
        async with node.running():
            await node.until(lambda: node.mempool.taken.count(raw) >= 3)
            node.pool.committed(node.chain.add_block([raw]))
            await asyncio.sleep(0.1)
            times = node.mempool.taken.count(raw)
            await asyncio.sleep(0.15)
            assert node.mempool.taken.count(raw) == times

    asyncio.run(drive())


def test_memory_is_bounded_while_cometbft_is_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a lane holds are dropped, and found again in the pool."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)

    async def drive() -> None:
        raws = [node.put(node.chain.clerk, nonce) for nonce in range(20)]
        assert node.forwarding.waiting <= 3
        async with node.running():
            await node.until(lambda: len(set(node.mempool.taken)) == 20)
        assert node.mempool.taken[:20] == raws

    asyncio.run(drive())


def test_what_arrives_from_cometbft_is_left_out_while_it_arrives(node: Node) -> None:
    async def drive() -> None:
        clerk = node.chain.clerk
        raw = node.chain.sign(clerk, [transfer(TO, 1)], nonce=0)
        admitted = node.chain.ledger.check(raw, node.chain.next_time_ns)
        async with node.running():
            await node.until(lambda: node.forwarding._loop is not None)
            await asyncio.sleep(0.02)
            with node.forwarding.arriving([admitted.transaction.hash] * 2):
                node.pool.add(admitted, node.chain.next_time_ns)
            second = node.put(clerk, 1)
            await node.until(lambda: second in node.mempool.taken)
        assert node.mempool.taken == [second]
        assert not node.forwarding._arriving

    asyncio.run(drive())
