"""Threads for calls that take long: contract execution, log searches, big blocks.

The event loop stays free to answer everybody else. A call has a deadline; its function is handed
`should_stop` and asks it often. When the deadline passes the caller gets an answer at once, whether or not
the function has noticed yet; the thread is free again when it has. Calls that find no free thread wait in a
bounded queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from node.rpc.errors import REFUSED, RpcError, limited, rpc_error

T = TypeVar("T")
ShouldStop = Callable[[], bool]

_GRACE_SECONDS = 0.25


class Workers:
    """A thread pool with a bounded queue and a time limit for each call."""

    def __init__(self, threads: int, waiting: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rpc")
        self._capacity = threads + waiting
        self._seconds = seconds
        self._unfinished = 0
        self._closing = False

    async def run(
        self, function: Callable[[ShouldStop], T], on_start: Callable[[Future[T]], None] = lambda future: None
    ) -> T:
        """The function's result. Raises RpcError `rpc.busy` or `rpc.timeout`, or what the function raised.

        `on_start` is given the future, which may outlive this call by the time the function takes to stop.
        """
        if self._unfinished >= self._capacity:
            raise limited(
                "rpc.busy", "too many long calls are waiting; try again", self._unfinished, self._capacity
            )
        deadline = time.monotonic() + self._seconds
        loop = asyncio.get_running_loop()
        future = self._pool.submit(function, lambda: self._closing or time.monotonic() > deadline)
        self._unfinished += 1
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finished))
        on_start(future)
        try:
            return await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(future)), self._seconds + _GRACE_SECONDS
            )
        except TimeoutError:
            future.cancel()
            raise self.timeout() from None

    def timeout(self) -> RpcError:
        """What a function raises when `should_stop` says so."""
        return rpc_error(
            REFUSED,
            "rpc.timeout",
            "the call took too long and was stopped",
            f"> {self._seconds} s",
            f"{self._seconds} s",
        )

    def close(self) -> None:
        """Tell running functions to stop and wait for them."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finished(self) -> None:
        self._unfinished -= 1
