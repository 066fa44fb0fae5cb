"""The commands of the benchmark run on a real node, and every transaction succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.growth import KINDS
from bench.report import load_report
from bench.scenarios import SCENARIOS
from bench.stages import OF_NETWORKS, STAGES

ROOT = Path(__file__).resolve().parents[3]


def bench(*arguments: str, reports: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--reports", str(reports)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.slow
def test_a_quick_run_of_our_node_over_http_and_websocket_with_stages_and_profile(tmp_path: Path) -> None:
    out, reports = tmp_path / "out.json", tmp_path / "reports"
    options = ("--quick", "--ws", "--no-anvil", "--stages", "--profile", "engine", "--json", str(out))
    done = bench(*options, reports=reports)
    assert done.returncode == 0, done.stderr
    report = load_report(out)
    results = {(result["scenario"], result["transport"]): result for result in report["results"]}
    assert list(results) == [(one.name, transport) for transport in ("http", "ws") for one in SCENARIOS]
    for result in results.values():
        assert result["failed"] == 0
        assert result.get("refused", 0) == 0
        assert result["generator_share"] > 0
        assert set(result["stages"]) == set(STAGES) - OF_NETWORKS
        assert result["stages"]["execute"]["cpu"] > 0
    for name in ("document-20", "order-20"):
        result = results[name, "http"]
        assert result["operations"] == 20 * result["transactions"]
    assert results["order", "ws"]["transactions"] == 7 * 8
    assert "py-evm" in report["runs"][0]["machine"]["packages"]
    assert report["runs"][0]["command"] == (
        "python -m bench --quick --ws --no-anvil --stages --profile engine"
    )
    assert [one["scheme"] for one in report["signatures"]] == sorted(
        one["scheme"] for one in report["signatures"]
    )
    kept = {path.suffix for path in reports.iterdir()}
    assert kept == {".json", ".html", ".prof"}
    for scenario in SCENARIOS:
        assert scenario.zh in done.stdout


@pytest.mark.parametrize(
    ("kind", "history"),
    [
        pytest.param("holders", "archive", marks=pytest.mark.slow),
        pytest.param("holders", "recent:16", marks=pytest.mark.long),
        pytest.param("accounts", "archive", marks=pytest.mark.long),
        pytest.param("identities", "archive", marks=pytest.mark.long),
    ],
)
def test_a_chain_grows_and_is_reopened(kind: str, history: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ("scale", "--grow", kind, "--history", history, "--to", "1000", "--quick", "--json", str(out))
    done = bench(*options, reports=tmp_path / "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    (curve,) = load_report(out)["curves"]
    (point,) = curve["points"]
    assert point["size"] == 1_000
    assert curve["history"] == history
    assert point["failed"] == 0
    assert point["transactions"] == 1_000 // KINDS[kind].each + 220
    assert 0 < point["rss_anonymous_bytes"] < point["rss_bytes"] <= point["rss_peak_bytes"]
    assert point["disk_bytes"] > curve["empty_disk_bytes"] > 0
    assert all(0 < opened < whole for opened, whole in zip(point["open_s"], point["reopen_s"], strict=True))
    assert set(point["stages"]) == set(STAGES) - OF_NETWORKS


@pytest.mark.long
def test_an_interrupted_run_keeps_the_points_it_has(tmp_path: Path) -> None:
    out, said = tmp_path / "out.json", tmp_path / "said.txt"
    command = [sys.executable, "-m", "bench", "scale", "--to", "1000000", "--quick", "--json", str(out)]
    with said.open("w") as sink:
        process = subprocess.Popen(
            [*command, "--reports", str(tmp_path / "reports")],
            cwd=ROOT,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    deadline = time.monotonic() + 120
    while not out.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)  # into the growth towards the second point
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert process.wait(timeout=60) == 1, said.read_text()
    assert "incomplete, 1 of 6 points: Ctrl-C" in said.read_text()
    assert "Traceback" not in said.read_text()
    (curve,) = load_report(out)["curves"]
    assert [point["size"] for point in curve["points"]] == [1_000]
    assert "未完成 incomplete" in out.with_suffix(".html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ws://127.0.0.1:9"])
def test_a_chain_that_is_not_there_gives_no_figures(url: str, tmp_path: Path) -> None:
    done = bench("--quick", "--url", url, reports=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "没有结果 no figures" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.clients
def test_anvil_takes_the_same_transfers_over_http_and_websocket(tmp_path: Path) -> None:
    if not any((ROOT / "bench" / "node_modules").glob("@foundry-rs/anvil-*/bin/anvil")):
        message = "npm packages missing: npm ci --ignore-scripts --prefix bench"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    out = tmp_path / "out.json"
    wanted = ("--scenario", "erc20-batch", "--scenario", "erc20-latency")
    done = bench("--quick", "--ws", *wanted, "--json", str(out), reports=tmp_path / "reports")
    assert done.returncode == 0, done.stderr
    results = load_report(out)["results"]
    assert {(one["target"], one["transport"]) for one in results} == {
        ("shelian", "http"),
        ("shelian", "ws"),
        ("anvil", "http"),
        ("anvil", "ws"),
    }
    assert not any(one["failed"] for one in results)
