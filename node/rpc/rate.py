"""Token buckets: how fast one caller may call. Times are seconds of a monotonic clock, passed in."""

from __future__ import annotations

from collections import OrderedDict

from node.rpc.config import Rate


class Bucket:
    """Holds up to `rate.burst` tokens and gains `rate.per_second`; a call takes as many as it costs."""

    __slots__ = ("_level", "_rate", "_time")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._level = rate.burst
        self._time = now

    def take(self, cost: float, now: float) -> float:
        """0.0 if the tokens were there and are taken; else nothing is taken: seconds until they are there."""
        level = min(self._rate.burst, self._level + (now - self._time) * self._rate.per_second)
        self._time = now
        # What costs more than a full bucket waits for a full one, and leaves it in debt.
        needed = min(cost, self._rate.burst)
        if level < needed:
            self._level = level
            return (needed - level) / self._rate.per_second
        self._level = level - cost
        return 0.0


class Buckets:
    """One bucket per caller; the least recently used is forgotten beyond `capacity`, so memory is bounded."""

    def __init__(self, rate: Rate, capacity: int = 10_000) -> None:
        self._rate = rate
        self._capacity = capacity
        self._buckets: OrderedDict[object, Bucket] = OrderedDict()

    def of(self, caller: object, now: float) -> Bucket:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = Bucket(self._rate, now)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
        return bucket
