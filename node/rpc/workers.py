"""Threads for calls that take long: contract execution, log searches, big blocks.

The event loop stays free to answer everybody else. A call has a deadline; its function is handed
`should_stop` and asks it often. When the deadline passes the caller gets an answer at once, whether or not
the function has noticed yet; the thread is free again when it has.

Short calls do not wait for long ones. Every call begins on one of a few places for short calls. One that has
used `_SHORT_SECONDS` of CPU time gives its place up when it next asks `should_stop`, and waits there for a
place for long calls. So endless calls, however many, leave the places of short ones free, and only few of
them compete with blocks for the interpreter. How many may be long is bounded: one more is refused as busy.

Callers take turns: each has a queue of its own, bounded, and the next call to begin is that of the caller
whose turn is longest ago.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar

from node.rpc.config import Limits
from node.rpc.errors import REFUSED, RpcError, bare, limited, rpc_error

T = TypeVar("T")
ShouldStop = Callable[[], bool]

_GRACE_SECONDS: Final = 0.25
_SHORT_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 0.1
"""Between two looks at the clock of a call that waits for a place."""


class Workers:
    """Places for short and long calls, a bounded queue of each caller, a time limit of each call."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = _Places(limits)
        threads = limits.workers + limits.long_calls + limits.long_calls_waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rpc")
        self._lock = threading.Lock()
        self._queues: OrderedDict[str, deque[_Call[Any]]] = OrderedDict()
        self._unfinished: dict[str, int] = {}

    async def run(
        self,
        caller: str,
        function: Callable[[ShouldStop], T],
        on_start: Callable[[Future[T]], None] = lambda future: None,
    ) -> T:
        """The function's result. Raises RpcError `rpc.busy` or `rpc.timeout`, or what the function raised.

        `on_start` is given the future, which may outlive this call by the time the function takes to stop.
        """
        self._check_room(caller)
        loop = asyncio.get_running_loop()
        call = _Call(self._places, function, time.monotonic() + self._limits.call_seconds)
        with self._lock:
            self._queues.setdefault(caller, deque()).append(call)
        self._unfinished[caller] = self._unfinished.get(caller, 0) + 1
        taken = call.taken  # of the call itself a callback may not know: it would hold its own result
        call.future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finished, caller, taken))
        self._pool.submit(self._run_next)
        on_start(call.future)
        waiting = asyncio.wrap_future(call.future)
        # Who asked may be gone when it ends; what it raises is then nobody's, and no news for the log.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(self._limits.call_seconds + _GRACE_SECONDS):
                return await asyncio.shield(waiting)
        except TimeoutError:
            call.future.cancel()
            raise self.timeout() from None

    def timeout(self) -> RpcError:
        """What a function raises when `should_stop` says so."""
        seconds = self._limits.call_seconds
        return rpc_error(
            REFUSED, "rpc.timeout", "the call took too long and was stopped", f"> {seconds} s", f"{seconds} s"
        )

    def close(self) -> None:
        """Tell running functions to stop and wait for them."""
        self._places.closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _check_room(self, caller: str) -> None:
        limits = self._limits
        own, everybody = self._unfinished.get(caller, 0), sum(self._unfinished.values())
        most = limits.workers + limits.waiting_calls
        if own >= limits.waiting_calls_per_client or everybody >= most:
            got, expected = (everybody, most) if everybody >= most else (own, limits.waiting_calls_per_client)
            raise limited("rpc.busy", "too many long calls are waiting; try again", got, expected)

    def _finished(self, caller: str, taken: threading.Event) -> None:
        taken.set()
        self._unfinished[caller] -= 1
        if not self._unfinished[caller]:
            del self._unfinished[caller]

    def _run_next(self) -> None:
        """In a thread; as often as there are calls in the queues."""
        self._places.short.acquire()
        with self._lock:
            caller, queue = next(iter(self._queues.items()))
            call = queue.popleft()
            if queue:
                self._queues.move_to_end(caller)
            else:
                del self._queues[caller]
        call.run()


class _Places:
    """What calls hold while they run: a short place each, then a long one; and how many are long."""

    def __init__(self, limits: Limits) -> None:
        self.short = threading.Semaphore(limits.workers)
        self.long = threading.Semaphore(limits.long_calls)
        self.most_long = threading.Semaphore(limits.long_calls + limits.long_calls_waiting)
        self.closing = False


class _Call(Generic[T]):
    """One call, and in its thread the place that it holds."""

    def __init__(self, places: _Places, function: Callable[[ShouldStop], T], deadline: float) -> None:
        self.future: Future[T] = Future()
        self.taken = threading.Event()
        """The event loop knows of the result."""
        self._places = places
        self._function = function
        self._deadline = deadline
        self._began = 0.0
        self._is_long = False
        self._has_long_place = False
        self._is_refused = False

    def run(self) -> None:
        """With a short place held, which is given back, or the long one it became."""
        self._began = time.thread_time()
        try:
            if not self.future.set_running_or_notify_cancel():
                return
            try:
                result = self._function(self._should_stop)
            except BaseException as error:
                self.future.set_exception(_too_many_long() if self._is_refused else bare(error))
            else:
                self.future.set_result(result)
                del result
                # Else results would pile up while the event loop is busy with those before.
                self.taken.wait(_PATIENCE_SECONDS)
        finally:
            if self._has_long_place:
                self._places.long.release()
            if self._is_long:
                self._places.most_long.release()
            else:
                self._places.short.release()

    def _should_stop(self) -> bool:
        if self._is_over():
            return True
        if self._is_long or time.thread_time() - self._began < _SHORT_SECONDS:
            return False
        if not self._places.most_long.acquire(blocking=False):
            self._is_refused = True
            return True
        self._is_long = True
        self._places.short.release()
        while not self._is_over():
            if self._places.long.acquire(timeout=_PATIENCE_SECONDS):
                self._has_long_place = True
                return False
        return True

    def _is_over(self) -> bool:
        return self._places.closing or time.monotonic() > self._deadline


def _too_many_long() -> RpcError:
    return limited("rpc.busy", "too many calls that take long; try again", None, None)
