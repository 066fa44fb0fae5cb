"""Fetches header and commit of every committed block from this node's CometBFT, and gives them to the ledger.

ABCI delivers neither: FinalizeBlock names a block's hash, no more. Both are needed for proofs, so a cursor
goes through the heights behind the ledger's tip::

    next height -> /commit -> header hash = the block's? -> commit signed by that height's validators?
      -> canonical commit of the height before -> Ledger.save_headers (one write for many)

* **One request** for many heights. At the tip CometBFT tells the commit this node has *seen*; the one that
  counts stands in the next block. So with the next header the one before is asked for again, in the same
  request: its commit is the canonical one by then. Further down every commit is.
* **A backlog** (after a start, or while CometBFT was away) is worked off in pieces of bounded size.
* **Consensus does not wait.** The cursor is woken by commits and does its checking and writing in a thread of
  its own; what it writes is not synced. A power cut can take the last headers away, and the ledger tells
  where to begin again (`Ledger.headers_end`: from the newest header backwards, over as many as can be lost).
* **A header that is not the ledger's block** is never saved: the ledger executed another block than CometBFT
  has on record. That is an alarm for the operator; the cursor keeps looking, seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Protocol

import structlog

from network.comet.faults import CometFault
from node.chain.commit import Commit, commit_hash, decode_commit, verify_commit
from node.chain.errors import LedgerError, ProofError, ShelianError
from node.chain.header import Header, header_hash
from node.chain.validators import Validator
from node.ledger import DeliveredHeader, Ledger, LedgerSnapshot
from node.ledger.restore import require_first_header

_log = structlog.get_logger("network.comet.headers")

AT_ONCE: Final = 64
"""Headers of one write."""
FIRST_REST_S: Final = 0.05
LONGEST_REST_S: Final = 2.0
ALARM_REST_S: Final = 10.0


Found = tuple[Header, Commit, bool]
"""What CometBFT tells of a block; the flag: the commit is the one that the next block carries."""


class Source(Protocol):
    """CometBFT's RPC."""

    async def commits(self, heights: Sequence[int]) -> list[Found | CometFault]:
        """As `network.comet.client.CometClient.commits`."""
        ...

    async def last_commit(self, height: int) -> Commit:
        """As `network.comet.client.CometClient.last_commit`."""
        ...


