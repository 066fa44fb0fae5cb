"""Who signed the last blocks, who proposed them, whose clock is off: a window over the ledger's commits.

A block's canonical commit stands in the next block; so a height is looked at when the next header is there.
Each height is read once, and after a pause at most as many as the window holds: history does not matter.

*Clocks.* Every vote carries its validator's time. A validator's clock is off by the median distance of its
votes from the median of all votes of the same block. (CometBFT puts a vote at least a millisecond after the
block it is for, so a clock that is behind shows as less than it is while blocks come quickly.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from node.chain.commit import FLAG_ABSENT, FLAG_COMMIT, decode_commit
from node.chain.validators import validator_address
from node.ledger import LedgerSnapshot

WINDOW: Final = 100
SILENT: Final = 3
"""Blocks in a row without its signature after which a validator counts as silent."""


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """Of one block: when each validator voted for it, by address (in nanoseconds of the validator's own
    clock; None: it voted, but not for this block), who did not vote, and who proposed it.
    """

    height: int
    votes: dict[bytes, int | None]
    absent: frozenset[bytes]
    proposer: bytes

    @property
    def median_vote_ns(self) -> int | None:
        """The median of the validators' clocks when they voted for the block."""
        times = [one for one in self.votes.values() if one is not None]
        return int(median(times)) if times else None


class SigningWindow:
    """The last blocks. One thread at a time."""

    def __init__(self, size: int = WINDOW) -> None:
        self._size = size
        self._blocks: deque[SignedBlock] = deque(maxlen=size)

    @property
    def blocks(self) -> tuple[SignedBlock, ...]:
        """Oldest first."""
        return tuple(self._blocks)

    def advance(self, snapshot: LedgerSnapshot, initial_height: int) -> None:
        """Look at what has come since, as far as headers are there."""
        last = self._blocks[-1].height if self._blocks else 0
        if last > snapshot.tip.height:
            self._blocks.clear()  # another ledger has taken the place of the one before
            last = 0
        first = max(snapshot.base + 1, initial_height, last + 1, snapshot.tip.height - self._size)
        if first > last + 1:
            self._blocks.clear()
        for height in range(first, snapshot.tip.height):
            block = _read(snapshot, height)
            if block is None:
                return
            self._blocks.append(block)


def _read(snapshot: LedgerSnapshot, height: int) -> SignedBlock | None:
    """None while its canonical commit has not come."""
    if snapshot.header(height + 1) is None:
        return None
    encoded, record = snapshot.commit(height), snapshot.block(height)
    if encoded is None or record is None:
        return None
    votes: dict[bytes, int | None] = {}
    absent = set()
    addresses = _addresses(snapshot, height)
    for address, signature in zip(addresses, decode_commit(encoded).signatures, strict=False):
        if signature.flag == FLAG_ABSENT:
            absent.add(address)
        else:
            votes[address] = signature.time_ns if signature.flag == FLAG_COMMIT else None
    return SignedBlock(height, votes, frozenset(absent), record.proposer_address)


def _addresses(snapshot: LedgerSnapshot, height: int) -> list[bytes]:
    return [validator_address(one.public_key) for one in snapshot.validators(height)]


@dataclass(frozen=True, slots=True)
class Signer:
    """One validator over the window. See `facts.ValidatorFacts`."""

    missed: int
    counted: int
    proposed: int
    silent: bool
    clock_s: float | None


def signer_of(address: bytes, blocks: Iterable[SignedBlock]) -> Signer:
    """What the window says of one validator; blocks before it was one do not count."""
    mine = [one for one in blocks if address in one.votes or address in one.absent]
    distances = []
    for block in mine:
        vote, middle = block.votes.get(address), block.median_vote_ns
        if vote is not None and middle is not None and len(block.votes) > 1:
            distances.append(vote - middle)
    lately = mine[-SILENT:]
    return Signer(
        missed=sum(address in one.absent for one in mine),
        counted=len(mine),
        proposed=sum(one.proposer == address for one in mine),
        silent=bool(lately) and all(address in one.absent for one in lately),
        clock_s=median(distances) / 1e9 if distances else None,
    )


def quorum_left(powers: Iterable[int], silent_power: int) -> int:
    """How many more of these validators, whichever they are, may fail; -1 if no block can come as it is.

    `powers`: of those that are not silent. More than two thirds of all power must sign.
    """
    there = sorted(powers, reverse=True)
    total = sum(there) + silent_power
    left = sum(there)
    count = -1
    for power in (0, *there):
        left -= power
        if 3 * left <= 2 * total:
            return count
        count += 1
    return count
