"""Transactions that wait for a block.

Flow: `Ledger.check` admits a transaction, `add` keeps it, `ready` offers what can go into the next block,
`committed` takes out what is in one and looks again at the rest. Whoever must carry executable transactions
to others is told by `on_ready` what has become ready.

Rules:
- one transaction for a sender and nonce: another one is refused as long as the first one is there;
- what misses a nonce before it is held back until that comes, and not offered;
- bounded in number, bytes, transactions of a sender and distance from the sender's nonce; the last quarter is
  for the staff domain;
- what expires, or is not admissible any more after a block that changed credentials or rules, is dropped, and
  why is remembered for a while.

Costs. The pool holds what was found about its transactions (`Admitted.known`), so no signature is verified
again, and which slots each admission read: after a block only those are looked at again whose slots it wrote.
What a block costs follows what is in it, but for two walks over the pool that do next to nothing at each
stop: over the senders to offer, and over the transactions after a block that wrote credentials. What readers
ask (`has_ready`, `status`, `pending…`) takes no lock, so they never wait for a block.

Threads may share a pool. No clock: the caller says what time it is.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.chain.errors import Refusal, ShelianError
from node.chain.rules import CONSORTIUM, IDENTITY_REGISTRY, Rules
from node.chain.transaction import Address, ImiTransaction
from node.ledger import Admitted, FinalizedBlock, Ledger
from node.ledger.proposal import encoded_size

_SECOND_NS: Final = 1_000_000_000
_AT_ONCE: Final = 64
"""Transactions looked at again before others may have the pool for a moment."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much a pool holds.

    `per_sender`: nonces of one sender, from its next one on. `max_age_s`: seconds a transaction may wait.
    `remembered`: reasons of dropped transactions.
    """

    count: int = 50_000
    bytes: int = 64 << 20
    per_sender: int = 4_096
    max_age_s: int = 86_400
    remembered: int = 10_000


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """`ready` transactions can go into the next block; `waiting` ones miss a nonce before them."""

    ready: int
    waiting: int
    bytes: int


@dataclass(slots=True)
class _Sender:
    """One sender's transactions by nonce. Those from `nonce` up to `end`, not included, are ready."""

    nonce: int
    end: int
    transactions: dict[int, Admitted] = field(default_factory=dict)

    @property
    def ready(self) -> int:
        return self.end - self.nonce

    def extend(self) -> range:
        """After one was added or `nonce` went on: what follows without a gap is ready too; its nonces."""
        first = self.end = max(self.end, self.nonce)
        while self.end in self.transactions:
            self.end += 1
        return range(first, self.end)

    def cut(self, nonce: int) -> None:
        """After the one at `nonce` was taken away: those behind it wait."""
        self.end = min(self.end, nonce)


