"""`python -m bench --quick` runs every scenario on a real node, and every transaction succeeds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scenarios import SCENARIOS
from bench.stages import STAGES

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_quick_run_of_our_node_with_stages_and_profile(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "bench", "--quick", "--no-anvil", "--stages", "--profile", "engine"]
    done = subprocess.run(
        [*command, "--json", str(out), "--reports", str(tmp_path / "reports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    results = {result["scenario"]: result for result in document["results"]}
    assert list(results) == [scenario.name for scenario in SCENARIOS]
    for result in results.values():
        assert result["failed"] == 0
        assert result.get("refused", 0) == 0
        assert set(result["stages"]) == set(STAGES)
        assert result["stages"]["execute"]["cpu"] > 0
    assert results["document-20"]["operations"] == 20 * results["document-20"]["transactions"]
    assert results["order"]["transactions"] == 7 * 8
    assert "py-evm" in document["machine"]["packages"]
    kept = {path.suffix for path in (tmp_path / "reports").iterdir()}
    assert kept == {".json", ".html", ".prof"}
    for scenario in SCENARIOS:
        assert scenario.zh in done.stdout


@pytest.mark.slow
def test_a_chain_that_is_not_there_gives_no_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--url", "http://127.0.0.1:9"]
    done = subprocess.run(
        [*command, "--reports", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "没有结果 no figures" in done.stderr
    assert not list(tmp_path.iterdir())
