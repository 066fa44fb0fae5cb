"""What the node must reach, and whether a report shows that it does. Nothing passes or fails by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
Curve = dict[str, Any]

OURS = "shelian"
_MILLION = 1_000_000
_ES256 = 3


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table.

    `required` and `measured` in `unit`; `measured` is None where the reports say nothing about it. `where`
    tells which measure it is, and `command` what measures it.
    """

    zh: str
    en: str
    at_least: bool
    required: float
    measured: float | None
    unit: str
    where: str
    command: str

    @property
    def reached(self) -> bool | None:
        """None when it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.required if self.at_least else self.measured <= self.required


REQUIRED_PER_S = {"erc20-batch": 800.0, "document": 150.0, "order": 150.0}
"""By scenario, operations included with success a second."""
REQUIRED_P99_MS = 200.0
_RATE_SCENARIOS = ("erc20-latency", "document-latency", "order-latency")


def goals(
    results: Sequence[Result], curves: Sequence[Curve], signatures: Sequence[dict[str, Any]]
) -> list[Goal]:
    """Computed from the reports' results, scale curves and signature costs, over HTTP, one node."""
    ours = [one for one in results if one["target"] == OURS and one["transport"] == "http"]
    rates = {one["scenario"]: one["operations_per_s"] for one in ours if one["kind"] == "throughput"}
    waits = [one["p99_ms"] for one in ours if one["scenario"] in _RATE_SCENARIOS]
    points = [point for curve in curves for point in curve["points"]]
    long = [point for point in points if point["transactions"] >= _MILLION]
    large = [point for point in points if max(point["size"], point["transactions"]) >= _MILLION]
    scale, bench = "python -m bench scale", "python -m bench"
    titles = {
        "erc20-batch": ("ERC-20 转账", "ERC-20 transfers"),
        "document": ("文书签发", "document issues"),
        "order": ("订单步骤", "order steps"),
    }
    return [
        *(
            Goal(*titles[name], True, required, rates.get(name), "/s", name, bench)
            for name, required in REQUIRED_PER_S.items()
        ),
        Goal(
            "提交到回执 p99，每秒 20 笔", "submit to receipt, p99 at 20 tx/s", False, REQUIRED_P99_MS,
            max(waits, default=None), "ms", "the slowest of the latency scenarios", bench,
        ),
        Goal(
            "百万笔交易后重开", "reopen at 10⁶ transactions", False, 3.0,
            _worst(long, lambda point: max(point["reopen_s"])), "s",
            "from the start of the process to its first answer", scale,
        ),
        Goal(
            "内存，百万规模", "memory at a size of 10⁶", False, 600.0,
            _worst(large, lambda point: point["rss_peak_bytes"] / 1e6), "MB",
            _anonymous(large), scale,
        ),
        Goal(
            "10⁶ 与 10³ 时每笔用时之比", "time per transaction at 10⁶ against 10³", False, 1.5,
            max(filter(None, map(slowdown, curves)), default=None), "×",
            "the fixed probe, the worst of the curves", scale,
        ),
        Goal(
            "ES256 验签", "ES256 verification in the node", False, 100.0,
            next((one["microseconds"] for one in signatures if one["scheme"] == _ES256), None), "µs",
            "CPU time", bench,
        ),
    ]  # fmt: skip


def _anonymous(points: Sequence[Any]) -> str:
    worst = _worst(points, lambda point: point["rss_anonymous_bytes"] / 1e6)
    return "peak resident" if worst is None else f"peak resident; anonymous {worst:,.0f} MB"


def slowdown(curve: Curve) -> float | None:
    """Time per transfer of the probe at 10⁶ against that at 10³; None of a curve that did not get there."""
    points = curve["points"]
    if not points or points[-1]["size"] < _MILLION:
        return None
    ratio: float = points[0]["per_s"] / points[-1]["per_s"]
    return ratio


def _worst(items: Sequence[Any], of: Callable[[Any], float]) -> float | None:
    return max(map(of, items), default=None)
