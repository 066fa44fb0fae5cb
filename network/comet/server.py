"""The ABCI socket: CometBFT's requests go to a `Handler`, its answers go back.

CometBFT opens four connections (consensus, mempool, query, snapshots) and on each counts on answers in the
order of its requests. Here each connection has one task that takes its requests one after the other, so
connections never wait for one another; what must not run at the same time is the handler's to arrange::

    bytes -> frames -> waiting requests -> [the connection's task: handler] -> answers -> bytes

* CheckTx requests that wait one behind the other go to the handler together. CometBFT sets a Flush behind
  nearly each of them (its client's throttle lasts nanoseconds); these are answered in their places, once the
  checks are.
* Echo and Flush are answered here. An answer is sent no later than the task turns to the next call of the
  handler, or runs out of requests; a Flush's stands behind everything before it.
* While much waits, nothing more is read; while the peer does not read, no further request is begun.
* A handler that raises is answered with an exception and the connection is closed: CometBFT takes that as the
  end and stops. Bytes that are no requests close the connection, once what came before them is answered.
  Other connections go on either way.
* A request in hand is finished though its peer has gone: nobody may pull a Commit from under the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, cast

from google.protobuf.message import DecodeError as ProtobufDecodeError

from network.comet import abci_pb2 as pb
from network.comet.framing import FrameDecoder, encode_length
from node.chain.errors import DecodeError, ShelianError

CHECKS_TOGETHER: Final = 64
"""CheckTx requests that the handler gets at once, and answers sent at once."""
MAX_WAITING: Final = 256
"""Requests of a connection waiting for its task: above, it is not read."""
MAX_WAITING_BYTES: Final = 16 << 20
"""The same in bytes of their frames."""
STOP_SECONDS: Final = 10.0
"""How long `stop` waits for the requests in hand and their answers."""


class AbciFault(ShelianError):
    """The socket cannot be served, or a request cannot be answered."""


class Handler(Protocol):
    """What answers. Whatever a method raises ends the connection that asked."""

    async def check_txs(self, requests: Sequence[pb.RequestCheckTx]) -> list[pb.ResponseCheckTx]:
        """One answer for each, in order; at most CHECKS_TOGETHER of them."""

    async def info(self, request: pb.RequestInfo) -> pb.ResponseInfo: ...
    async def query(self, request: pb.RequestQuery) -> pb.ResponseQuery: ...
    async def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain: ...
    async def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal: ...
    async def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal: ...
    async def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote: ...
    async def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension
    ) -> pb.ResponseVerifyVoteExtension: ...
    async def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock: ...
    async def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit: ...
    async def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots: ...
    async def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot: ...
    async def load_snapshot_chunk(
        self, request: pb.RequestLoadSnapshotChunk
    ) -> pb.ResponseLoadSnapshotChunk: ...
    async def apply_snapshot_chunk(
        self, request: pb.RequestApplySnapshotChunk
    ) -> pb.ResponseApplySnapshotChunk: ...


OnFault = Callable[[str, Exception], None]
"""Told what was at work (a request's name in the protocol, or "connection") and what went wrong."""


class AbciServer:
    """Serves a handler on a unix socket that its owner alone can open. Belongs to the loop that starts it."""

    def __init__(self, handler: Handler, path: Path, on_fault: OnFault) -> None:
        """`path` is at most 107 bytes long. `on_fault` is called in the loop, before the peer is told."""
        self._handler = handler
        self._path = path
        self._on_fault = on_fault
        self._connections: set[_Connection] = set()
        self._is_stopping = False
        self._server: asyncio.AbstractServer | None = None
        self._socket_identity: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen. A socket that a killed process left behind is replaced.

        Raises AbciFault: abci.socket_in_use, abci.socket_occupied, abci.socket_unusable.
        """
        try:
            listener = _bind(self._path)
        except OSError as error:
            raise AbciFault(
                "abci.socket_unusable",
                f"the socket cannot be made: {error.strerror or error}",
                str(self._path),
            ) from error
        self._socket_identity = _identity(self._path)
        self._server = await asyncio.get_running_loop().create_unix_server(self._connect, sock=listener)

    async def stop(self, patience_s: float = STOP_SECONDS) -> None:
        """Take no more requests, let those in hand be answered, close everything, remove the socket.

        What has not ended after `patience_s` seconds is cut off.
        """
        self._is_stopping = True
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        ends = {connection.finish(): connection for connection in self._connections}
        if ends:
            _, late = await asyncio.wait(ends, timeout=patience_s)
            for end in late:
                ends[end].abort()
            if late:
                await asyncio.wait(late, timeout=patience_s)
        await server.wait_closed()
        if _identity(self._path) == self._socket_identity:
            self._path.unlink()

    def _connect(self) -> _Connection:
        connection = _Connection(self._handler, self._on_fault, self._connections)
        if self._is_stopping:
            connection.end()  # accepted at the last moment: it closes at once
        return connection


class _Connection(asyncio.Protocol):
    """One peer: its requests wait in their order, one task answers them."""

    def __init__(self, handler: Handler, on_fault: OnFault, connections: set[_Connection]) -> None:
        """It stands in `connections` while its task runs."""
        self._handler = handler
        self._on_fault = on_fault
        self._connections = connections
        self._decoder = FrameDecoder()
        self._waiting: deque[tuple[pb.Request, int]] = deque()  # with the bytes of its frame
        self._waiting_bytes = 0
        self._is_paused = False
        self._arrived = asyncio.Event()
        self._is_ended = False  # nothing comes after what waits
        self._fault: DecodeError | None = None  # why, if the peer is to blame
        self._answers: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    # What the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(lambda _: self._connections.discard(self))

    def data_received(self, data: bytes) -> None:
        if self._is_ended:
            return
        try:
            for frame in self._decoder.feed(data):
                self._waiting.append((_decode_request(frame), len(frame)))
                self._waiting_bytes += len(frame)
        except DecodeError as fault:
            self.end(fault)
            self._pause()
        else:
            self._arrived.set()
            if len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
                self._pause()

    def eof_received(self) -> bool:
        try:
            self._decoder.finish()
        except DecodeError as fault:
            self.end(fault)
        else:
            self.end()
        return True  # stay open for the answers to what waits

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._on_fault("connection", exc)
        self._drop_waiting()
        self.end()
        self._lost.set()
        self._writable.set()

    # What the server tells

    def end(self, fault: DecodeError | None = None) -> None:
        """Take nothing more. What waits is answered, then the task closes the connection."""
        if not self._is_ended:
            self._is_ended, self._fault = True, fault
            self._arrived.set()

    def finish(self) -> asyncio.Task[None]:
        """Begin nothing more. The task ends once what is in hand is answered and the connection closed."""
        self._drop_waiting()
        self.end()
        return self._task

    def abort(self) -> None:
        self._transport.abort()
        self._task.cancel()

    # The task

    async def _serve(self) -> None:
        try:
            while await self._has_request() and await self._answer_next():
                pass
            if self._fault is not None:
                self._on_fault("connection", self._fault)
        finally:
            self._transport.close()
            await self._lost.wait()

    async def _has_request(self) -> bool:
        """Wait for a request; False when none will come."""
        while not self._waiting:
            if self._answers:
                await self._send()
            elif self._is_ended:
                return False
            else:
                self._arrived.clear()
                await self._arrived.wait()
        return True

    async def _answer_next(self) -> bool:
        """Answer the first that waits, and those behind it that go with it. False: that was the last."""
        request = self._take()
        kind = request.WhichOneof("value")
        fault: Exception
        try:
            await self._answer(kind, request)
        except asyncio.CancelledError:
            if self._task.cancelling():
                raise
            fault = AbciFault("abci.handler_cancelled", "the handler gave the request up")
        except Exception as error:
            fault = error
        else:
            return True
        self._on_fault(kind or "unknown", fault)
        self._put(pb.Response(exception=pb.ResponseException(error=_words(fault))))
        self._write()
        return False

    async def _answer(self, kind: str | None, request: pb.Request) -> None:
        match kind:
            case "flush":
                await self._put_own(_FLUSHED)
            case "echo":
                await self._put_own(pb.Response(echo=pb.ResponseEcho(message=request.echo.message)))
            case "check_tx":
                await self._answer_checks(request.check_tx)
            case "insert_tx" | "reap_txs":
                raise AbciFault("abci.method_unused", "this application keeps no mempool of type app", kind)
            case None:
                raise AbciFault("abci.request_unknown", "the request is none of ABCI 2.0")
            case _:
                await self._send()
                answer = await getattr(self._handler, kind)(getattr(request, kind))
                self._put(pb.Response(**{kind: answer}))

    async def _answer_checks(self, first: pb.RequestCheckTx) -> None:
        requests, order = self._take_checks(first)
        await self._send()
        answers = await self._handler.check_txs(requests)
        if len(answers) != len(requests):
            raise AbciFault(
                "abci.answers_missing", "not one answer for each CheckTx", len(answers), len(requests)
            )
        rest = iter(answers)
        for is_check in order:
            self._put(pb.Response(check_tx=next(rest)) if is_check else _FLUSHED)

    def _take_checks(self, first: pb.RequestCheckTx) -> tuple[list[pb.RequestCheckTx], list[bool]]:
        """The checks that wait behind `first`, and in which order checks (True) and flushes came."""
        requests, order = [first], [True]
        while len(requests) < CHECKS_TOGETHER and len(order) < 2 * CHECKS_TOGETHER and self._waiting:
            kind = self._waiting[0][0].WhichOneof("value")
            if kind == "check_tx":
                requests.append(self._take().check_tx)
            elif kind == "flush":
                self._take()
            else:
                break
            order.append(kind == "check_tx")
        return requests, order

    async def _put_own(self, answer: pb.Response) -> None:
        """Many of these may come in a row, with no call of the handler between them."""
        self._put(answer)
        if len(self._answers) >= 2 * CHECKS_TOGETHER:
            await self._send()

    # Requests

    def _take(self) -> pb.Request:
        request, size = self._waiting.popleft()
        self._waiting_bytes -= size
        if (
            self._is_paused
            and not self._is_ended
            and len(self._waiting) <= MAX_WAITING // 2
            and self._waiting_bytes <= MAX_WAITING_BYTES // 2
        ):
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return request

    def _pause(self) -> None:
        """Read no more for now."""
        if not self._is_paused:
            self._is_paused = True
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    # Answers

    def _put(self, answer: pb.Response) -> None:
        message = answer.SerializeToString()
        self._answers += (encode_length(len(message)), message)

    async def _send(self) -> None:
        """Write what is answered; give other connections a turn, and this peer the time it needs to read."""
        if self._answers:
            self._write()
            await asyncio.sleep(0)
        await self._writable.wait()

    def _write(self) -> None:
        answers, self._answers = self._answers, []
        if not self._transport.is_closing():
            self._transport.writelines(answers)


_FLUSHED: Final = pb.Response(flush=pb.ResponseFlush())


def _decode_request(frame: bytes) -> pb.Request:
    try:
        return pb.Request.FromString(frame)
    except ProtobufDecodeError:
        raise DecodeError("abci.request_malformed", "the message is no ABCI request", len(frame)) from None


def _words(fault: Exception) -> str:
    """What the peer, and so its log, is told. The text of a foreign exception may hold anything: its kind."""
    if isinstance(fault, ShelianError):
        return f"{fault.code}: {fault.message}"
    return f"abci.handler_failed: {type(fault).__name__}"


def _bind(path: Path) -> socket.socket:
    _remove_left_behind(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # nobody has connected yet: it does not listen
    except OSError:
        listener.close()
        raise
    return listener


def _remove_left_behind(path: Path) -> None:
    """Remove a socket on which nobody listens. Whatever else stands there stays, and is refused."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AbciFault("abci.socket_occupied", "what stands at the socket's place is no socket", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, and has more callers than they take
    raise AbciFault("abci.socket_in_use", "another process serves this socket", str(path))


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        return status.st_dev, status.st_ino
    return None
