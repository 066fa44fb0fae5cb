"""A small HTTP/1.1 client for one server on this machine: POST with a body, connections that stay open.

A node asks its CometBFT several times a block. A general client spends two milliseconds of processor time on
each question, which with four nodes on a small machine is most of what a quiet network costs; this one a
tenth of that. httptools, which serves JSON-RPC too, reads the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import httptools

CONNECTIONS: Final = 8
"""Open at a time; who comes then waits."""
CONNECT_S: Final = 2.0
ANSWER_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 << 20


class HttpFault(Exception):
    """No answer: nobody listens, the connection broke, time is up, or what came is no HTTP."""


class HttpClient:
    """Belongs to one event loop; `close` it."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._host = host
        self._port = port
        self._head = f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        self._idle: list[_Connection] = []
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._is_closed = False

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises HttpFault."""
        request = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        async with self._room:
            # The server closes what was idle for long, perhaps at this very moment: then once more, anew.
            while self._idle:
                connection = self._idle.pop()
                if connection.is_open:
                    try:
                        return await self._exchange(connection, request)
                    except _Unanswered:
                        break
            return await self._exchange(await self._connect(), request)

    async def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(_Connection, self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise HttpFault(f"{type(error).__name__}: {error}") from None
        return connection

    async def _exchange(self, connection: _Connection, request: bytes) -> tuple[int, bytes]:
        async with _aborted_on_error(connection):
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await connection.exchange(request)
            except TimeoutError:
                raise HttpFault(f"no answer in {ANSWER_S:.0f} s") from None
        if connection.is_open and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer


class _Unanswered(HttpFault):
    """The connection was closed before any of the answer came."""


@asynccontextmanager
async def _aborted_on_error(connection: _Connection) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        connection.abort()
        raise


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._size = 0
        self._has_begun = False

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Raises HttpFault, _Unanswered."""
        self._answer = asyncio.get_running_loop().create_future()
        self._parts, self._size, self._has_begun = [], 0, False
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # nothing was asked
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(HttpFault(f"no HTTP: {type(error).__name__}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        kind = HttpFault if self._has_begun else _Unanswered
        self._fail(kind("the connection was closed" if exc is None else str(exc)))

    # httptools

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._size += len(body)
        if self._size > MAX_ANSWER_BYTES:
            self._fail(HttpFault(f"the answer is larger than {MAX_ANSWER_BYTES} bytes"))

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._parts)))

    def _fail(self, fault: HttpFault) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)
