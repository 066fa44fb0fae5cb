"""A run's figures for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from bench.goals import Goal
from bench.network_tables import Rows, plain
from bench.report import disk_bytes_each
from bench.stages import STAGES

Result = dict[str, Any]

_CALIPER_FIGURES = ("succeeded", "failed", "send_per_s", "per_s")
_CALIPER_SECONDS = ("min_s", "average_s", "max_s")


def throughput_table(results: Sequence[Result]) -> Table:
    table = Table(title="吞吐 throughput (included a second)", title_justify="left")
    for heading in ("", "", "ops/s", "tx/s", "tx", "blocks", "failed", "node CPU ms/tx", "generator CPU"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in results:
        if one["kind"] == "throughput":
            succeeded = one["transactions"] - one["failed"] - one["refused"]
            table.add_row(
                f"{one['title']['zh']} {one['title']['en']}",
                f"{one['target']} {one['transport']}",
                f"{one['operations_per_s']:,.0f}",
                f"{succeeded / one['seconds']:,.0f}",
                f"{one['transactions']:,}",
                f"{one['blocks']:,}",
                str(one["failed"] + one["refused"]),
                _cpu_per_transaction(one),
                f"{one['generator_share']:.0%}",
            )
    return table


def latency_table(results: Sequence[Result]) -> Table:
    table = Table(title="延迟 latency, submit to receipt (ms)", title_justify="left")
    for heading in ("", "", "tx/s", "p50", "p95", "p99", "max", "failed", "node CPU ms/tx", "generator CPU"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in results:
        if one["kind"] == "latency":
            table.add_row(
                f"{one['title']['zh']} {one['title']['en']}",
                f"{one['target']} {one['transport']}",
                f"{one['rate_per_s']:.0f}",
                *(f"{one[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")),
                str(one["failed"]),
                _cpu_per_transaction(one),
                f"{one['generator_share']:.0%}",
            )
    return table


def stage_table(one: Result) -> Table:
    """µs of CPU (and of wall time) a transaction, by stage."""
    title = f"{one['title']['zh']} {one['title']['en']}, {one['transport']}: µs/tx"
    table = Table(title=title, title_justify="left")
    for heading in ("阶段 stage", "CPU", "wall", "%", ""):
        table.add_column(heading, justify="right" if heading in ("CPU", "wall", "%") else "left")
    whole = sum(spent["cpu"] for spent in one["stages"].values()) or 1.0
    for stage, (zh, what) in STAGES.items():
        spent = one["stages"].get(stage)
        if spent is not None:
            cpu, wall = (spent[clock] * 1e6 / one["transactions"] for clock in ("cpu", "wall"))
            table.add_row(
                f"{zh} {stage}", f"{cpu:,.0f}", f"{wall:,.0f}", f"{100 * spent['cpu'] / whole:.1f}", what
            )
    return table


def curve_table(curve: dict[str, Any]) -> Table:
    title = f"规模 scale: {curve['title']['zh']} {curve['title']['en']}"
    table = Table(title=title, title_justify="left")
    for heading in (
        "size", "tx", "height", "tx/s", "CPU ms/tx", "p50 ms", "p99 ms", "RSS MB", "anonymous", "peak",
        "disk MB", "B each", "log MB", "reopen s",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for point in curve["points"]:
        table.add_row(
            *(f"{point[name]:,}" for name in ("size", "transactions", "height")),
            f"{point['per_s']:,.0f}",
            f"{point['cpu_ms']:.2f}",
            f"{point['p50_ms']:.1f}",
            f"{point['p99_ms']:.1f}",
            *(f"{point[name] / 1e6:,.0f}" for name in ("rss_bytes", "rss_anonymous_bytes", "rss_peak_bytes")),
            f"{point['disk_bytes'] / 1e6:,.1f}",
            f"{disk_bytes_each(curve, point):,.0f}",
            f"{point['log_bytes'] / 1e6:,.1f}",
            " ".join(f"{seconds:.2f}" for seconds in point["reopen_s"]),
        )
    return table


def caliper_table(rounds: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Caliper, Ethereum connector over WebSocket", title_justify="left")
    for heading in (
        "",
        "workers",
        "succeeded",
        "failed",
        "sent /s",
        "throughput /s",
        "min / avg / max s",
        "Caliper CPU ms/tx",
        "node CPU ms/tx",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in rounds:
        table.add_row(
            one["name"],
            str(one["workers"]),
            *("–" if one[name] is None else f"{one[name]:,g}" for name in _CALIPER_FIGURES),
            " / ".join("–" if one[name] is None else f"{one[name]:.2f}" for name in _CALIPER_SECONDS),
            f"{one['client_ms']:.2f}",
            f"{one['node_ms']:.2f}",
        )
    return table


def rows_table(rows: Rows) -> Table:
    table = Table(title=f"{rows.zh} {rows.en}", title_justify="left")
    for number, heading in enumerate(rows.headings):
        table.add_column(heading, justify="left" if number < rows.left else "right")
    for row in plain(rows.rows):
        table.add_row(*row)
    return table


def goal_table(goals: Sequence[Goal], what: str = "") -> Table:
    title = f"应达到 must reach{what} (reported, not pass or fail)"
    table = Table(title=title, title_justify="left")
    for heading in ("", "required", "measured", "reached"):
        table.add_column(heading, justify="left" if not heading else "right")
    for goal in goals:
        table.add_row(f"{goal.zh} {goal.en}", required_of(goal), measured_of(goal), reached_of(goal))
    return table


def required_of(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {goal.required:,g} {goal.unit}"


def measured_of(goal: Goal) -> str:
    return "–" if goal.measured is None else f"{goal.measured:,.4g} {goal.unit}"


def reached_of(goal: Goal) -> str:
    return {None: "未测 not measured", True: "是 yes", False: "否 no"}[goal.reached]


def _cpu_per_transaction(one: Result) -> str:
    return "" if one["cpu_s"] is None else f"{one['cpu_s'] * 1000 / one['transactions']:.2f}"
