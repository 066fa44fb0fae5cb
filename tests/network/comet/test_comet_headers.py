"""Headers and commits come behind the blocks: fetched, checked, saved, and fetched again when lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from network.comet import headers as module
from network.comet.faults import CometFault
from network.comet.headers import HeaderCursor
from node.chain.commit import Commit, commit_hash, decode_commit
from node.chain.header import Header
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.state.database import Batch, Database
from node.state.tables import COMMITS, HEADERS
from tests.network.comet.machine import Machine
from tests.network.comet.test_comet_application import begin, eventful, ready_machine, require_whole


class Source:
    """A CometBFT whose answers a test changes; counts what it is asked."""

    def __init__(self, machine: Machine) -> None:
        self.comet = machine.comet
        self.asked: Counter[int] = Counter()
        self.requests: list[tuple[int, ...]] = []
        self.lost: set[int] = set()
        self.forged: dict[int, tuple[Header, Commit, bool]] = {}

    async def commits(self, heights: Sequence[int]) -> list[tuple[Header, Commit, bool] | CometFault]:
        self.requests.append(tuple(heights))
        self.asked.update(heights)
        await asyncio.sleep(0)
        return [await self._commit(height) for height in heights]

    async def _commit(self, height: int) -> tuple[Header, Commit, bool] | CometFault:
        if height in self.lost or height > len(self.comet.blocks):
            return CometFault("comet.rpc_no_block", "CometBFT does not hold this block", height)
        return self.forged.get(height) or await self.comet.commit(height)

    async def last_commit(self, height: int) -> Commit:
        return await self.comet.last_commit(height)


async def machine_of(tmp_path: Path, blocks: int) -> tuple[Machine, Source]:
    machine = await ready_machine(tmp_path)
    for _ in range(blocks - 1):
        await machine.add()
    source = Source(machine)
    machine.cursor = HeaderCursor(machine.ledger, source)
    return machine, source


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_REST_S", 0.005)
    monkeypatch.setattr(module, "ALARM_REST_S", 0.05)


def test_a_backlog_is_worked_off_in_pieces_and_few_things_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 4)
    sizes: list[int] = []
    save = Ledger.save_headers
    monkeypatch.setattr(
        Ledger, "save_headers", lambda self, them: (sizes.append(len(them)), save(self, them))[1]
    )

    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 10)
        await machine.fetch_headers()
        assert sizes == [4, 4, 2]
        assert source.requests == [(1, 2, 3, 4), (4, 5, 6, 7, 8), (8, 9, 10)]
        await require_whole(machine)

    asyncio.run(drive())


def test_at_the_tip_the_commit_seen_is_kept_until_the_canonical_one_is_known(tmp_path: Path) -> None:
    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 1)
        for height in range(1, 6):
            if height > 1:
                await machine.add()
            await machine.fetch_headers()
            machine.cursor = HeaderCursor(machine.ledger, source)
            stored = machine.comet.blocks[-1]
            with machine.ledger.snapshot() as snapshot:
                assert decode_commit(snapshot.commit(height) or b"") == stored.seen
                if height > 1:
                    before = decode_commit(snapshot.commit(height - 1) or b"")
                    assert commit_hash(before) == stored.header.last_commit_hash
        # With each header comes what its block carries: the canonical commit of the one before.
        assert source.requests == [(1,), (1, 2), (2, 3), (3, 4), (4, 5)]
        await require_whole(machine)

    asyncio.run(drive())


def test_a_header_that_is_not_the_blocks_is_an_alarm_and_never_saved(tmp_path: Path) -> None:
    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 4)
        header, commit, canonical = await machine.comet.commit(3)
        source.forged[3] = (replace(header, app_hash=bytes(32)), commit, canonical)
        await machine.fetch_headers()
        assert machine.cursor.alarm is not None
        assert machine.cursor.alarm.code == "comet.wrong_header"
        assert machine.cursor.next_height == 3
        with machine.ledger.snapshot() as snapshot:
            assert snapshot.header(2) is not None, "those before it are good"
            assert snapshot.header(3) is None
        del source.forged[3]
        machine.cursor = HeaderCursor(machine.ledger, source)
        await require_whole(machine)

    asyncio.run(drive())


@pytest.mark.parametrize("what", ["signature", "validator", "block"])
def test_a_commit_that_does_not_prove_the_block_is_an_alarm(tmp_path: Path, what: str) -> None:
    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 2)
        header, commit, canonical = await machine.comet.commit(2)
        vote = commit.signatures[0]
        changed = {
            "signature": replace(commit, signatures=(replace(vote, signature=bytes(64)),)),
            "validator": replace(commit, signatures=(replace(vote, validator_address=bytes(20)),)),
            "block": replace(commit, block_id=replace(commit.block_id, hash=bytes(32))),
        }[what]
        source.forged[2] = (header, changed, canonical)
        await machine.fetch_headers()
        assert machine.cursor.alarm is not None
        assert machine.cursor.next_height == 2
        machine.close()

    asyncio.run(drive())


def test_a_wrong_canonical_commit_is_not_saved(tmp_path: Path) -> None:
    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 3)
        header, _, _ = await machine.comet.commit(2)
        source.forged[2] = (header, machine.comet.blocks[1].seen, True)  # what was seen, said to be canonical
        await machine.fetch_headers()
        assert machine.cursor.alarm is not None
        assert machine.cursor.alarm.code == "comet.wrong_commit"
        assert machine.cursor.next_height == 3
        machine.close()

    asyncio.run(drive())


def test_a_canonical_commit_is_verified_too(tmp_path: Path) -> None:
    """The header's hash covers the signatures, not the round that they are for."""

    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 2)
        await machine.fetch_headers()
        await machine.add()
        machine.cursor = HeaderCursor(machine.ledger, source)
        header, commit, _ = await machine.comet.commit(2)
        assert commit != machine.comet.blocks[1].seen
        source.forged[2] = (header, replace(commit, round=7), True)
        await machine.fetch_headers()
        assert machine.cursor.alarm is not None
        assert machine.cursor.alarm.code == "commit.bad_signature"
        assert machine.cursor.next_height == 3
        machine.close()

    asyncio.run(drive())


