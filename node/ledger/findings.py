"""What checking a data directory found, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MAX_FINDINGS: Final = 100
"""A damaged directory is damaged enough after so many."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `height` where it belongs to a block."""

    code: str
    message: str
    height: int | None = None
    got: object = None
    expected: object = None


@dataclass(slots=True)
class Report:
    """What was checked and found. `headers` counts headers, `commits` commits that were verified, `garbage`
    rows of old states that are no fault and not needed either: pruning has not come to them, or held them for
    a snapshot to be on the safe side. `headers_to_come` counts the newest blocks whose headers are not there
    yet. `base` is the height whose state the ledger began with, `unverified`
    says what could not be checked.
    """

    height: int = 0
    transactions: int = 0
    rows: int = 0
    headers: int = 0
    commits: int = 0
    garbage: int = 0
    headers_to_come: int = 0
    base: int = 0
    unverified: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(
        self, code: str, message: str, height: int | None = None, got: object = None, expected: object = None
    ) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, message, height, got, expected))
