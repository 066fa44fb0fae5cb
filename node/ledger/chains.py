"""Which chain a block of a ledger is of: one genesis, or two with a seam between them."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain.genesis import Genesis
from node.ledger.continuation import Continuation


@dataclass(frozen=True, slots=True)
class Chains:
    """The one or two chains that a ledger is of; `genesis` is that of the newest blocks."""

    genesis: Genesis
    continuation: Continuation | None

    @property
    def seam(self) -> int | None:
        """The first one's last height, where there are two."""
        return None if self.continuation is None else self.continuation.height

    def of(self, height: int) -> Genesis:
        """The genesis of the chain that a block is of."""
        joint = self.continuation
        return self.genesis if joint is None or height > joint.height else joint.old_genesis

    def is_first(self, height: int) -> bool:
        """Whether a chain begins with this block."""
        return height == self.of(height).initial_height
