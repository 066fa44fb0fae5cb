"""Load for several nodes of one chain, as in life: everybody uses the node of their own agency.

A sender's transactions all go to one node, so they come there in order of their nonces; senders are dealt out
evenly. What only asks, and the figures, use the first node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Self

from bench.cast import CLERKS, DEPLOYER, HANDLERS, RESIDENTS, SENDERS
from bench.client import Client, slices
from node.chain.signing import sender_of
from node.chain.transaction import decode

_PLACES = {
    key.address: place
    for keys in ((DEPLOYER,), SENDERS, HANDLERS, CLERKS, RESIDENTS)
    for place, key in enumerate(keys)
}


def home_of(raw: bytes, nodes: int) -> int:
    """Which of so many nodes the sender of a transaction uses, from 0; strangers all use the first."""
    return _PLACES.get(sender_of(decode(raw)), 0) % nodes


class SpreadClient(Client):
    """A client of the first of `urls` that submits to all of them, `connections` to each."""

    def __init__(self, urls: Sequence[str], connections: int) -> None:
        super().__init__(urls[0], connections)
        self.nodes: tuple[Client, ...] = (self, *(Client(url, connections) for url in urls[1:]))
        self._homes: dict[bytes, int] = {}

    async def __aexit__(self, *details: object) -> None:
        for node in self.nodes[1:]:
            await node.__aexit__(*details)
        await super().__aexit__(*details)

    async def __aenter__(self) -> Self:
        return self

    def home(self, raw: bytes) -> int:
        """Which node takes this transaction; found once, for it costs as much as verifying it."""
        known = self._homes.get(raw)
        if known is None:
            known = self._homes[raw] = home_of(raw, len(self.nodes))
        return known

    def requests(self, transactions: Sequence[bytes], batch: int) -> list[Sequence[bytes]]:
        """Each of one node's transactions only, the nodes in turn."""
        by_home: list[list[bytes]] = [[] for _ in self.nodes]
        for raw in transactions:
            by_home[self.home(raw)].append(raw)
        rows = zip_longest(*(slices(some, batch) for some in by_home))
        return [request for request in chain.from_iterable(rows) if request is not None]

    async def send(self, transactions: Sequence[bytes]) -> list[dict[str, Any]]:
        parts: dict[int, list[bytes]] = {}
        for raw in transactions:
            parts.setdefault(self.home(raw), []).append(raw)
        send = super().send
        answers = await asyncio.gather(
            *(send(part) if not home else self.nodes[home].send(part) for home, part in parts.items())
        )
        return [error for errors in answers for error in errors]
