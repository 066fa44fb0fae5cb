"""From request bytes to answer bytes: JSON-RPC 2.0, single and batch.

Flow: nesting check -> parse -> for each call: envelope, method, scope, rate, parameters, handler -> answer.
One `Request` serves one body, so every read of a batch is of one height. A call never raises: what goes wrong
is its answer, and a bug of ours is logged and answered as -32603 without its details.

https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping

import orjson
import structlog

from node.chain.errors import ShelianError
from node.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    REFUSED,
    UNKNOWN_METHOD,
    RpcError,
    limited,
    refused,
    rpc_error,
)
from node.rpc.method import Kind, Method
from node.rpc.request import Caller, Request
from node.rpc.service import Service

_log = structlog.get_logger("rpc")

_ESCAPES = re.compile(rb"\\.", re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SLICE_SECONDS = 0.004


def check_nesting(body: bytes, deepest: int) -> None:
    """Raises RpcError if arrays and objects nest deeper than allowed, in time linear in the size.

    Strings are cut out, everything but brackets dropped, braces taken for brackets; then each round removes
    the innermost pairs. A pair that is left nests deeper; what else is left is unbalanced, for the parser.
    """
    if body.count(b"[") + body.count(b"{") <= deepest:
        return
    if b"\\" in body:
        body = _ESCAPES.sub(b"", body)
    brackets = b"".join(body.split(b'"')[::2]).translate(_ONE_KIND, _ALL_BUT_BRACKETS)
    for _ in range(deepest):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if b"[]" in brackets or brackets.count(b"[") > deepest:
        raise rpc_error(
            INVALID_REQUEST,
            "rpc.too_deep",
            "arrays and objects nest too deep",
            f"> {deepest}",
            f"<= {deepest}",
        )


class Dispatcher:
    """Answers request bodies with the methods of a table over one service."""

    def __init__(self, methods: Mapping[str, Method], service: Service) -> None:
        self._methods = methods
        self._service = service
        self._limits = service.config.limits

    async def answer(self, body: bytes, caller: Caller) -> bytes:
        """The answer's bytes; empty if the body held notifications only."""
        limits = self._limits
        try:
            check_nesting(body, limits.nesting)
            try:
                message = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise rpc_error(PARSE_ERROR, "rpc.parse", "not JSON", str(error), "JSON") from None
            if isinstance(message, list):
                if not message:
                    raise rpc_error(
                        INVALID_REQUEST, "rpc.empty_batch", "a batch has at least one call", 0, ">= 1"
                    )
                if len(message) > limits.batch_calls:
                    raise rpc_error(
                        INVALID_REQUEST,
                        "rpc.batch_too_long",
                        "too many calls in one batch",
                        len(message),
                        limits.batch_calls,
                    )
        except RpcError as error:
            return _dump(None, error=error)
        request = Request(self._service, caller, in_batch=isinstance(message, list))
        try:
            if isinstance(message, list):
                return await self._answer_batch(message, request)
            answer = await self._answer_one(message, request)
            return b"" if answer is None else self._fit(answer, message, limits.response_bytes)
        finally:
            request.release()

    async def _answer_batch(self, calls: list[object], request: Request) -> bytes:
        answers: list[bytes] = []
        room = self._limits.response_bytes
        slice_end = time.monotonic() + _SLICE_SECONDS
        for call in calls:
            if room <= 0:
                answer: bytes | None = self._fit(b"", call, -1)
            else:
                answer = await self._answer_one(call, request)
                if answer is not None:
                    answer = self._fit(answer, call, room)
            if answer is not None:
                answers.append(answer)
                room -= len(answer)
            if time.monotonic() > slice_end:
                await asyncio.sleep(0)
                slice_end = time.monotonic() + _SLICE_SECONDS
        return b"[" + b",".join(answers) + b"]" if answers else b""

    def _fit(self, answer: bytes, call: object, room: int) -> bytes:
        if len(answer) <= room:
            return answer
        too_large = limited(
            "rpc.response_too_large",
            "the answer is too large; ask for less",
            None,
            self._limits.response_bytes,
        )
        return _dump(call.get("id") if isinstance(call, dict) else None, error=too_large)

    async def _answer_one(self, call: object, request: Request) -> bytes | None:
        identity: object = None
        is_notification = False
        try:
            if (
                not isinstance(call, dict)
                or call.get("jsonrpc") != "2.0"
                or not isinstance(call.get("method"), str)
            ):
                raise rpc_error(
                    INVALID_REQUEST,
                    "rpc.envelope",
                    "not a JSON-RPC 2.0 call",
                    call,
                    '{"jsonrpc":"2.0","id":…,"method":…}',
                )
            is_notification = "id" not in call
            given = call.get("id")
            if given is not None and (isinstance(given, bool) or not isinstance(given, str | int | float)):
                raise rpc_error(
                    INVALID_REQUEST, "rpc.envelope", "id is a string, a number or null", given, "1"
                )
            identity = given
            result = await self._call(call["method"], call.get("params"), request)
            return None if is_notification else _dump(identity, result)
        except RpcError as error:
            failure = error
        except ShelianError as error:
            failure = refused(error)
        except Exception:
            name = call.get("method") if isinstance(call, dict) else None
            _log.exception("call failed", method=name)
            failure = rpc_error(
                INTERNAL_ERROR, "rpc.internal", "the node failed to answer; its log says why", None, None
            )
        return None if is_notification else _dump(identity, error=failure)

    async def _call(self, name: str, params: object, request: Request) -> object:
        method = self._methods.get(name)
        if method is None:
            raise rpc_error(
                UNKNOWN_METHOD, "rpc.unknown_method", f"the method {name[:80]} does not exist", name
            )
        caller = request.caller
        if not caller.scope.allows_method(name):
            raise rpc_error(
                REFUSED, "rpc.scope_method", "the token does not open this method", name, caller.scope.methods
            )
        wait = caller.take(method.cost)
        if wait > 0.0:
            raise _too_fast(wait)
        parameters = method.parse(params)
        if method.kind is Kind.QUICK:
            return method.handler(request, *parameters)
        if method.kind is Kind.ASYNC:
            return await method.handler(request, *parameters)
        return await request.work(method.handler, *parameters)


def _too_fast(wait: float) -> RpcError:
    error = limited("rpc.rate_limited", "too many calls; slow down", None, None)
    assert isinstance(error.data, dict)  # noqa: S101 - for the type checker
    error.data["retry"] = round(wait, 3)
    return error


def _dump(identity: object, result: object = None, *, error: RpcError | None = None) -> bytes:
    if error is None:
        return orjson.dumps({"jsonrpc": "2.0", "id": identity, "result": result})
    answer = {"jsonrpc": "2.0", "id": identity, "error": error.as_dict()}
    try:
        return orjson.dumps(answer)
    except orjson.JSONEncodeError:
        # What was got may be an integer beyond 64 bits, which orjson does not write.
        return json.dumps(answer).encode()
