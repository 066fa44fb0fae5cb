"""Reports: JSON for programs, and one HTML page that needs nothing else.

A report has what one command measured; a page may be made of several of them, of the same code on the same
machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.charts import Line, line_chart
from bench.goals import (
    FABRIC,
    FABRIC_PER_S,
    FABRIC_WAITS_MS,
    OURS,
    REQUIRED_OF_NETWORK_MS,
    REQUIRED_OF_NETWORK_PER_S,
    REQUIRED_P99_MS,
    REQUIRED_PER_S,
    Goal,
    goals,
    network_goals,
)
from bench.load import Latency
from bench.network_tables import network_rows, network_title, plain
from bench.scenarios import Measured
from bench.stages import COMET, STAGES, Spent

FORMAT = "shelian-bench/2"
_SECTIONS = ("results", "curves", "caliper", "signatures", "networks")


def new_report(command: str, facts: dict[str, Any]) -> dict[str, Any]:
    """An empty report, JSON-safe: sections are lists, `runs` what it was made by, when and on what."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "format": FORMAT,
        "runs": [{"made_at": made_at, "command": command, "machine": facts}],
        **{section: [] for section in _SECTIONS},
    }


def result_of(one: Measured) -> dict[str, Any]:
    """An entry of `results`. Rates per second, times in the unit their name ends with, shares of one core."""
    figures = one.figures
    return {
        "scenario": one.scenario.name,
        "title": {"zh": one.scenario.zh, "en": one.scenario.en},
        "target": one.target,
        "transport": one.transport,
        "kind": "latency" if isinstance(figures, Latency) else "throughput",
        **asdict(figures),
        "operations": one.operations,
        "operations_per_s": one.operations_per_s,
        "cpu_s": one.cpu_s,
        "node_share": None if one.cpu_s is None else one.cpu_s / figures.seconds,
        "generator_share": figures.generator_cpu_s / figures.seconds,
        "stages": one.stages,
    }


def load_report(path: Path) -> dict[str, Any]:
    """Raises ValueError for a file that is no report of this format."""
    report: dict[str, Any] = json.loads(path.read_text())
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ValueError(f"{path.name} is no report of format {FORMAT}")
    return {section: [] for section in _SECTIONS} | report  # older ones lack what was not measured yet


