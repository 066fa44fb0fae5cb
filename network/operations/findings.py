"""A finding: something that is wrong, and what to do next.

A *fault* wants somebody now; a *warning* wants somebody this week. Every finding has a code of its own
(docs/errors/operations.md), says in both languages what it is, what to do, and where there is one, the
command to run. Faults come first. Which facts give which findings, `network.operations.judgement` decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Level = Literal["fault", "warning"]
FAULT: Final = "fault"
WARNING: Final = "warning"

NOT_READY: Final = frozenset(
    {
        "doctor.engine_stopped",
        "doctor.engine_down",
        "doctor.catching_up",
        "doctor.behind",
        "doctor.no_blocks",
        "doctor.stale",
    }
)
"""What keeps /readyz from saying yes: the node does not make or follow blocks now."""


@dataclass(frozen=True, slots=True)
class Words:
    """The same in Chinese and in English."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`command`: to run or to begin with; empty where there is none."""

    code: str
    level: Level
    what: Words
    todo: Words
    command: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def by_weight(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Faults first, else as they come."""
    return tuple(sorted(findings, key=lambda one: one.level != FAULT))


def not_ready(findings: Iterable[Finding]) -> Finding | None:
    """Why the node is not ready, or None if it is."""
    return next((one for one in findings if one.code in NOT_READY), None)


def stale(age_s: float, why: str) -> Finding:
    """The facts could not be gathered anew: the ledger, or its disk, does not answer."""
    return Finding(
        "doctor.stale",
        FAULT,
        Words(
            f"{age_s:.0f} 秒没有新的数据：{why or '账本没有回答'}",
            f"no new figures for {age_s:.0f} s: {why or 'the ledger does not answer'}",
        ),
        Words(
            "先看磁盘（dmesg、iostat），再看日志；仍无回答就重启节点",
            "look at the disk (dmesg, iostat), then at the log; restart the node if it goes on",
        ),
        "dmesg | tail -50",
    )