class TransactionPool:
    """See the module."""

    def __init__(
        self,
        ledger: Ledger,
        limits: PoolLimits = PoolLimits(),
        on_ready: Callable[[Sequence[Admitted]], None] | None = None,
    ) -> None:
        """`on_ready` is told what can go into a block from now on and could not before: transactions of one
        sender, in nonce order. It is called with the lock held, and so in the order in which that comes
        about; it must return at once and ask nothing of the pool that takes the lock.
        """
        self._ledger = ledger
        self._limits = limits
        self._on_ready = on_ready
        self._lock = threading.RLock()
        self._senders: OrderedDict[Address, _Sender] = OrderedDict()
        self._by_hash: dict[bytes, Admitted] = {}
        self._deadlines: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._ready = 0
        self._dropped: dict[bytes, Mapping[str, object]] = {}
        self._offered: list[bytes] = []

    def add(self, admitted: Admitted, now_ns: int) -> None:
        """Keep an admitted transaction.

        Raises Refusal: pool.known, pool.nonce_taken, tx.nonce_too_low (it is in a block by now),
        pool.nonce_too_far, pool.sender_full, pool.full.
        """
        tx = admitted.transaction
        with self._lock:
            if tx.hash in self._by_hash:
                raise Refusal("pool.known", "the transaction is in the pool already", tx.hash)
            sender = self._senders.get(admitted.sender)
            if sender is None:
                nonce = self._account_nonce(admitted.sender)
                sender = _Sender(nonce, nonce)
            self._check_place(sender, admitted)
            self._check_space(admitted)
            self._check_fits(admitted)
            self._senders[admitted.sender] = sender
            sender.transactions[tx.nonce] = admitted
            self._by_hash[tx.hash] = admitted
            self._bytes += len(tx.raw)
            deadline = now_ns + self._limits.max_age_s * _SECOND_NS
            if isinstance(tx, ImiTransaction):
                deadline = min(deadline, tx.valid_until * _SECOND_NS)
            heapq.heappush(self._deadlines, (deadline, tx.hash))
            self._dropped.pop(tx.hash, None)
            self._ready -= sender.ready
            self._extend(sender)

    def ready(self, max_gas: int, max_bytes: int) -> Iterator[Admitted]:
        """Candidates for the next block: in turn between senders, in nonce order of each.

        Together they have at most `max_gas` and `max_bytes` (as encoded in a block); other domains than staff
        leave the gas free that the rules keep for it.
        """
        with self._lock:
            chosen = self._choose(max_gas, max_bytes, self._ledger.rules)
            self._offered = [admitted.transaction.hash for admitted in chosen]
            return iter(chosen)

    def has_ready(self) -> bool:
        return self._ready > 0

    def is_ready(self, transaction_hash: bytes) -> bool:
        """Whether a transaction is here and can go into the next block."""
        admitted = self._by_hash.get(transaction_hash)
        sender = None if admitted is None else self._senders.get(admitted.sender)
        return admitted is not None and sender is not None and admitted.transaction.nonce < sender.end

    def all_ready(self) -> list[Admitted]:
        """Everything that can go into a block, in nonce order of each sender."""
        with self._lock:
            return [
                sender.transactions[nonce]
                for sender in self._senders.values()
                for nonce in range(sender.nonce, sender.end)
            ]

    def next_of_senders(self, limit: int) -> list[Admitted]:
        """The next transaction of each of the `limit` senders that have waited longest for a block."""
        with self._lock:
            ready = (sender for sender in self._senders.values() if sender.ready)
            return [sender.transactions[sender.nonce] for sender in itertools.islice(ready, limit)]

    def pending_nonce(self, address: Address) -> int | None:
        """The nonce after the sender's last ready transaction; None if none is ready."""
        sender = self._senders.get(address)
        if sender is None:
            return None
        end = sender.end
        return end if end > sender.nonce else None

    def pending(self, transaction_hash: bytes) -> Admitted | None:
        """A transaction that waits, ready or not."""
        return self._by_hash.get(transaction_hash)

    def dropped(self, transaction_hash: bytes) -> Mapping[str, object] | None:
        """Why a transaction left the pool without a block: `{code, message, got, expected}`, while
        remembered.
        """
        return self._dropped.get(transaction_hash)

    def status(self) -> PoolStatus:
        ready = self._ready
        return PoolStatus(ready, max(0, len(self._by_hash) - ready), self._bytes)

    def expire(self, now_ns: int) -> None:
        """Drop what is not valid any more at this time, or too old."""
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= now_ns:
                _, transaction_hash = heapq.heappop(self._deadlines)
                admitted = self._by_hash.get(transaction_hash)
                if admitted is not None:
                    self._drop(admitted, Refusal("tx.expired", "it waited too long for a block"))

    def committed(self, finalized: FinalizedBlock, now_ns: int | None = None) -> None:
        """A block is on disk and is the ledger's tip: take out its transactions, look at those again whose
        admission it may have changed.

        `now_ns` where the block's time lags behind (CometBFT's is that of the votes for the block before, up
        to a heartbeat ago): what was signed since then may not be dropped for being valid too far ahead.
        """
        now_ns = finalized.block.time_ns if now_ns is None else max(now_ns, finalized.block.time_ns)
        with self._lock:
            self._advance({receipt.sender for receipt in finalized.receipts})
            self.expire(now_ns)
            # Offered and not taken: there may be a reason that only a new check finds.
            again = [*self._offered, *self._touched(finalized)]
            self._offered = []
            self._thin_out_deadlines()
        for start in range(0, len(again), _AT_ONCE):
            with self._lock:
                self._recheck(again[start : start + _AT_ONCE], now_ns)

    def ledger_replaced(self, now_ns: int) -> None:
        """The ledger has begun at a snapshot (`Ledger.replace`): everything is looked at again."""
        with self._lock:
            self._advance(set(self._senders))
            again = list(self._by_hash)
        for start in range(0, len(again), _AT_ONCE):
            with self._lock:
                self._recheck(again[start : start + _AT_ONCE], now_ns)

    # All below: with the lock held

    def _touched(self, finalized: FinalizedBlock) -> list[bytes]:
        """Hashes of what was admitted by slots that the block wrote; all, if other rules are in force now."""
        if finalized.rules != finalized.block_rules:
            return list(self._by_hash)
        written = {
            slot for address, slot in finalized.change.slots if address in (IDENTITY_REGISTRY, CONSORTIUM)
        }
        if not written:
            return []
        return [
            transaction_hash
            for transaction_hash, admitted in self._by_hash.items()
            if not written.isdisjoint(admitted.slots)
        ]

    def _account_nonce(self, address: Address) -> int:
        with self._ledger.snapshot() as snapshot:
            account = snapshot.state().account(address)
        return account.nonce if account else 0

    def _check_place(self, sender: _Sender, admitted: Admitted) -> None:
        nonce = admitted.transaction.nonce
        if nonce < sender.nonce:
            raise Refusal("tx.nonce_too_low", "the nonce has been used already", nonce, sender.nonce)
        if nonce in sender.transactions:
            raise Refusal(
                "pool.nonce_taken",
                "another transaction of this sender waits with this nonce",
                nonce,
                sender.end,
            )
        if nonce >= sender.nonce + self._limits.per_sender:
            raise Refusal(
                "pool.nonce_too_far",
                "the nonce is too far ahead",
                nonce,
                f"< {sender.nonce + self._limits.per_sender}",
            )

    def _check_space(self, admitted: Admitted) -> None:
        count, size = self._limits.count, self._limits.bytes
        if not admitted.is_staff:
            count, size = count * 3 // 4, size * 3 // 4
        if len(self._by_hash) >= count:
            raise Refusal("pool.full", "too many transactions wait", len(self._by_hash), count)
        if self._bytes + len(admitted.transaction.raw) > size:
            raise Refusal("pool.full", "too many bytes wait", self._bytes, size)

    def _check_fits(self, admitted: Admitted) -> None:
        """Not even an empty block has room for some: they would wait for ever."""
        rules = self._ledger.rules
        gas = min(rules.identity_gas, rules.block_gas - (0 if admitted.is_staff else rules.correction_gas))
        size = self._ledger.genesis.consensus_params.block_max_bytes
        if admitted.gas_limit > gas:
            raise Refusal("pool.never_fits", "no block has room for this gas limit", admitted.gas_limit, gas)
        if encoded_size(admitted.transaction.raw) > size:
            got = encoded_size(admitted.transaction.raw)
            raise Refusal("pool.never_fits", "no block has room for this size", got, size)

    def _choose(self, max_gas: int, max_bytes: int, rules: Rules) -> list[Admitted]:
        chosen: list[Admitted] = []
        open_gas = max_gas - rules.correction_gas
        least = rules.base_gas
        turns: Iterable[tuple[_Sender, int]]
        turns = ((sender, sender.nonce) for sender in self._senders.values() if sender.ready)
        while True:
            again = []
            for sender, nonce in turns:
                if max_gas < least:
                    return chosen
                admitted = sender.transactions[nonce]
                gas = admitted.gas_limit
                # Where there is no room for it, there is none for what follows it.
                if gas > max_gas or (gas > open_gas and not admitted.is_staff):
                    continue
                size = encoded_size(admitted.transaction.raw)
                if size > max_bytes:
                    continue
                chosen.append(admitted)
                max_gas -= gas
                max_bytes -= size
                if not admitted.is_staff:
                    open_gas -= gas
                if nonce + 1 < sender.end:
                    again.append((sender, nonce + 1))
            if not again:
                return chosen
            turns = again

    def _advance(self, addresses: set[Address]) -> None:
        """Senders of a block go on to their new nonce, and to the end of the queue."""
        for address in addresses & self._senders.keys():
            sender = self._senders[address]
            self._senders.move_to_end(address)
            self._ready -= sender.ready
            first, sender.nonce = sender.nonce, self._account_nonce(address)
            for nonce in range(first, min(sender.nonce, first + self._limits.per_sender)):
                admitted = sender.transactions.pop(nonce, None)
                if admitted is not None:
                    self._forget(admitted)
            self._extend(sender)
            if not sender.transactions:
                del self._senders[address]

    def _extend(self, sender: _Sender) -> None:
        """Count what is ready of a sender, taken out of `_ready` before, and tell what has become so."""
        new = sender.extend()
        self._ready += sender.ready
        if self._on_ready is not None and new:
            self._on_ready([sender.transactions[nonce] for nonce in new])

    def _thin_out_deadlines(self) -> None:
        """Most of what had a deadline has long been in a block; it would be kept until then."""
        if len(self._deadlines) > 2 * len(self._by_hash) + self._limits.per_sender:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._by_hash]
            heapq.heapify(self._deadlines)

    def _recheck(self, transaction_hashes: Sequence[bytes], now_ns: int) -> None:
        for transaction_hash in transaction_hashes:
            admitted = self._by_hash.get(transaction_hash)
            if admitted is None:
                continue
            try:
                anew = self._ledger.recheck(admitted, now_ns)
                self._check_fits(anew)
            except ShelianError as error:
                self._drop(admitted, error)
            else:
                self._by_hash[transaction_hash] = anew
                self._senders[admitted.sender].transactions[admitted.transaction.nonce] = anew

    def _drop(self, admitted: Admitted, reason: ShelianError) -> None:
        sender = self._senders[admitted.sender]
        del sender.transactions[admitted.transaction.nonce]
        self._ready -= sender.ready
        sender.cut(admitted.transaction.nonce)
        self._ready += sender.ready
        if not sender.transactions:
            del self._senders[admitted.sender]
        self._forget(admitted)
        self._dropped[admitted.transaction.hash] = reason.as_dict()
        if len(self._dropped) > self._limits.remembered:
            del self._dropped[next(iter(self._dropped))]

    def _forget(self, admitted: Admitted) -> None:
        del self._by_hash[admitted.transaction.hash]
        self._bytes -= len(admitted.transaction.raw)
