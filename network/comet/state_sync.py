"""Snapshots over CometBFT's gossip: giving them to a node that joins, and joining by one.

*Giving.* What is on the node's shelf is listed once two headers follow it, for a joining node's light client
asks for them. Chunks are read in a thread of their own: nobody else waits for the disk.

*Joining.* CometBFT offers what its peers list, with the app hash that its light client has verified, then
brings chunk after chunk. The last one makes a whole, verified ledger, which takes the place of the node's
empty one while the node runs; the headers' cursor begins there. These calls are of the consensus thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import structlog

from network.comet import abci_pb2 as pb
from node.chain.errors import ShelianError
from node.ledger import Ledger
from node.ledger.shelf import Shelf
from node.ledger.statesync import Receiving, Result, list_snapshots, load_chunk

_log = structlog.get_logger("network.comet.state_sync")

T = TypeVar("T")


class Headers(Protocol):
    """Who fetches the headers of committed blocks."""

    @property
    def next_height(self) -> int:
        """The lowest height whose header and commit are not in the ledger yet."""

    def begin_again(self) -> None:
        """The ledger is another one."""


class StateSync:
    """See the module. `offer` and `apply` are for one thread, the rest for the event loop."""

    def __init__(self, ledger: Ledger, shelf: Shelf, headers: Headers) -> None:
        self._ledger = ledger
        self._shelf = shelf
        self._headers = headers
        self._receiving = Receiving(ledger.path, ledger.genesis, _tell)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chunks")

    def stop(self) -> None:
        self._thread.shutdown(wait=True)

    async def list(self) -> pb.ResponseListSnapshots:
        newest, first = self._headers.next_height - 1, self._ledger.genesis.initial_height
        listed = await self._read(lambda: list_snapshots(self._shelf, newest, first))
        return pb.ResponseListSnapshots(
            snapshots=[
                pb.Snapshot(
                    height=one.height,
                    format=one.format,
                    chunks=one.chunks,
                    hash=one.hash,
                    metadata=one.metadata,
                )
                for one in listed
            ]
        )

    async def load(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        chunk = await self._read(
            lambda: load_chunk(self._shelf, request.height, request.format, request.chunk)
        )
        return pb.ResponseLoadSnapshotChunk(chunk=chunk or b"")

    def offer(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        """A ledger that has blocks takes none. Raises LedgerError state.*."""
        answer = pb.ResponseOfferSnapshot
        if self._ledger.tip.height:
            return answer(result=answer.ABORT)
        one = request.snapshot
        offered = self._receiving.offer(
            one.height, one.format, one.chunks, one.hash, one.metadata, request.app_hash
        )
        return answer(result=answer.Result.Name(offered.value))

    def apply(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk:
        """Raises LedgerError ledger.has_blocks, ledger.other_chain, state.*."""
        applied = self._receiving.apply(request.index, request.chunk, request.sender)
        restored = self._receiving.restored
        if applied.result is Result.ACCEPT and restored is not None:
            self._ledger.replace(lambda path: restored.put_in_place(path, self._shelf.directory))
            self._receiving.restored = None
            self._headers.begin_again()
            _log.info("the ledger begins at a snapshot", height=self._ledger.tip.height)
        answer = pb.ResponseApplySnapshotChunk
        return answer(
            result=answer.Result.Name(applied.result.value),
            refetch_chunks=applied.refetch,
            reject_senders=applied.reject_senders,
        )

    async def _read(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, read)


def _tell(error: ShelianError) -> None:
    _log.warning("a snapshot or chunk was refused", code=error.code, error=str(error))
