"""A node joins by a snapshot over ABCI: from another one's shelf to a ledger that goes on and is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from network.comet.headers import HeaderCursor
from node.chain.commit import Commit
from node.chain.header import Header
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.shelf import Shelf
from tests.helpers.ledger import transfer
from tests.network.comet.machine import Machine, hash_of
from tests.network.comet.model_comet import ModelComet, request_of
from tests.network.comet.test_comet_application import SEEDS, begin, eventful

AT = 3
TO = b"\x77" * 20
OFFER, CHUNK = pb.ResponseOfferSnapshot, pb.ResponseApplySnapshotChunk


class Joined:
    """CometBFT after state sync: it holds no block up to the snapshot's."""

    def __init__(self, comet: ModelComet) -> None:
        self.comet = comet

    async def commits(self, heights: Sequence[int]) -> list[tuple[Header, Commit, bool] | CometFault]:
        return [
            CometFault("comet.rpc_no_block", "CometBFT does not hold this block", height)
            if height <= AT
            else await self.comet.commit(height)
            for height in heights
        ]

    async def last_commit(self, height: int) -> Commit:
        assert height > AT
        return await self.comet.last_commit(height)


async def giver_of(tmp_path: Path, blocks: int) -> Machine:
    """A node with a snapshot of height AT on its shelf."""
    directory = tmp_path / "giver"
    directory.mkdir()
    comet = begin(directory / "ledger")
    machine = Machine(directory / "ledger", comet)
    await comet.handshake(machine.application)
    for height in range(1, blocks + 1):
        await machine.add(*eventful(machine.chain, height))
        if height == AT:
            with machine.ledger.snapshot() as snapshot:
                Shelf(directory / "snapshots").create(snapshot, machine.ledger.genesis)
    await machine.fetch_headers()
    return machine


def joiner_of(tmp_path: Path, giver: Machine) -> Machine:
    directory = tmp_path / "joiner"
    directory.mkdir()
    Ledger.create(directory / "ledger", giver.ledger.genesis).close()
    machine = Machine(directory / "ledger", ModelComet(giver.ledger.genesis, SEEDS))
    machine.cursor._source = Joined(giver.comet)
    return machine


async def listed(giver: Machine) -> list[pb.Snapshot]:
    return list((await giver.application.list_snapshots(pb.RequestListSnapshots())).snapshots)


async def chunk_of(giver: Machine, snapshot: pb.Snapshot, index: int) -> bytes:
    request = pb.RequestLoadSnapshotChunk(height=snapshot.height, format=snapshot.format, chunk=index)
    return (await giver.application.load_snapshot_chunk(request)).chunk


async def sync(giver: Machine, joiner: Machine) -> None:
    (snapshot,) = await listed(giver)
    assert snapshot.height == AT
    app_hash = giver.comet.blocks[AT].header.app_hash
    offer = pb.RequestOfferSnapshot(snapshot=snapshot, app_hash=app_hash)
    assert (await joiner.application.offer_snapshot(offer)).result == OFFER.ACCEPT
    for index in range(snapshot.chunks):
        chunk = await chunk_of(giver, snapshot, index)
        request = pb.RequestApplySnapshotChunk(index=index, chunk=chunk, sender="peer")
        assert (await joiner.application.apply_snapshot_chunk(request)).result == CHUNK.ACCEPT


def test_a_node_joins_by_a_snapshot_and_goes_on_to_the_same_roots(tmp_path: Path) -> None:
    async def drive() -> None:
        giver = await giver_of(tmp_path, 8)
        joiner = joiner_of(tmp_path, giver)
        chain = joiner.chain
        used, next_one = (
            chain.sign(chain.clerk, [transfer(TO, 1)], nonce=nonce, valid_for=60) for nonce in (0, AT)
        )
        await joiner.submit(used, next_one)
        assert joiner.pool.is_ready(hash_of(used))
        await sync(giver, joiner)
        assert joiner.pool.pending(hash_of(used)) is None, "its nonce was used before the snapshot"
        assert joiner.pool.is_ready(hash_of(next_one))
        info = await joiner.application.info(pb.RequestInfo())
        following = giver.comet.blocks[AT].header
        assert (info.last_block_height, info.last_block_app_hash) == (AT, following.app_hash)
        assert info.app_version == following.app_version
        for stored in giver.comet.blocks[AT:]:
            await joiner.application.finalize_block(request_of(stored))
            await joiner.application.commit(pb.RequestCommit())
        assert joiner.ledger.tip == giver.ledger.tip
        await joiner.fetch_headers()
        assert joiner.cursor.alarm is None
        path = joiner.ledger.path
        joiner.close()
        report = check_ledger(path)
        assert report.ok, report.findings
        assert (report.base, report.headers, report.headers_to_come) == (AT, 5, 0)
        with Ledger.open(path) as ledger:
            assert HeaderCursor(ledger, Joined(giver.comet)).next_height == 9
        giver.close()

    asyncio.run(drive())