def joined(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One report of several, in their order."""
    return {
        "format": FORMAT,
        **{
            section: [entry for report in reports for entry in report[section]]
            for section in ("runs", *_SECTIONS)
        },
    }


def undisturbed(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those measured with the stages' clocks where there is a result of the same thing without."""

    def key(one: dict[str, Any]) -> tuple[str, str, str]:
        return one["scenario"], one["target"], one["transport"]

    plain = {key(one) for one in results if not one["stages"]}
    return [one for one in results if not one["stages"] or key(one) not in plain]


def save_report(report: dict[str, Any], path: Path) -> None:
    """As `path` and, beside it, as a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, ensure_ascii=False, indent=1))
    path.with_suffix(".html").write_text(as_html(report))


def as_html(report: dict[str, Any]) -> str:
    """One page that needs nothing else: no script, no font, no address of another machine."""
    environment = Environment(
        loader=PackageLoader("bench", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    results = undisturbed(report["results"])
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["scenario"], []).append(result)
    return environment.get_template("report.html").render(
        report=report,
        ours=OURS,
        disk_bytes_each=disk_bytes_each,
        goals=_goals(report, results),
        networks=[(network_title(entry), network_rows(entry), entry) for entry in report["networks"]],
        plain=plain,
        fabric=FABRIC,
        fabric_per_s=FABRIC_PER_S,
        fabric_waits_ms=FABRIC_WAITS_MS,
        network_per_s=REQUIRED_OF_NETWORK_PER_S,
        network_ms=REQUIRED_OF_NETWORK_MS,
        throughput=[group for group in groups.values() if group[0]["kind"] == "throughput"],
        latency=[group for group in groups.values() if group[0]["kind"] == "latency"],
        required_per_s=REQUIRED_PER_S,
        required_p99_ms=REQUIRED_P99_MS,
        stage_names=STAGES,
        stage_colours={stage: number for number, stage in enumerate(STAGES)},
        stacks=stacks_of(report),
        charts=_charts(report["curves"]),
    )


def _goals(report: dict[str, Any], results: Sequence[dict[str, Any]]) -> list[Goal]:
    """Of one node and of a network, as far as the report is about them."""
    is_of_one = not report["networks"] or any(
        report[section] for section in _SECTIONS if section != "networks"
    )
    of_one = goals(results, report["curves"], report["signatures"]) if is_of_one else []
    return of_one + (network_goals(report["networks"]) if report["networks"] else [])


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the time of one operation went: CPU and wall µs by stage; `width` is its share of the row."""

    zh: str
    en: str
    cpu_us: dict[str, float]
    wall_us: dict[str, float]
    width: float = 1.0

    @property
    def whole_us(self) -> float:
        return sum(self.cpu_us.values())


def stacks_of(report: dict[str, Any]) -> list[Stack]:
    """Each scenario's alone; those of one curve to one scale, so that growth is seen."""
    stacks = []
    for one in report["results"]:
        if one["stages"]:
            en = f"{one['title']['en']}, {one['transport']}"
            stacks.append(_stack(one["title"]["zh"], en, one["stages"], one["operations"]))
    for curve in report["curves"]:
        grown = [
            _stack(
                f"ERC-20 转账，{point['size']:,} 个{curve['title']['zh']}",
                f"ERC-20 transfers at {point['size']:,} {curve['title']['en']}",
                point["stages"],
                point["stage_transfers"],
            )
            for point in curve["points"]
            if point["stages"]
        ]
        widest = max((stack.whole_us for stack in grown), default=1.0)
        stacks += [replace(stack, width=stack.whole_us / widest) for stack in grown]
    for entry in report.get("networks", ()):
        for one in entry.get("stages", ()):
            title, operations = one["title"], one["operations"] * entry["validators"]
            zh, en = (
                f"{title['zh']}，{entry['validators']} 个节点之一",
                f"{title['en']}, one node of {entry['validators']}",
            )
            stacks.append(with_comet(_stack(zh, en, one["stages"], operations), one, operations))
    return stacks


def with_comet(stack: Stack, one: dict[str, Any], operations: int) -> Stack:
    """The stages of a node and, as one more, the CPU time of its CometBFT."""
    comet_us = one["cpu"]["comet_s"] * 1e6 / operations
    return replace(stack, cpu_us=stack.cpu_us | {COMET: comet_us}, wall_us=stack.wall_us | {COMET: comet_us})


def _stack(zh: str, en: str, stages: Spent, operations: int) -> Stack:
    def by_stage(clock: str) -> dict[str, float]:
        return {
            stage: max(0.0, stages[stage][clock]) * 1e6 / operations for stage in STAGES if stage in stages
        }

    return Stack(zh, en, by_stage("cpu"), by_stage("wall"))


def disk_bytes_each(curve: dict[str, Any], point: dict[str, Any]) -> float:
    """Disk since genesis by what there is more of: transactions, or what grew."""
    grown: float = point["disk_bytes"] - curve["empty_disk_bytes"]
    each: float = grown / max(point["size"], point["transactions"])
    return each


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its words; `names` of its lines, by colour."""

    zh: str
    en: str
    unit: str
    svg: Markup
    names: tuple[tuple[int, str], ...]


def _charts(curves: Sequence[dict[str, Any]]) -> list[Chart]:
    """Of all curves together, a line each; x is the size."""
    drawn = [curve for curve in curves if curve["points"]]
    if not drawn:
        return []

    def chart(
        zh: str,
        en: str,
        unit: str,
        of: dict[str, Any],
        limit: float | None = None,
        log_y: bool = False,
    ) -> Chart:
        lines: list[Line] = []
        for curve in drawn:
            for name, value in of.items():
                points = [(max(1, point["size"]), value(curve, point)) for point in curve["points"]]
                label = f"{curve['title']['zh']} {curve['title']['en']} {name}".strip()
                lines.append(Line(label, len(lines), points))
        names = tuple((line.colour, line.name) for line in lines)
        return Chart(zh, en, unit, line_chart(lines, unit, limit=limit, log_y=log_y), names)

    return [
        chart("吞吐", "throughput of the probe", "tx/s", {"": lambda _, p: p["per_s"]}),
        chart("每笔 CPU", "node's CPU a transaction", "ms", {"": lambda _, p: p["cpu_ms"]}),
        chart(
            "延迟", "submit to receipt at 20 tx/s", "ms",
            {"p50": lambda _, p: p["p50_ms"], "p99": lambda _, p: p["p99_ms"]}, REQUIRED_P99_MS,
        ),
        chart(
            "内存", "memory", "MB",
            {"峰值 peak": lambda _, p: p["rss_peak_bytes"] / 1e6,
             "匿名 anonymous": lambda _, p: p["rss_anonymous_bytes"] / 1e6}, 600.0,
        ),
        chart(
            "磁盘", "disk", "MB", {"": lambda _, p: p["disk_bytes"] / 1e6}, log_y=True,
        ),
        chart(
            "每项磁盘字节", "disk bytes for each transaction or what else grew", "B",
            {"": disk_bytes_each},
        ),
        chart(
            "重开", "reopen, process start to first answer", "s",
            {"": lambda _, p: max(p["reopen_s"])}, 3.0,
        ),
        chart(
            "待重放日志", "LevelDB log replayed at reopen", "MB",
            {"": lambda _, p: p["log_bytes"] / 1e6},
        ),
    ]  # fmt: skip
