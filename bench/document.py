"""`python -m bench document REPORT.json…`: writes the figures of reports into docs/PERFORMANCE.md.

Each table stands between a pair of markers; what no report measured stays as it is in the document.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.goals import FABRIC, OURS, Goal, goals, network_goals
from bench.network_tables import network_rows, network_title
from bench.report import Stack, disk_bytes_each, joined, load_report, stacks_of, undisturbed
from bench.stages import STAGES
from bench.tables import measured_of, reached_of, required_of

DOCUMENT = Path(__file__).parent.parent / "docs" / "PERFORMANCE.md"

Report = dict[str, Any]
_NETWORK_COMMAND = "python -m bench network"


def main(arguments: list[str], document: Path = DOCUMENT) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench document", description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT.json")
    options = parser.parse_args(arguments)
    try:
        report = joined([load_report(path) for path in options.reports])
        text = updated(document.read_text(encoding="utf-8"), tables(report))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    document.write_text(text, encoding="utf-8")
    return 0


def updated(text: str, tables: dict[str, str]) -> str:
    """The document with each table between its markers; ValueError if a marker is missing."""
    for name, table in tables.items():
        start, end = f"<!-- {name}: written by python -m bench document -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"the document has no place for {name}")
        text = f"{before}{start}\n\n{table}\n\n{end}{after}"
    return text


def tables(report: Report) -> dict[str, str]:
    """Markdown by the name of its place; only of what the report has."""
    results, curves = undisturbed(report["results"]), report["curves"]
    throughput = [one for one in results if one["kind"] == "throughput"]
    latency = [one for one in results if one["kind"] == "latency"]
    profiled = [
        one for one in report["results"] if one["kind"] == "throughput" and one["transport"] == "http"
    ]
    stacks = stacks_of({"results": profiled, "curves": curves})
    networks = report["networks"]
    is_of_network = [run["command"].startswith(_NETWORK_COMMAND) for run in report["runs"]]
    runs = [run for run, of_network in zip(report["runs"], is_of_network, strict=True) if not of_network]
    network_runs = [run for run, of_network in zip(report["runs"], is_of_network, strict=True) if of_network]
    made = {
        "runs": _runs(runs) if runs else "",
        "goals": _goals(goals(results, curves, report["signatures"])) if runs else "",
        "throughput": _throughput(throughput) if throughput else "",
        "latency": _latency(latency) if latency else "",
        "scale": "\n\n".join(_curve(curve) for curve in curves if curve["points"]),
        "stages": _stages(stacks),
        "caliper": _caliper(report["caliper"]) if report["caliper"] else "",
        "network runs": _runs(network_runs) if network_runs else "",
        "network goals": _goals(network_goals(networks)) if networks else "",
        "network": "\n\n".join(map(_network, networks)),
        "network stages": _stages(stacks_of({"results": [], "curves": [], "networks": networks})),
        "fabric": _fabric() if networks else "",
    }
    return {name: table for name, table in made.items() if table}


def _network(entry: dict[str, Any]) -> str:
    zh, en = network_title(entry)
    parts = [f"**{zh}** {en}"]
    for rows in network_rows(entry):
        parts.append(f"*{rows.zh}* {rows.en}:\n\n{_table(rows.headings, rows.rows, rows.left)}")
    return "\n\n".join(parts)


def _fabric() -> str:
    return _table(
        ("Hyperledger Fabric 3.1", "figure"), [[f"{one.zh} {one.en}", one.figure] for one in FABRIC]
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The first `left` columns to the left, numbers to the right."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows))


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{run['command']}`",
            run["made_at"][:16].replace("T", " "),
            f"`{run['machine']['commit']}`",
            f"{run['machine']['cpu']} × {run['machine']['cores']}, {run['machine']['memory_gib']} GiB",
            run["machine"]["python"],
            " ".join(map(str, run["machine"]["load_average"])),
        ]
        for run in runs
    ]
    headings = ("command", "when (UTC)", "commit", "machine", "Python", "load average at the start")
    return _table(headings, rows, left=len(headings))


def _goals(lines: Sequence[Goal]) -> str:
    rows = [
        [f"{goal.zh} {goal.en}", required_of(goal), f"**{measured_of(goal)}**", reached_of(goal)]
        for goal in lines
    ]
    return _table(("应达到 must reach", "required", "measured", "reached"), rows)


def _throughput(results: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{one['scenario']}`",
            f"{one['target']} {one['transport']}",
            f"**{one['operations_per_s']:,.0f}** /s"
            if one["target"] == OURS
            else f"{one['operations_per_s']:,.0f} /s",
            f"{one['transactions']:,}",
            f"{one['blocks']:,}",
            str(one["failed"] + one["refused"]),
            _cpu_ms(one),
            _percent(one["node_share"]),
            _percent(one["generator_share"]),
        ]
        for one in results
    ]
    return _table(
        ("scenario", "chain", "operations", "tx", "blocks", "failed", "node CPU ms/tx", "node", "generator"),
        rows,
        left=2,
    )


def _latency(results: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{one['scenario']}`",
            f"{one['target']} {one['transport']}",
            *(f"{one[name]:.1f}" for name in ("p50_ms", "p95_ms")),
            f"**{one['p99_ms']:.1f}**" if one["target"] == OURS else f"{one['p99_ms']:.1f}",
            f"{one['max_ms']:.1f}",
            str(one["failed"]),
            _cpu_ms(one),
            _percent(one["generator_share"]),
        ]
        for one in results
    ]
    return _table(
        ("scenario", "chain", "p50 ms", "p95", "p99", "max", "failed", "node CPU ms/tx", "generator"),
        rows,
        left=2,
    )


def _curve(curve: dict[str, Any]) -> str:
    rows = [
        [
            *(f"{point[name]:,}" for name in ("size", "transactions", "height")),
            f"{point['per_s']:,.0f}",
            f"{point['cpu_ms']:.2f}",
            " / ".join(f"{point[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
            " / ".join(
                f"{point[name] / 1e6:,.0f}" for name in ("rss_bytes", "rss_anonymous_bytes", "rss_peak_bytes")
            ),
            f"{point['disk_bytes'] / 1e6:,.1f}",
            f"{disk_bytes_each(curve, point):,.0f}",
            f"{point['log_bytes'] / 1e6:,.1f}",
            " ".join(f"{seconds:.2f}" for seconds in point["reopen_s"]),
            f"{max(point['open_s']):.2f}",
        ]
        for point in curve["points"]
    ]
    headings = (
        "size", "tx", "height", "transfers/s", "node CPU ms/tx", "p50 / p95 / p99 ms",
        "RSS / anonymous / peak MB", "disk MB", "disk B each", "log MB", "reopen s", "of it the ledger",
    )  # fmt: skip
    whole = "" if len(curve["points"]) == len(curve["wanted"]) else " (incomplete)"
    title = f"**{curve['title']['zh']} {curve['title']['en']}**{whole}, {curve['each']} a transaction:"
    return f"{title}\n\n{_table(headings, rows, left=0)}"


def _stages(stacks: Sequence[Stack]) -> str:
    if not stacks:
        return ""
    rows = [
        [f"{zh} {stage}", *(f"{stack.cpu_us.get(stage, 0.0):,.0f}" for stack in stacks)]
        for stage, (zh, _) in STAGES.items()
        if any(stack.cpu_us.get(stage) for stack in stacks)
    ]
    rows.append(["**together**", *(f"**{stack.whole_us:,.0f}**" for stack in stacks)])
    return _table(("CPU µs", *(stack.en for stack in stacks)), rows)


def _caliper(rounds: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            one["name"],
            str(one["workers"]),
            *(_figure(one[name]) for name in ("succeeded", "failed", "send_per_s", "per_s")),
            " / ".join(_figure(one[name]) for name in ("min_s", "average_s", "max_s")),
            f"{one['client_ms']:.1f}",
            f"{one['node_ms']:.1f}",
        ]
        for one in rounds
    ]
    return _table(
        (
            "round", "workers", "succeeded", "failed", "sent /s", "throughput /s", "min / avg / max s",
            "Caliper CPU ms/tx", "node CPU ms/tx",
        ),
        rows,
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,g}"


def _cpu_ms(one: dict[str, Any]) -> str:
    return "" if one["cpu_s"] is None else f"{1000 * one['cpu_s'] / one['transactions']:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
