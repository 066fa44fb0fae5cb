"""Polled filters: eth_newFilter and its kin. They live in memory and are forgotten when nobody polls them."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from node.rpc.config import Limits
from node.rpc.errors import REFUSED, limited, rpc_error
from node.rpc.parameters import LogFilter

_PENDING_KEPT = 4_096


class FilterKind(Enum):
    LOGS = "logs"
    BLOCKS = "blocks"
    PENDING = "pending"


@dataclass(slots=True)
class Filter:
    """`next_height` is the first height not reported yet. `hashes` are transactions not reported yet, newest
    kept.
    """

    kind: FilterKind
    owner: str
    next_height: int
    query: LogFilter | None = None
    hashes: deque[bytes] = field(default_factory=lambda: deque(maxlen=_PENDING_KEPT))
    polled: float = 0.0


class Filters:
    """All filters of the server by their random ids. A filter answers its owner only."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._filters: dict[str, Filter] = {}

    def add(self, new: Filter) -> str:
        """Keep a filter; its id. Raises RpcError `rpc.too_many_filters`."""
        now = time.monotonic()
        self._forget_idle(now)
        owned = sum(1 for one in self._filters.values() if one.owner == new.owner)
        if owned >= self._limits.filters_per_client:
            raise limited(
                "rpc.too_many_filters", "uninstall filters first", owned, self._limits.filters_per_client
            )
        if len(self._filters) >= self._limits.filters:
            raise limited(
                "rpc.too_many_filters", "the node holds too many", len(self._filters), self._limits.filters
            )
        identity = "0x" + secrets.token_hex(16)
        new.polled = now
        self._filters[identity] = new
        return identity

    def poll(self, identity: str, owner: str) -> Filter:
        """The filter, which lives on from now. Raises RpcError `rpc.unknown_filter`."""
        now = time.monotonic()
        self._forget_idle(now)
        found = self._filters.get(identity)
        if found is None or found.owner != owner:
            raise rpc_error(
                REFUSED, "rpc.unknown_filter", "filter not found", identity, "an id that is not forgotten"
            )
        found.polled = now
        return found

    def remove(self, identity: str, owner: str) -> bool:
        found = self._filters.get(identity)
        if found is None or found.owner != owner:
            return False
        del self._filters[identity]
        return True

    def transaction_pending(self, transaction_hash: bytes) -> None:
        for one in self._filters.values():
            if one.kind is FilterKind.PENDING:
                one.hashes.append(transaction_hash)

    def _forget_idle(self, now: float) -> None:
        oldest = now - self._limits.filter_idle_seconds
        for identity in [identity for identity, one in self._filters.items() if one.polled < oldest]:
            del self._filters[identity]
