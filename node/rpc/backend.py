"""What the JSON-RPC server needs of a node: the boundary that `network.runner` fills in.

Reads come from a ledger snapshot, pinned to one height. The only way in is `submit`. Commits and admitted
transactions are announced to listeners, which may be called from any thread and must return at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.chain.errors import ShelianError
from node.chain.genesis import Genesis
from node.chain.transaction import Address
from node.execution import Executor
from node.ledger import LedgerSnapshot, Misbehaviour


@dataclass(frozen=True, slots=True)
class Filling:
    """Blocks below the snapshot that the ledger began with are being fetched: `first` is the lowest one held,
    `wanted` the one to come to, `source` whom they come from (None: nobody answers just now), `rate` blocks
    a second, `failure` why it has ended before its end.
    """

    first: int
    wanted: int
    source: str | None
    rate: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How the node is: `engine` ("embedded", "cometbft"), whether it can make blocks and, if not, why.

    `target_height` is the best height known of the network, the node's own if it knows no better; `peers` how
    many other nodes it is connected to; `catching_up`: it fetches blocks that others have decided; `alarm`:
    what does not stop it, but somebody must look at; `misbehaviour`: what validators were proved to have done
    since the node was started, newest last.
    """

    engine: str
    running: bool
    failure: str | None
    target_height: int
    peers: int
    catching_up: bool = False
    alarm: str | None = None
    misbehaviour: tuple[Misbehaviour, ...] = ()
    filling: Filling | None = None


@dataclass(frozen=True, slots=True)
class PendingTransaction:
    """A transaction that waits for a block."""

    raw: bytes
    hash: bytes
    sender: Address
    nonce: int
    gas_limit: int


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """`ready` transactions can go into the next block; `waiting` ones miss a nonce before them."""

    ready: int
    waiting: int
    bytes: int


class Backend(Protocol):
    """A running node, as JSON-RPC sees it."""

    @property
    def genesis(self) -> Genesis: ...
    @property
    def executor(self) -> Executor: ...
    def snapshot(self) -> LedgerSnapshot: ...
    async def submit(self, raw: bytes) -> bytes:
        """Check a transaction and put it into the pool; its hash. Known ones give their hash again.

        Raises ShelianError: what `Ledger.check` and the pool refuse with.
        """
        ...

    async def submit_many(self, raws: Sequence[bytes]) -> list[bytes | ShelianError]:
        """`submit` of each, in order: its hash, or why it was refused. Raises ShelianError if none can be
        taken.
        """
        ...

    def pending_nonce(self, sender: Address) -> int | None:
        """The nonce after the sender's last ready transaction in the pool; None if there is none."""
        ...

    def pending(self, transaction_hash: bytes) -> PendingTransaction | None: ...
    def dropped(self, transaction_hash: bytes) -> Mapping[str, object] | None:
        """Why a transaction left the pool without a block (`{code, message, got, expected}`), while
        remembered.
        """
        ...

    def pool(self) -> PoolStatus: ...
    def status(self) -> NodeStatus: ...
    def now_ns(self) -> int: ...
    def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener(height)` after every commit; the returned function ends it."""
        ...

    def on_pending(self, listener: Callable[[bytes], None]) -> Callable[[], None]:
        """Call `listener(transaction_hash)` whenever the pool takes a transaction; the returned function ends
        it.
        """
        ...
