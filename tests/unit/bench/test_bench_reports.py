"""What a report computes, shows and writes into the document."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.charts import Line, line_chart, short
from bench.document import DOCUMENT, main, tables, updated
from bench.goals import goals, slowdown
from bench.load import Latency, Throughput
from bench.output import command_line
from bench.report import (
    as_html,
    joined,
    load_report,
    new_report,
    result_of,
    save_report,
    stacks_of,
    undisturbed,
)
from bench.scale import sizes_up_to
from bench.scenarios import SCENARIOS, Measured
from bench.stages import OF_NETWORKS, STAGES, spent_between
from bench.targets import Memory, decode_memory

FACTS = {
    "cores": 2, "cpu": "<cpu>", "memory_gib": 4.0, "kernel": "6", "python": "3.11",
    "packages": {"py-evm": "1"}, "commit": "abc", "load_average": [0.1, 0.2, 0.3],
}  # fmt: skip
SPENT = {stage: {"cpu": 0.001, "wall": 0.002} for stage in STAGES if stage not in OF_NETWORKS}
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def throughput(
    name: str, target: str = "shelian", transport: str = "http", count: int = 10
) -> dict[str, Any]:
    """`count` transactions, of which one failed and one was refused, in 2 s; half a second of both CPUs."""
    scenario = BY_NAME[name]
    figures = Throughput(count, 1, 2.0, 1.0, 1, 1, 3, 0.5)
    return result_of(Measured(scenario, target, transport, figures, count * scenario.each, 0.5, SPENT))


def latency(name: str, p99_ms: float, transport: str = "http") -> dict[str, Any]:
    figures = Latency(300, 20.0, 10.0, 20.0, p99_ms, 400.0, 0, 15.0, 1.5)
    return result_of(Measured(BY_NAME[name], "shelian", transport, figures, 300, 0.5, {}))


def point(size: int, transactions: int, per_s: float, reopen_s: float = 1.0) -> dict[str, Any]:
    return {
        "size": size, "transactions": transactions, "height": 9, "grown_per_s": 900.0, "settle_s": 1.0,
        "per_s": per_s, "cpu_ms": 0.5, "generator_share": 0.2, "p50_ms": 8.0, "p95_ms": 9.0, "p99_ms": 10.0,
        "failed": 0, "rss_bytes": 2_000_000, "rss_anonymous_bytes": 1_000_000,
        "rss_peak_bytes": 3_000_000, "disk_bytes": 1_000 + 500 * transactions,
        "log_bytes": 10, "stop_s": 0.1, "reopen_s": [0.5, reopen_s],
        "open_s": [0.1, 0.2], "reopened_rss_bytes": 1, "stage_transfers": 100, "stages": copy.deepcopy(SPENT),
    }  # fmt: skip


def curve(*points: dict[str, Any]) -> dict[str, Any]:
    return {
        "grow": "holders", "title": {"zh": "持有人", "en": "token holders"}, "each": 1, "probe": {},
        "wanted": [1_000, 1_000_000], "empty_disk_bytes": 1_000, "points": list(points),
    }  # fmt: skip


MILLION = curve(point(1_000, 4_200, 900.0), point(1_000_000, 1_003_200, 750.0, reopen_s=2.5))
CALIPER = {
    "name": "transfers", "workers": 2, "succeeded": 60.0, "failed": 0.0, "send_per_s": 99.5, "per_s": 98.0,
    "min_s": 0.01, "average_s": 0.02, "max_s": None, "client_ms": 4.0, "node_ms": 0.7,
}  # fmt: skip
SIGNATURE = {
    "scheme": 3, "name": "es256", "key_bytes": 64, "signature_bytes": 64, "envelope_bytes": 300,
    "microseconds": 93.5, "gas": 10_000, "price": 10_000,
}  # fmt: skip


def whole_report() -> dict[str, Any]:
    report = new_report("python -m bench", FACTS)
    report["results"] = [
        throughput("erc20-batch", count=4_000),
        throughput("erc20-batch", "<anvil & friends>", count=9_000),
        throughput("document-20"),
        latency("erc20-latency", 30.0),
    ]
    report["curves"] = [MILLION]
    report["caliper"] = [CALIPER]
    report["signatures"] = [SIGNATURE]
    return report


def test_only_what_was_included_with_success_counts() -> None:
    ours = throughput("document-20")
    assert ours["operations_per_s"] == pytest.approx(80.0)  # 8 of 10 transactions of 20 documents, in 2 s
    assert latency("erc20-latency", 30.0)["operations_per_s"] is None


def test_shares_are_of_one_core() -> None:
    ours = throughput("document")
    assert ours["generator_share"] == ours["node_share"] == pytest.approx(0.25)
    assert latency("erc20-latency", 30.0)["generator_share"] == pytest.approx(0.1)


def test_goals_are_computed_from_our_own_figures_over_http() -> None:
    results = [
        throughput("erc20-batch", "anvil", count=9_000),
        throughput("erc20-batch", transport="ws", count=9_000),
        throughput("erc20-batch", count=1_000),
        latency("erc20-latency", 30.0),
        latency("order-latency", 250.0),
        latency("document-latency", 900.0, transport="ws"),
    ]
    found = {goal.en: goal for goal in goals(results, [], [])}
    transfers, waiting = found["ERC-20 transfers"], found["submit to receipt, p99 at 20 tx/s"]
    assert transfers.measured == pytest.approx(499.0)
    assert transfers.reached is False
    assert (waiting.measured, waiting.reached) == (250.0, False)
    assert found["order steps"].measured is None
    assert found["order steps"].reached is None


def test_goals_of_scale_need_a_million() -> None:
    small = {goal.en: goal.measured for goal in goals([], [curve(point(1_000, 4_200, 900.0))], [])}
    assert set(small.values()) == {None}
    found = {goal.en: goal for goal in goals([], [MILLION], [SIGNATURE])}
    assert found["reopen at 10⁶ transactions"].measured == 2.5
    assert found["memory at a size of 10⁶"].measured == 3.0
    assert found["time per transaction at 10⁶ against 10³"].measured == pytest.approx(1.2)
    assert found["ES256 verification in the node"].measured == 93.5
    assert all(found[name].reached for name in found if found[name].measured is not None)


def test_the_ratio_is_of_time_so_a_slower_node_is_above_one() -> None:
    assert slowdown(MILLION) == pytest.approx(900 / 750)
    assert slowdown(curve()) is None


def test_a_goal_is_reached_at_its_very_bound() -> None:
    goal = next(one for one in goals([], [MILLION], []) if one.en.startswith("reopen"))
    assert replace(goal, measured=goal.required).reached
    assert not replace(goal, measured=goal.required + 0.001).reached


def test_the_page_stands_alone_and_escapes_what_it_shows() -> None:
    page = as_html(json.loads(json.dumps(whole_report())))
    for outside in ("http:", "https:", "<script", "<link", "@import", "url(", "src="):
        assert outside not in page
    assert "&lt;anvil &amp; friends&gt;" in page
    assert "<cpu>" not in page
    for words in (
        "应达到",
        "吞吐",
        "延迟",
        "规模",
        "时间去哪儿了",
        "Caliper",
        "验签",
        "prefers-color-scheme: dark",
    ):
        assert words in page
    for name in ("erc20-batch", "document-20", "erc20-latency"):
        assert BY_NAME[name].zh in page
        assert BY_NAME[name].en in page


@pytest.mark.parametrize("section", ["results", "curves", "caliper", "signatures"])
def test_a_page_of_one_section_leaves_the_others_out(section: str) -> None:
    report = new_report("python -m bench", FACTS) | {section: whole_report()[section]}
    assert "应达到" in as_html(report)
    shown = {
        "results": "吞吐 <small",
        "curves": "规模 <small",
        "caliper": "Caliper <small",
        "signatures": "验签 <small",
    }
    page = as_html(report)
    assert {name for name, heading in shown.items() if f"<h2>{heading}" in page} == {section}


def test_a_curve_without_points_has_no_charts() -> None:
    assert "<svg" not in as_html(new_report("python -m bench scale", FACTS) | {"curves": [curve()]})


def test_stages_of_a_curve_are_drawn_to_one_scale() -> None:
    grown = copy.deepcopy(MILLION)
    for spent in grown["points"][1]["stages"].values():
        spent["cpu"] *= 2
    first, last = stacks_of({"results": [], "curves": [grown]})
    assert first.width == pytest.approx(0.5)
    assert last.width == 1.0
    assert first.cpu_us["execute"] == pytest.approx(10.0)  # 1 ms of 100 transfers


def test_time_is_spent_between_two_looks_at_the_clocks() -> None:
    before, after = {"a": {"cpu": 1.0, "wall": 2.0}}, {"a": {"cpu": 1.5, "wall": 4.0}, "b": {"cpu": 0.1}}
    assert spent_between(before, after) == {"a": {"cpu": 0.5, "wall": 2.0}, "b": {"cpu": 0.1}}


def test_a_chart_has_a_point_for_each_figure_and_a_line_for_what_is_required() -> None:
    line = Line("<memory>", 0, [(1_000, 80.0), (1_000_000, 300.0)])
    svg = line_chart([line], "MB", limit=600.0)
    assert svg.count("<circle") == 2
    assert svg.count('class="limit"') == 1
    assert "&lt;memory&gt;: 1,000,000 → 300 MB" in svg
    assert ">1M<" in svg
    assert ">600<" in svg


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0, 5.0], [0.003, 70_000.0]])
def test_any_figures_can_be_drawn(values: list[float]) -> None:
    assert "nan" not in line_chart([Line("a", 0, [(1_000.0, one) for one in values])], "s")


def test_axes_are_short() -> None:
    assert [short(number) for number in (0, 0.25, 750, 1_500, 2e6)] == ["0", "0.25", "750", "1.5k", "2M"]


def test_reports_are_saved_loaded_and_joined(tmp_path: Path) -> None:
    for number in (1, 2):
        save_report(new_report(f"run {number}", FACTS) | {"curves": [MILLION]}, tmp_path / f"{number}.json")
    both = joined([load_report(tmp_path / "1.json"), load_report(tmp_path / "2.json")])
    assert [run["command"] for run in both["runs"]] == ["run 1", "run 2"]
    assert len(both["curves"]) == 2
    assert "<svg" in (tmp_path / "1.html").read_text()
    (tmp_path / "old.json").write_text('{"format": "shelian-bench/1"}')
    with pytest.raises(ValueError, match="old"):
        load_report(tmp_path / "old.json")


def test_a_rate_measured_with_clocks_gives_way_to_one_without() -> None:
    with_clocks, other = throughput("erc20-batch"), throughput("document")
    without = throughput("erc20-batch", count=100) | {"stages": {}}
    assert undisturbed([with_clocks, without, other]) == [without, other]
    assert len(stacks_of({"results": [with_clocks, without, other], "curves": []})) == 2


def test_the_command_line_names_what_was_set() -> None:
    options = {"scenario": ["order", "document"], "quick": True, "ws": False, "profile": None, "to": 10}
    assert command_line("scale", options) == (
        "python -m bench scale --scenario order --scenario document --quick --to 10"
    )


def test_a_run_ends_where_it_was_told_to() -> None:
    assert sizes_up_to(1_000_000) == (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
    assert sizes_up_to(20_000) == (1_000, 10_000, 20_000)
    assert sizes_up_to(100) == (100,)


def test_memory_is_read_in_bytes() -> None:
    status = (
        "Name:\tpython\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nRssAnon:\t     512 kB\nRssFile:\t  512 kB\n"
    )
    assert decode_memory(status) == Memory(1_048_576, 524_288, 2_097_152)


def test_every_table_has_its_place_in_the_document() -> None:
    text = updated(DOCUMENT.read_text(), tables(whole_report()))
    assert "| **999** /s |" not in text
    assert "**1,999** /s" in text
    assert "是 yes" in text
    assert updated(text, tables(whole_report())) == text


def test_a_table_that_no_report_has_stays_as_it_was() -> None:
    full = updated(DOCUMENT.read_text(), tables(whole_report()))
    partial = new_report("again", FACTS) | {"caliper": [CALIPER | {"name": "other round"}]}
    again = updated(full, tables(partial))
    assert "other round" in again
    assert "**1,999** /s" in again


def test_a_document_without_the_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_report(whole_report(), tmp_path / "report.json")
    (tmp_path / "page.md").write_text("nothing")
    assert main([str(tmp_path / "report.json")], tmp_path / "page.md") == 1
    assert "no place" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text() == "nothing"


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    for table in tables(whole_report()).values():
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert lines
        assert len({line.count("|") for line in lines}) == 1
