"""What lies where below a data directory, and which kind of directory it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.system import SystemFault

VALIDATOR_KEY = "validator.key.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """What lies where below a data directory."""

    data: Path

    @property
    def genesis(self) -> Path:
        return self.data / "genesis.json"

    @property
    def marker(self) -> Path:
        return self.data / ".unfinished"

    @property
    def node(self) -> Path:
        return self.data / "node"

    @property
    def ledger(self) -> Path:
        return self.node / "ledger"

    @property
    def comet(self) -> Path:
        return self.node / "comet"

    @property
    def validator_key(self) -> Path:
        return self.node / VALIDATOR_KEY

    @property
    def members(self) -> Path:
        """Of `shelian consortium up`: a directory for each agency that has a node."""
        return self.data / "members"

    @property
    def demo(self) -> Path:
        return self.data / "demo"

    @property
    def identity(self) -> Path:
        return self.data / "identity"

    @property
    def points(self) -> Path:
        return self.data / "points"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def correction(self, agency: str) -> Path:
        return self.data / "correction" / agency


def require_one_node(layout: Layout) -> None:
    """Raises SystemFault `system.other_kind` for a directory of `shelian consortium up`."""
    if layout.members.exists():
        raise SystemFault(
            "system.other_kind",
            "this directory is a consortium's, one node an agency; start it with shelian consortium up",
            layout.members,
            "a directory of shelian up, or an empty one",
        )


def require_members(layout: Layout) -> None:
    """Raises SystemFault `system.other_kind` for a directory of `shelian up`."""
    if layout.node.exists():
        raise SystemFault(
            "system.other_kind",
            "this directory has one node for everybody; start it with shelian up",
            layout.node,
            "a directory of shelian consortium up, or an empty one",
        )
