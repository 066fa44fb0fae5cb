"""JSON-RPC over WebSocket: calls and answers, and the notifications of subscriptions.

One task reads, one writes; every message is answered by a task of its own, as many at once as the limit says,
so a long call does not hold up the ones behind it. Messages to the caller wait in a bounded queue
(`Connection`).
"""

from __future__ import annotations

import asyncio
import contextlib

from node.rpc.access import AccessRefused
from node.rpc.config import RpcConfig
from node.rpc.dispatch import Dispatcher
from node.rpc.gate import Gate
from node.rpc.http import (
    HttpRefused,
    Receive,
    Scope,
    Send,
    check_path,
    decode_headers,
    refusal_body,
    refusal_headers,
)
from node.rpc.request import Caller
from node.rpc.subscriptions import Connection, Hub
from node.rpc.unsent import Unsent

_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013
_HANG_UP_SECONDS = 1.0


class WebSocketEndpoint:
    """The ASGI application for `websocket` scopes."""

    def __init__(
        self, dispatcher: Dispatcher, gate: Gate, hub: Hub, unsent: Unsent, config: RpcConfig
    ) -> None:
        self._dispatcher = dispatcher
        self._gate = gate
        self._hub = hub
        self._unsent = unsent
        self._limits = config.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        limits = self._limits
        connection = Connection(limits.subscriptions_per_connection, limits.queued_messages, self._unsent)
        try:
            check_path(scope)
            caller = self._gate.admit(decode_headers(scope), scope.get("client"), connection)
        except (HttpRefused, AccessRefused) as error:
            await _refuse(scope, send, error)
            return
        await send({"type": "websocket.accept"})
        answers: set[asyncio.Task[None]] = set()
        reader = asyncio.create_task(self._read(receive, caller, connection, answers))
        writer = asyncio.create_task(_write(connection, send))
        overrun = asyncio.create_task(connection.overrun.wait())
        try:
            await asyncio.wait((reader, writer, overrun), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.drop(connection)
            for task in (reader, writer, overrun, *answers):
                task.cancel()
            await asyncio.gather(reader, writer, overrun, *answers, return_exceptions=True)
            connection.close()
        if connection.overrun.is_set():
            await _hang_up(send)

    async def _read(
        self, receive: Receive, caller: Caller, connection: Connection, answers: set[asyncio.Task[None]]
    ) -> None:
        room = asyncio.Semaphore(self._limits.calls_per_connection)

        async def answer(body: bytes) -> None:
            try:
                message = await self._dispatcher.answer(body, caller)
                if message:
                    connection.send(message)
            finally:
                room.release()

        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            body: bytes = text.encode() if text is not None else message["bytes"]
            await room.acquire()
            task = asyncio.create_task(answer(body))
            answers.add(task)
            task.add_done_callback(answers.discard)


async def _write(connection: Connection, send: Send) -> None:
    while True:
        message = await connection.outbox.get()
        try:
            await send({"type": "websocket.send", "text": message.decode()})
        finally:
            connection.unsent.give_back(len(message))


async def _hang_up(send: Send) -> None:
    """Say why, if the reader takes it in time; the server closes the connection in any case."""
    close = {"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "reads too slowly"}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HANG_UP_SECONDS):
            await send(close)


async def _refuse(scope: Scope, send: Send, error: HttpRefused | AccessRefused) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    headers = [(b"content-type", b"application/json"), *refusal_headers(error)]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal_body(error)})