def test_what_cometbft_does_not_have_yet_is_waited_for(tmp_path: Path) -> None:
    async def drive() -> None:
        machine, source = await machine_of(tmp_path, 3)
        source.lost = {2}
        task = asyncio.create_task(machine.cursor.run())
        async with asyncio.timeout(10):
            while source.asked[2] < 3:
                await asyncio.sleep(0.002)
            assert machine.cursor.alarm is None
            source.lost.clear()
            while machine.cursor.next_height <= 3:
                await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        machine.cursor = HeaderCursor(machine.ledger, source)
        await require_whole(machine)

    asyncio.run(drive())


@pytest.mark.parametrize("lost", [{9}, {5}, {4, 7}, {1}, set(range(1, 10)), {1, 2, 8}])
def test_headers_that_a_power_cut_took_are_found_and_fetched_again(tmp_path: Path, lost: set[int]) -> None:
    """They are not synced: any of the last writes may be gone, a header always with the commit before."""

    async def drive() -> None:
        machine, _ = await machine_of(tmp_path, 9)
        await machine.fetch_headers()
        assert machine.ledger.headers_end == 10
        machine.close()
        path = machine.ledger.path
        with Database.open(path) as database:
            batch = Batch()
            for height in lost:
                batch.delete(HEADERS, height)
                if height > 1:
                    batch.delete(COMMITS, height - 1)
            database.write(batch)
        report = check_ledger(path)
        newest = max(set(range(1, 10)) - lost, default=0)
        assert report.headers_to_come == 9 - newest
        assert report.ok == all(height > newest for height in lost), "a hole below the newest is refused"
        assert not check_ledger(path, headers_come_later=False).ok
        machine = Machine(path, machine.comet)
        assert machine.ledger.headers_end == min(lost)
        assert machine.cursor.next_height == min(lost)
        await require_whole(machine)

    asyncio.run(drive())


def test_headers_are_fetched_while_blocks_are_committed(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        await comet.handshake(machine.application)
        task = asyncio.create_task(machine.cursor.run())
        for number in range(12):
            await machine.add(*eventful(machine.chain, 6 + number))
        async with asyncio.timeout(10):
            while machine.cursor.next_height <= machine.height:
                await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        machine.close()
        report = check_ledger(machine.ledger.path)
        assert report.ok, report.findings
        assert report.headers == 12

    asyncio.run(drive())
