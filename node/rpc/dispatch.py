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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
    bare,
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
            opened = self._open(message, request)
            answer = opened.answer(await self._result(opened, request))
            return b"" if answer is None else self._fit(answer, opened, limits.response_bytes)
        finally:
            request.release()

    async def _answer_batch(self, calls: list[object], request: Request) -> bytes:
        answers: list[bytes] = []
        room = self._limits.response_bytes
        slice_end = time.monotonic() + _SLICE_SECONDS
        batch_end = time.monotonic() + self._limits.batch_seconds
        for together in self._groups(calls, request):
            results: list[object] = [None] * len(together)
            if time.monotonic() > batch_end:
                results = [_batch_over(self._limits.batch_seconds)] * len(together)
            elif room > 0:
                results = await self._results(together, request)
            for opened, result in zip(together, results, strict=True):
                answer = opened.answer(result)
                if answer is not None:
                    answers.append(self._fit(answer, opened, room))
                    room -= len(answers[-1])
            if time.monotonic() > slice_end:
                await asyncio.sleep(0)
                slice_end = time.monotonic() + _SLICE_SECONDS
        return b"[" + b",".join(answers) + b"]" if answers else b""

    def _groups(self, calls: list[object], request: Request) -> Iterator[list[_Opened]]:
        """The calls of a batch in order, opened; in a row those that are better answered together."""
        together: list[_Opened] = []
        for call in calls:
            opened = self._open(call, request)
            if together and not (
                opened.method and opened.method.many and opened.method is together[0].method
            ):
                yield together
                together = []
            together.append(opened)
        yield together

    def _fit(self, answer: bytes, opened: _Opened, room: int) -> bytes:
        if len(answer) <= room:
            return answer
        too_large = limited(
            "rpc.response_too_large",
            "the answer is too large; ask for less",
            None,
            self._limits.response_bytes,
        )
        return _dump(opened.identity, error=too_large)

    def _open(self, call: object, request: Request) -> _Opened:
        """Everything up to the handler: envelope, method, scope, rate, parameters. Never raises."""
        opened = _Opened()
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
            given = call.get("id")
            if given is not None and (isinstance(given, bool) or not isinstance(given, str | int | float)):
                raise rpc_error(
                    INVALID_REQUEST, "rpc.envelope", "id is a string, a number or null", given, "1"
                )
            opened.is_notification = "id" not in call
            opened.identity = given
            method = self._method(call["method"], request.caller)
            opened.parameters = method.parse(call.get("params"))
            opened.method = method
        except RpcError as error:
            opened.failure = error
        return opened

    def _method(self, name: str, caller: Caller) -> Method:
        """The method, if the caller may call it now. Raises RpcError."""
        method = self._methods.get(name)
        if method is None:
            raise rpc_error(
                UNKNOWN_METHOD, "rpc.unknown_method", f"the method {name[:80]} does not exist", name
            )
        if not caller.scope.allows_method(name):
            raise rpc_error(
                REFUSED, "rpc.scope_method", "the token does not open this method", name, caller.scope.methods
            )
        wait = caller.take(method.cost)
        if wait > 0.0:
            raise _too_fast(wait)
        return method

    async def _results(self, together: list[_Opened], request: Request) -> list[object]:
        """The result or the error of each."""
        if len(together) == 1:
            return [await self._result(together[0], request)]
        method = together[0].method
        assert method is not None and method.many is not None  # noqa: S101, PT018 - see _groups
        try:
            results: list[object] = await method.many(request, [opened.parameters for opened in together])
        except Exception as error:
            return [error] * len(together)
        return results

    async def _result(self, opened: _Opened, request: Request) -> object:
        """The result, or the error."""
        method = opened.method
        if method is None:
            return opened.failure
        try:
            if method.kind is Kind.QUICK:
                return method.handler(request, *opened.parameters)
            if method.kind is Kind.ASYNC:
                return await method.handler(request, *opened.parameters)
            return await request.work(method.handler, *opened.parameters)
        except Exception as error:
            return bare(error)


@dataclass(slots=True)
class _Opened:
    """A call that was looked at: its method and parameters, or why it has none."""

    identity: object = None
    is_notification: bool = False
    method: Method | None = None
    parameters: list[object] = field(default_factory=list)
    failure: RpcError | None = None

    def answer(self, result: object) -> bytes | None:
        """The answer with a result or an error; None to a notification."""
        error: RpcError | None = None
        if isinstance(result, RpcError):
            error = result
        elif isinstance(result, ShelianError):
            error = refused(result)
        elif isinstance(result, Exception):
            _log.error(
                "call failed",
                code="rpc.internal",
                method=self.method and self.method.name,
                exc_info=result,
            )
            error = rpc_error(
                INTERNAL_ERROR, "rpc.internal", "the node failed to answer; its log says why", None, None
            )
        if self.is_notification:
            return None
        return _dump(self.identity, result) if error is None else _dump(self.identity, error=error)


def _batch_over(seconds: float) -> RpcError:
    return rpc_error(
        REFUSED, "rpc.timeout", "the batch took too long; this call was not begun", None, f"{seconds} s"
    )


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
