"""A request body being answered, and who asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from node.chain.transaction import Address
from node.ledger import LedgerSnapshot
from node.rpc.access import Scope
from node.rpc.backend import Backend
from node.rpc.errors import REFUSED, REVERTED, RpcError, limited, rpc_error
from node.rpc.parameters import BlockSelector
from node.rpc.rate import Bucket

if TYPE_CHECKING:
    from node.rpc.service import Service
    from node.rpc.subscriptions import Connection

_ITEMS_BETWEEN_LOOKS: Final = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `name` is the token's, or the address where there are no tokens."""

    name: str
    scope: Scope
    buckets: tuple[Bucket, ...]
    connection: Connection | None = None
    """The WebSocket connection that can carry notifications; None over HTTP."""

    def take(self, cost: float) -> float:
        """Seconds to wait before a call of this cost may be made; 0.0 if it may be made now."""
        now = time.monotonic()
        return max(bucket.take(cost, now) for bucket in self.buckets)

    def check_contracts(self, contracts: frozenset[Address] | None) -> None:
        """Raises RpcError if the scope names contracts and these are not all among them (None: any)."""
        allowed = self.scope.contracts
        if allowed is None or (contracts is not None and contracts and contracts <= allowed):
            return
        got = "any contract" if not contracts else sorted(contracts - allowed)
        raise rpc_error(
            REFUSED, "rpc.scope_contract", "the token does not open this contract", got, sorted(allowed)
        )


class Request:
    """One body: every read it makes is of one height, whatever is committed meanwhile."""

    __slots__ = ("_running", "_snapshot", "caller", "in_batch", "node", "service", "should_stop")

    def __init__(self, service: Service, caller: Caller, in_batch: bool) -> None:
        self.service = service
        self.node: Backend = service.backend
        self.caller = caller
        self.in_batch = in_batch
        self.should_stop: Callable[[], bool] = lambda: False
        """Asked by long work in a worker thread; true when the time is over."""
        self._snapshot: LedgerSnapshot | None = None
        self._running: list[Future[Any]] = []

    @property
    def ledger(self) -> LedgerSnapshot:
        """The snapshot, taken when first asked for."""
        if self._snapshot is None:
            self._snapshot = self.node.snapshot()
        return self._snapshot

    async def work(self, function: Callable[..., object], *parameters: object) -> orjson.Fragment:
        """The JSON of `function(self, *parameters)`, which runs in a worker thread under the time limit.

        Raises RpcError rpc.busy, rpc.timeout, rpc.response_too_large.
        """
        _ = self.ledger

        def run(should_stop: Callable[[], bool]) -> orjson.Fragment:
            self.should_stop = should_stop
            result = function(self, *parameters)
            if isinstance(result, orjson.Fragment):
                return result
            encoded = orjson.dumps(result)
            if len(encoded) > self._most_bytes:
                raise self.too_large()
            return orjson.Fragment(encoded)

        return await self.service.workers.run(self.caller.name, run, self._started)

    def encode_each(self, items: Iterable[object]) -> orjson.Fragment:
        """The JSON of a long list, of which little is in memory at a time besides its text.

        One by one, because to encode is to keep every other thread waiting. Raises RpcError
        rpc.response_too_large, rpc.timeout.
        """
        parts: list[bytes] = []
        size = 0
        for item in items:
            parts.append(orjson.dumps(item))
            size += len(parts[-1]) + 1
            if size > self._most_bytes:
                raise self.too_large()
            if not len(parts) % _ITEMS_BETWEEN_LOOKS:
                self.stop_if_late()
        return orjson.Fragment(b"[" + b",".join(parts) + b"]")

    def too_large(self) -> RpcError:
        return limited(
            "rpc.response_too_large", "the answer is too large; ask for less", None, self._most_bytes
        )

    @property
    def _most_bytes(self) -> int:
        return self.service.config.limits.response_bytes

    def stop_if_late(self) -> None:
        """Raises RpcError `rpc.timeout` in long work whose time is over."""
        if self.should_stop():
            raise self.service.workers.timeout()

    def release(self) -> None:
        """Give the snapshot back, after the last work that reads it has ended."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        unfinished = [future for future in self._running if not future.done()]
        self._running = unfinished
        if not unfinished:
            snapshot.close()
            return
        # The workers end one after another; each looks whether it was the last.
        for future in unfinished:
            future.add_done_callback(lambda done: _close_after(unfinished, snapshot))

    def height_of(self, selector: BlockSelector) -> int | None:
        """The height a selector means in this snapshot; None if there is no such block."""
        ledger = self.ledger
        if selector.tag is not None:
            return 0 if selector.tag == "earliest" else ledger.tip.height
        if selector.height is not None:
            return selector.height if selector.height <= ledger.tip.height else None
        assert selector.hash is not None  # noqa: S101 - for the type checker; a selector has one of the three
        return ledger.height_of(selector.hash)

    def require_height(self, selector: BlockSelector) -> int:
        """Like `height_of`. Raises RpcError `rpc.unknown_block`."""
        height = self.height_of(selector)
        if height is None:
            got = selector.height if selector.hash is None else selector.hash
            raise rpc_error(REFUSED, "rpc.unknown_block", "header not found", got, self.ledger.tip.height)
        return height

    def _started(self, future: Future[Any]) -> None:
        # What has ended is let go: it holds its result, and a batch may have a thousand.
        self._running = [one for one in self._running if not one.done()]
        self._running.append(future)


def _close_after(futures: list[Future[Any]], snapshot: LedgerSnapshot) -> None:
    if all(future.done() for future in futures):
        snapshot.close()
        futures.clear()  # each holds this function, and its result


def reverted(output: bytes, reason: str) -> RpcError:
    """Number 3 with the revert data, as clients expect it."""
    return RpcError(
        REVERTED, f"execution reverted: {reason}" if reason else "execution reverted", "0x" + output.hex()
    )
