"""Caliper's Ethereum connector: its files as we fill them in, its report as we read it, and a round of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.caliper.round import benchmark_file, decode_summary, network_file, token_file
from bench.cast import DEPLOYER, caliper_workers
from bench.client import LoadError
from bench.report import load_report

ROOT = Path(__file__).resolve().parents[3]

PAGE = """
<table style="min-width: 100%;">
  <tr>
    <th>Name</th> <th>Succ</th> <th>Fail</th> <th>Send Rate (TPS)</th> <th>Max Latency (s)</th>
    <th>Min Latency (s)</th> <th>Avg Latency (s)</th> <th>Throughput (TPS)</th>
  </tr>
  <tr>
    <td>transfers &amp; more</td> <td>400</td> <td>0</td> <td>187.2</td> <td>0.31</td>
    <td>0.03</td> <td>-</td> <td>184.2</td>
  </tr>
</table>
<table><tr><th>another</th></tr></table>
"""


def test_workers_have_the_keys_that_the_connector_derives() -> None:
    """The first two addresses are those of ethereumjs-wallet 0.6 for the same seed."""
    assert [key.address.hex() for key in caliper_workers()[:2]] == [
        "cf70a8e4ea85811e3052da92932cf297388cbd64",
        "3a5b093a858fc823871d099f0483348ff55243f0",
    ]


def test_the_summary_of_a_report_is_read() -> None:
    assert decode_summary(PAGE) == [
        {
            "name": "transfers & more",
            "succeeded": 400,
            "failed": 0,
            "send_per_s": 187.2,
            "per_s": 184.2,
            "min_s": 0.03,
            "average_s": None,
            "max_s": 0.31,
        }
    ]


@pytest.mark.parametrize("page", ["", "<table></table>", "<table><tr><th>Name</th></tr></table>"])
def test_another_page_is_no_report(page: str) -> None:
    with pytest.raises(LoadError, match="no summary"):
        decode_summary(page)


def test_the_files_are_filled_in_for_this_run() -> None:
    network = network_file("ws://localhost:1")["ethereum"]
    assert network["url"] == "ws://localhost:1"
    assert network["contractDeployerAddress"] == "0x" + DEPLOYER.address.hex()
    contract = network["contracts"]["token"]
    assert set(contract["gas"]) == {"transfer"}
    assert {"abi", "bytecode", "gas", "name"} <= set(token_file())
    whole = benchmark_file(3, None)["test"]
    assert len(whole["rounds"]) == 2
    short = benchmark_file(3, 60)["test"]
    assert short["workers"]["number"] == 3
    assert [one["txNumber"] for one in short["rounds"]] == [60]
    assert len(short["rounds"][0]["workload"]["arguments"]["workers"]) == 3


@pytest.fixture
def caliper() -> None:
    """Skips where Caliper is not installed; on a build machine that is a failure."""
    if not (ROOT / "bench" / "caliper" / "node_modules").is_dir():
        message = "npm packages missing: npm ci --ignore-scripts --prefix bench/caliper"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.mark.slow
@pytest.mark.clients
@pytest.mark.usefixtures("caliper")
def test_caliper_runs_unmodified_against_our_node(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "bench", "caliper", "--transactions", "60"]
    done = subprocess.run(
        [*command, "--json", str(out), "--reports", str(tmp_path / "reports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = load_report(out)["caliper"]
    assert (one["succeeded"], one["failed"]) == (60, 0)
    assert one["client_ms"] > 0
    assert one["node_ms"] > 0
    assert "Caliper" in out.with_suffix(".html").read_text()
    assert any(path.name.endswith("-own.html") for path in (tmp_path / "reports").iterdir())
