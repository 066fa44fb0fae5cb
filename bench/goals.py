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


REQUIRED_OF_NETWORK_PER_S = {"erc20-batch": 200.0, "document": 40.0}
"""By scenario, of four validators on one machine."""
REQUIRED_OF_NETWORK_MS = {"p50_ms": 150.0, "p99_ms": 400.0}
_NETWORK = "python -m bench network"
_LONG_CHAIN = 100_000


@dataclass(frozen=True, slots=True)
class Fabric:
    """A figure of Hyperledger Fabric 3.1: BFT orderer, four peers, a machine with two cores.

    Not measured here: quoted from the requirements of this project's consortium (issue 4).
    """

    zh: str
    en: str
    figure: str


FABRIC = (
    Fabric("吞吐，多数背书", "throughput, majority-endorsed", "112–160 tx/s"),
    Fabric("延迟 p50 / p99，默认出块间隔", "latency p50 / p99, default interval", "145 / 263 ms"),
    Fabric("延迟 p50 / p99，间隔调至 50 ms", "latency p50 / p99, tuned to 50 ms", "64 / 112 ms"),
    Fabric("每笔磁盘，一对节点", "disk a transaction, a pair of nodes", "6 kB"),
)
FABRIC_PER_S = (112.0, 160.0)
FABRIC_WAITS_MS = (("145 / 263", 145.0, 263.0), ("64 / 112", 64.0, 112.0))
"""The same for drawings."""


def network_goals(networks: Sequence[dict[str, Any]]) -> list[Goal]:
    """What a network of validators must reach, of the reports' entries of such networks together.

    Of restarts the slowest counts, of disks the largest.
    """
    rates = {
        one["scenario"]: one["operations_per_s"] for net in networks for one in net.get("throughput", ())
    }
    waits = [one for net in networks for one in net.get("latency", ())]
    restarts = [one["in_step_s"] for net in networks for one in net.get("restart", ())]
    joins = [
        net["join"]["in_step_s"]
        for net in networks
        if "join" in net and net["join"]["transactions"] >= _LONG_CHAIN
    ]
    disks = [bytes_each(net["growth"])["together"] for net in networks if "growth" in net]
    titles = {
        "erc20-batch": ("ERC-20 转账", "ERC-20 transfers"),
        "document": ("文书签发", "document issues"),
    }
    return [
        *(
            Goal(*titles[name], True, required, rates.get(name), "/s", name, _NETWORK)
            for name, required in REQUIRED_OF_NETWORK_PER_S.items()
        ),
        *(
            Goal(
                f"提交到终局 {name[:3]}，每秒 20 笔", f"submit to final, {name[:3]} at 20 tx/s",
                False, required,
                max((one[name] for one in waits), default=None), "ms",
                "the slowest of three workloads", _NETWORK,
            )
            for name, required in REQUIRED_OF_NETWORK_MS.items()
        ),
        Goal(
            "每笔转账、每节点的磁盘", "disk, an ERC-20 transfer and node", False, 2_000.0,
            max(disks, default=None), "B", "everything the node writes", _NETWORK,
        ),
        Goal(
            "被杀的验证者重新跟上", "a killed validator back in step", False, 5.0,
            max(restarts, default=None), "s", "the slowest; from the start of its process", _NETWORK,
        ),
        Goal(
            "10 万笔后以状态同步加入", "join by state sync at 10⁵ transactions", False, 30.0,
            max(joins, default=None), "s", "from the start of its process", _NETWORK,
        ),
    ]  # fmt: skip


def bytes_each(growth: dict[str, Any]) -> dict[str, float]:
    """Disk of a transfer on one node by part, and `together`: of the node where that is most.

    From the first point on: what a node has before it has blocks does not count.
    """
    first, last = growth["points"][0], growth["points"][-1]
    transfers = last["transfers"] - first["transfers"]
    nodes = [
        {part: (after[part] - before[part]) / transfers for part in after}
        for before, after in zip(first["nodes"], last["nodes"], strict=True)
    ]
    largest = max(nodes, key=lambda node: sum(node.values()))
    return largest | {"together": sum(largest.values())}


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