class HeaderCursor:
    """See the module. Belongs to one event loop; `committed` is for any thread."""

    def __init__(self, ledger: Ledger, source: Source) -> None:
        self._ledger = ledger
        self._source = source
        self._next = 0
        self._seen: Commit | None = None  # of the height before `_next`
        self._alarm: ShelianError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headers")
        self.begin_again()

    def begin_again(self) -> None:
        """The ledger is another one: at the start, or after a snapshot took the place of an empty one."""
        end = self._ledger.headers_end
        with self._ledger.snapshot() as snapshot:
            encoded = snapshot.commit(end - 1)
            self._base = snapshot.base
        self._seen = None if encoded is None else decode_commit(encoded)
        self._next = end

    @property
    def next_height(self) -> int:
        """The lowest height whose header is not in the ledger yet."""
        return self._next

    @property
    def alarm(self) -> ShelianError | None:
        """Why the header at `next_height` is not saved, when CometBFT's is not that of the ledger's block."""
        return self._alarm

    def committed(self) -> None:
        """The ledger has a new block."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Keep up with the ledger until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._wake.set()
        rest_s = FIRST_REST_S
        try:
            while await self._wake.wait():
                self._wake.clear()
                while self._next <= self._ledger.tip.height:
                    if await self._advance():
                        rest_s = FIRST_REST_S
                    else:
                        await asyncio.sleep(ALARM_REST_S if self._alarm is not None else rest_s)
                        rest_s = min(2 * rest_s, LONGEST_REST_S)
        finally:
            self._thread.shutdown(wait=True)

    async def _advance(self) -> bool:
        """Save the next headers; False if there is a reason to wait."""
        first, end = self._next, min(self._ledger.tip.height + 1, self._next + AT_ONCE)
        has_before = self._ledger.genesis.initial_height < first != self._base + 1
        heights = range(first - 1 if has_before else first, end)
        try:
            found = dict(zip(heights, await self._source.commits(heights), strict=True))
        except CometFault as fault:
            return self._waits(fault)
        seen, delivered = self._seen, list[DeliveredHeader]()
        reason: ShelianError | None = None
        for height in range(first, end):
            one = found[height]
            if isinstance(one, CometFault):
                reason = one
                break
            header, commit, _ = one
            try:
                last_commit = await self._canonical(header, seen, found)
            except CometFault as fault:
                reason = fault
                break
            delivered.append(DeliveredHeader(header, commit, last_commit))
            seen = commit
        if delivered:
            loop = asyncio.get_running_loop()
            reason = await loop.run_in_executor(self._thread, self._save, delivered) or reason
        return reason is None or self._waits(reason)

    def _waits(self, reason: ShelianError) -> bool:
        if self._alarm is None:
            _log.debug("headers wait for CometBFT", code=reason.code, next=self._next)
        return False

    async def _canonical(
        self, header: Header, seen: Commit | None, found: Mapping[int, Found | CometFault]
    ) -> Commit | None:
        """The commit that the block of `header` carries. Raises CometFault."""
        if header.height == self._ledger.genesis.initial_height:
            return None
        if seen is not None and commit_hash(seen) == header.last_commit_hash:
            return seen
        if header.height - 1 == self._base:  # CometBFT does not hold the block that a snapshot was made of
            return await self._source.last_commit(header.height)
        before = found[header.height - 1]
        if isinstance(before, CometFault):
            raise before
        return before[1]

    # In the cursor's thread

    def _save(self, delivered: list[DeliveredHeader]) -> ShelianError | None:
        """Check them and save as many as hold; why not all, if so."""
        sound: list[DeliveredHeader] = []
        reason: ShelianError | None = None
        verified = self._seen
        with self._ledger.snapshot() as snapshot:
            for one in delivered:
                try:
                    self._check(one, verified, snapshot)
                except (CometFault, ProofError, LedgerError) as error:
                    reason = error
                    break
                sound.append(one)
                verified = one.commit
        try:
            self._ledger.save_headers(sound)
        except LedgerError as error:
            return error
        if sound:
            self._next = sound[-1].header.height + 1
            self._seen = sound[-1].commit
        self._tell(reason)
        return reason

    def _check(self, one: DeliveredHeader, verified: Commit | None, snapshot: LedgerSnapshot) -> None:
        """`verified`: the commit seen for the height before, which needs no second look.

        Raises CometFault comet.wrong_header, comet.wrong_commit; ProofError commit.*; LedgerError
        ledger.base_differs, state.*.
        """
        header, height = one.header, one.header.height
        record = snapshot.block(height)
        if record is None or header_hash(header) != record.hash:
            raise CometFault(
                "comet.wrong_header",
                f"CometBFT's header {height} is not that of the block in the ledger",
                header_hash(header),
                None if record is None else record.hash,
            )
        if snapshot.base and height == snapshot.base + 1:
            require_first_header(snapshot, header)
        commit = one.commit
        if commit is None or commit.block_id.hash != record.hash:
            raise CometFault("comet.wrong_commit", f"the commit is not of block {height}", None, record.hash)
        self._verify(commit, height, snapshot)
        last = one.last_commit
        if last is None:
            return
        if commit_hash(last) != header.last_commit_hash or last.block_id != header.last_block_id:
            raise CometFault(
                "comet.wrong_commit",
                f"the commit is not the one that block {height} carries",
                commit_hash(last),
                header.last_commit_hash,
            )
        if last is not verified:
            self._verify(last, height - 1, snapshot)

    def _verify(self, commit: Commit, height: int, snapshot: LedgerSnapshot) -> None:
        validators = [Validator(one.public_key, one.power) for one in snapshot.validators(height)]
        verify_commit(self._ledger.genesis.chain_name, validators, commit.block_id, height, commit)

    def _tell(self, alarm: ShelianError | None) -> None:
        before, self._alarm = self._alarm, alarm
        if alarm is not None and (before is None or before.code != alarm.code):
            _log.error(
                "CometBFT and the ledger disagree about a block",
                code=alarm.code,
                error=str(alarm),
                height=self._next,
            )
