"""The two sides of an ABCI socket for tests: an application that notes what it is asked, and a client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from network.comet import abci_pb2 as pb
from network.comet.framing import encode_frame
from network.comet.server import AbciServer
from node.chain.errors import ShelianError


@dataclass
class Application:
    """Answers everything at once but what a test makes wait or fail."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    faults: list[tuple[str, Exception]] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)

    def hold(self, method: str) -> asyncio.Event:
        """Calls of this method wait until the event is set."""
        self.gates[method] = asyncio.Event()
        return self.gates[method]

    def note_fault(self, place: str, fault: Exception) -> None:
        self.faults.append((place, fault))

    def fault_codes(self) -> list[tuple[str, str]]:
        return [
            (place, fault.code if isinstance(fault, ShelianError) else type(fault).__name__)
            for place, fault in self.faults
        ]

    async def check_txs(self, requests: Sequence[pb.RequestCheckTx]) -> list[pb.ResponseCheckTx]:
        await self._pass("check_tx", list(requests))
        return [pb.ResponseCheckTx(data=request.tx) for request in requests]

    async def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        await self._pass("info", request)
        return pb.ResponseInfo(version=request.version)

    async def query(self, request: pb.RequestQuery) -> pb.ResponseQuery:
        await self._pass("query", request)
        return pb.ResponseQuery(value=request.data)

    async def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        await self._pass("init_chain", request)
        return pb.ResponseInitChain(app_hash=request.app_state_bytes)

    async def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        await self._pass("prepare_proposal", request)
        return pb.ResponsePrepareProposal(txs=request.txs)

    async def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        await self._pass("process_proposal", request)
        return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.ACCEPT)

    async def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        await self._pass("extend_vote", request)
        return pb.ResponseExtendVote(vote_extension=request.hash)

    async def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension
    ) -> pb.ResponseVerifyVoteExtension:
        await self._pass("verify_vote_extension", request)
        return pb.ResponseVerifyVoteExtension(status=pb.ResponseVerifyVoteExtension.ACCEPT)

    async def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        await self._pass("finalize_block", request)
        return pb.ResponseFinalizeBlock(
            tx_results=[pb.ExecTxResult() for _ in request.txs], app_hash=b"\1" * 32
        )

    async def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        await self._pass("commit", request)
        return pb.ResponseCommit()

    async def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        await self._pass("list_snapshots", request)
        return pb.ResponseListSnapshots(snapshots=[pb.Snapshot(height=1)])

    async def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        await self._pass("offer_snapshot", request)
        return pb.ResponseOfferSnapshot(result=pb.ResponseOfferSnapshot.REJECT)

    async def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        await self._pass("load_snapshot_chunk", request)
        return pb.ResponseLoadSnapshotChunk(chunk=bytes(request.chunk))

    async def apply_snapshot_chunk(
        self, request: pb.RequestApplySnapshotChunk
    ) -> pb.ResponseApplySnapshotChunk:
        await self._pass("apply_snapshot_chunk", request)
        return pb.ResponseApplySnapshotChunk(result=pb.ResponseApplySnapshotChunk.ACCEPT)

    async def _pass(self, method: str, request: object) -> None:
        self.asked.append((method, request))
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.failures:
            raise self.failures[method]
        self.answered.append(method)


class Client:
    """One connection. Reads frames in its own simple way, not with the code under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *requests: pb.Request) -> None:
        self.writer.write(b"".join(encode_frame(request.SerializeToString()) for request in requests))

    async def receive(self) -> pb.Response:
        """The next answer. EOFError (IncompleteReadError) if the server has closed."""
        length = shift = 0
        while True:
            (byte,) = await self.reader.readexactly(1)
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return pb.Response.FromString(await self.reader.readexactly(length))
            shift += 7

    async def ask(self, *requests: pb.Request) -> list[pb.Response]:
        self.send(*requests)
        return [await self.receive() for _ in requests]

    async def is_alive(self) -> bool:
        """Whether a round trip works."""
        (answer,) = await self.ask(pb.Request(query=pb.RequestQuery(data=b"there?")))
        return answer.query.value == b"there?"

    async def is_closed(self) -> bool:
        """Wait for the end of the stream; False if something comes first."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read(1) == b""
        return True

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Served:
    """A server that runs, and its application."""

    application: Application
    server: AbciServer
    path: Path
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_unix_connection(self.path, limit=1 << 20))
        self.clients.append(client)
        return client

    def connect_raw(self) -> socket.socket:
        """A socket that never waits, for peers that do not read."""
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.connect(str(self.path))
        raw.setblocking(False)
        return raw


@contextlib.asynccontextmanager
async def served(path: Path) -> AsyncIterator[Served]:
    application = Application()
    server = AbciServer(application, path, application.note_fault)
    await server.start()
    running = Served(application, server, path)
    try:
        yield running
    finally:
        for client in running.clients:
            client.close()
        await server.stop()


Scenario = Callable[[Served], Awaitable[None]]