def test_a_snapshot_is_listed_once_two_headers_follow_it(tmp_path: Path) -> None:
    async def drive() -> None:
        giver = await giver_of(tmp_path, AT + 1)
        assert await listed(giver) == []
        await giver.add()
        assert await listed(giver) == [], "the header is not there yet"
        giver.cursor = HeaderCursor(giver.ledger, giver.comet)
        await giver.fetch_headers()
        giver.application._state_sync._headers = giver.cursor
        assert [one.height for one in await listed(giver)] == [AT]
        giver.close()

    asyncio.run(drive())


def test_what_is_not_on_the_shelf_is_an_empty_chunk(tmp_path: Path) -> None:
    async def drive() -> None:
        giver = await giver_of(tmp_path, AT + 2)
        (snapshot,) = await listed(giver)
        assert await chunk_of(giver, snapshot, snapshot.chunks) == b""
        other = pb.Snapshot(height=AT + 1, format=1)
        assert await chunk_of(giver, other, 0) == b""
        giver.close()

    asyncio.run(drive())


def test_bad_offers_and_chunks_are_refused_and_the_ledger_stays_empty(tmp_path: Path) -> None:
    async def drive() -> None:
        giver = await giver_of(tmp_path, AT + 2)
        joiner = joiner_of(tmp_path, giver)
        (snapshot,) = await listed(giver)
        app_hash = giver.comet.blocks[AT].header.app_hash

        async def offer(app_hash: bytes, **changes: object) -> int:
            changed = pb.Snapshot()
            changed.CopyFrom(snapshot)
            for name, value in changes.items():
                setattr(changed, name, value)
            request = pb.RequestOfferSnapshot(snapshot=changed, app_hash=app_hash)
            return (await joiner.application.offer_snapshot(request)).result

        assert await offer(app_hash, format=2) == OFFER.REJECT_FORMAT
        assert await offer(app_hash, metadata=b"{}") == OFFER.REJECT_SENDER
        assert await offer(app_hash, chunks=99) == OFFER.REJECT
        assert await offer(bytes(32)) == OFFER.REJECT
        assert await offer(app_hash) == OFFER.ACCEPT
        chunk = bytearray(await chunk_of(giver, snapshot, 0))
        chunk[40] ^= 1
        request = pb.RequestApplySnapshotChunk(index=0, chunk=bytes(chunk), sender="liar")
        answer = await joiner.application.apply_snapshot_chunk(request)
        assert (answer.result, list(answer.refetch_chunks), list(answer.reject_senders)) == (
            CHUNK.RETRY, [0], ["liar"],
        )  # fmt: skip
        assert joiner.height == 0
        assert (await joiner.application.info(pb.RequestInfo())).last_block_height == 0
        for index in range(snapshot.chunks):
            good = await chunk_of(giver, snapshot, index)
            request = pb.RequestApplySnapshotChunk(index=index, chunk=good)
            assert (await joiner.application.apply_snapshot_chunk(request)).result == CHUNK.ACCEPT
        assert joiner.height == AT
        assert await offer(app_hash) == OFFER.ABORT, "it has blocks now"
        assert await listed(joiner) == []
        joiner.close()
        giver.close()

    asyncio.run(drive())


def test_a_header_that_says_another_base_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the state root does not cover, the first header does."""
    from network.comet import headers as module
    from node.chain.errors import LedgerError

    def differs(snapshot: object, header: Header) -> None:
        raise LedgerError("ledger.base_differs", "the snapshot is not what the next header says")

    async def drive() -> None:
        giver = await giver_of(tmp_path, AT + 2)
        joiner = joiner_of(tmp_path, giver)
        await sync(giver, joiner)
        for stored in giver.comet.blocks[AT:]:
            await joiner.application.finalize_block(request_of(stored))
            await joiner.application.commit(pb.RequestCommit())
        monkeypatch.setattr(module, "require_first_header", differs)
        await joiner.fetch_headers()
        assert joiner.cursor.alarm is not None
        assert joiner.cursor.alarm.code == "ledger.base_differs"
        joiner.close()
        giver.close()

    asyncio.run(drive())
