"""What speaks against a motion, and what its proposer can see of the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from network.consortium.governance import MembershipError, PeerRow

IN_STEP: Final = 2
"""A node at most so many blocks behind is in step."""


class Level(Enum):
    REFUSAL = "refusal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against a motion. `zh`, `en`: what, and what to do."""

    code: str
    level: Level
    zh: str
    en: str
    got: object = None
    expected: object = None

    def as_error(self) -> MembershipError:
        return MembershipError(self.code, f"{self.zh} {self.en}", self.got, self.expected)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which nodes somebody's node sees, by node id: how many blocks each is behind, None if it does not say.

    `is_complete`: one that is not named is not connected; else nothing is known of it.
    """

    behind: Mapping[bytes, int | None]
    is_complete: bool = True

    def is_in_step(self, peer: PeerRow) -> bool:
        behind = self.behind.get(peer.node_id)
        return behind is not None and behind <= IN_STEP


UNSEEN: Final = Sight({}, is_complete=False)
