"""The report of a run: JSON for programs, one HTML file and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.table import Table

from bench.load import Latency, Throughput
from bench.scenarios import Measured
from bench.stages import STAGES

FORMAT = "shelian-bench/1"


def as_document(measured: Sequence[Measured], facts: dict[str, Any], made_at: str) -> dict[str, Any]:
    """Everything that was measured, JSON-safe. Rates per second, times in the unit their name ends with."""
    return {
        "format": FORMAT,
        "made_at": made_at,
        "machine": facts,
        "results": [
            {
                "scenario": one.scenario.name,
                "title": {"zh": one.scenario.zh, "en": one.scenario.en},
                "target": one.target,
                "kind": "latency" if isinstance(one.figures, Latency) else "throughput",
                **asdict(one.figures),
                "operations": one.operations,
                "operations_per_s": one.operations_per_s,
                "cpu_s": one.cpu_s,
                "stages": one.stages,
            }
            for one in measured
        ],
    }


def throughput_table(measured: Sequence[Measured]) -> Table:
    table = Table(title="吞吐 throughput (included a second)", title_justify="left")
    for heading in ("", "", "tx/s", "ops/s", "tx", "blocks", "failed", "node CPU ms/tx"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in measured:
        figures = one.figures
        if isinstance(figures, Throughput):
            table.add_row(
                f"{one.scenario.zh} {one.scenario.en}",
                one.target,
                f"{figures.per_s:,.0f}",
                f"{one.operations_per_s:,.0f}",
                f"{figures.transactions:,}",
                f"{figures.blocks:,}",
                str(figures.failed + figures.refused),
                _cpu_per_transaction(one),
            )
    return table


def latency_table(measured: Sequence[Measured]) -> Table:
    table = Table(title="延迟 latency, submit to receipt (ms)", title_justify="left")
    for heading in ("", "", "tx/s", "p50", "p95", "p99", "max", "failed", "node CPU ms/tx"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in measured:
        figures = one.figures
        if isinstance(figures, Latency):
            table.add_row(
                f"{one.scenario.zh} {one.scenario.en}",
                one.target,
                f"{figures.rate_per_s:.0f}",
                *(f"{ms:.1f}" for ms in (figures.p50_ms, figures.p95_ms, figures.p99_ms, figures.max_ms)),
                str(figures.failed),
                _cpu_per_transaction(one),
            )
    return table


def stage_table(one: Measured) -> Table:
    """µs of CPU (and of wall time) a transaction, by stage."""
    table = Table(title=f"{one.scenario.zh} {one.scenario.en}: µs/tx", title_justify="left")
    for heading in ("阶段 stage", "CPU", "wall", "%", ""):
        table.add_column(heading, justify="right" if heading in ("CPU", "wall", "%") else "left")
    whole = sum(spent["cpu"] for spent in one.stages.values()) or 1.0
    count = one.figures.transactions
    for stage, (zh, what) in STAGES.items():
        spent = one.stages.get(stage)
        if spent is not None:
            cpu, wall = (spent[clock] * 1e6 / count for clock in ("cpu", "wall"))
            table.add_row(
                f"{zh} {stage}", f"{cpu:,.0f}", f"{wall:,.0f}", f"{100 * spent['cpu'] / whole:.1f}", what
            )
    return table


def as_html(document: dict[str, Any]) -> str:
    """One page that needs nothing else: no script, no font, no address of another machine."""
    environment = Environment(
        loader=PackageLoader("bench", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    results = document["results"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["scenario"], []).append(result)
    return environment.get_template("report.html").render(
        document=document, groups=list(groups.values()), stage_names=STAGES
    )


def _cpu_per_transaction(one: Measured) -> str:
    return "" if one.cpu_s is None else f"{one.cpu_s * 1000 / one.figures.transactions:.2f}"
