"""JSON-RPC over HTTP: one POST, one answer. A raw ASGI application, because every microsecond is paid per
call.

A refusal before JSON-RPC (host, origin, token, size) is an HTTP status with `{"error": {code, message, got,
expected}}`. There are no CORS headers but for listed origins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final

import orjson
import structlog

from node.chain.errors import ShelianError
from node.rpc.access import AccessRefused
from node.rpc.config import RpcConfig
from node.rpc.dispatch import Dispatcher
from node.rpc.gate import Gate
from node.rpc.unsent import Unsent

_log = structlog.get_logger("rpc")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BODY_SECONDS: Final = 15.0
_JSON: Final = (b"content-type", b"application/json")
_PIECE: Final = 262_144
_NO_STORE: Final = (b"cache-control", b"no-store")


class HttpRefused(ShelianError):
    """Not a JSON-RPC request at all. `status` is the HTTP status."""

    def __init__(self, status: int, code: str, message: str, got: object, expected: object) -> None:
        super().__init__(code, message, got, expected)
        self.status = status


class HttpEndpoint:
    """The ASGI application for `http` scopes."""

    def __init__(self, dispatcher: Dispatcher, gate: Gate, unsent: Unsent, config: RpcConfig) -> None:
        self._dispatcher = dispatcher
        self._gate = gate
        self._unsent = unsent
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = decode_headers(scope)
        extra = self._cors(headers.get("origin"))
        try:
            check_path(scope)
            method = scope["method"]
            if method == "OPTIONS" and extra:
                await _answer(send, 204, b"", extra)
                return
            if method != "POST":
                raise HttpRefused(405, "rpc.http_method", "JSON-RPC is POSTed", method, "POST")
            caller = self._gate.admit(headers, scope.get("client"))
            check_content_type(headers.get("content-type"))
            body = await self._read(headers, receive)
        except (HttpRefused, AccessRefused) as error:
            await _answer(send, error.status, refusal_body(error), (*extra, *refusal_headers(error)))
            return
        if body.lstrip()[:1] == b"[":
            answer = await _while_connected(receive, self._dispatcher.answer(body, caller))
        else:
            answer = await self._dispatcher.answer(body, caller)
        if not self._unsent.take(len(answer)):
            most = self._config.limits.unsent_bytes
            busy = HttpRefused(503, "rpc.busy", "too much is being sent; try again", len(answer), most)
            await _answer(send, busy.status, refusal_body(busy), extra)
            return
        try:
            async with asyncio.timeout(self._config.limits.send_seconds):
                await _answer(send, 200 if answer else 204, answer, extra)
        except TimeoutError:
            # The server closes a connection whose answer is not complete.
            _log.info("reads too slowly", bytes=len(answer))
        finally:
            self._unsent.give_back(len(answer))

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes:
        """The body, given up as soon as it is known to be too large or too slow."""
        most = self._config.limits.body_bytes
        declared = headers.get("content-length", "0")
        if len(declared) > 18 or (declared.isdecimal() and int(declared) > most):
            raise HttpRefused(413, "rpc.body_too_large", "the body is too large", declared[:40], most)
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return self._check_size(body, most)
        parts = [body]
        size = len(body)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while message.get("more_body", False):
                    message = await receive()
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._check_size(parts[-1], most - size + len(parts[-1]))
        except TimeoutError:
            raise HttpRefused(
                408, "rpc.body_too_slow", "the body did not come in time", size, _BODY_SECONDS
            ) from None
        return b"".join(parts)

    def _check_size(self, body: bytes, room: int) -> bytes:
        if len(body) > room:
            limit = self._config.limits.body_bytes
            raise HttpRefused(413, "rpc.body_too_large", "the body is too large", f"> {limit}", limit)
        return body

    def _cors(self, origin: str | None) -> tuple[tuple[bytes, bytes], ...]:
        if origin is None or origin not in self._config.allowed_origins:
            return ()
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-headers", b"content-type, authorization"),
            (b"access-control-allow-methods", b"POST"),
            (b"vary", b"origin"),
        )


async def _while_connected(receive: Receive, answering: Coroutine[Any, Any, bytes]) -> bytes:
    """The answer of a batch; given up, and empty, when the caller hangs up. Single calls are short."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else b""
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


def decode_headers(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name. A name that comes twice keeps both values, which no check then accepts."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def check_path(scope: Scope) -> None:
    if scope["path"] not in ("/", ""):
        raise HttpRefused(404, "rpc.path", "JSON-RPC is at /", scope["path"][:100], "/")


def check_content_type(value: str | None) -> None:
    """A page of another origin cannot send this type without asking first."""
    if (value or "").partition(";")[0].strip().lower() != "application/json":
        raise HttpRefused(415, "rpc.content_type", "JSON-RPC is application/json", value, "application/json")


def refusal_body(error: ShelianError) -> bytes:
    return orjson.dumps({"error": error.as_dict()})


def refusal_headers(error: HttpRefused | AccessRefused) -> tuple[tuple[bytes, bytes], ...]:
    if error.status == 401:
        return ((b"www-authenticate", b'Bearer realm="shelian"'),)
    if error.status == 405:
        return ((b"allow", b"POST"),)
    # What is left of a body that was not read would be taken for the next request.
    return ((b"connection", b"close"),) if error.status in (408, 413) else ()


async def _answer(send: Send, status: int, body: bytes, extra: tuple[tuple[bytes, bytes], ...]) -> None:
    """In pieces: the next one is handed over when the reader has taken most of those before."""
    headers = [_JSON, _NO_STORE, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for start in range(0, len(body) - _PIECE, _PIECE):
        piece = body[start : start + _PIECE]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    rest = body[(len(body) - 1) // _PIECE * _PIECE :] if body else b""
    await send({"type": "http.response.body", "body": rest})
