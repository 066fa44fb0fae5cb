"""Runs the Solidity tests: unit, fuzz and invariants on the committed bytecode."""

from __future__ import annotations

import json
import subprocess

import pytest

from contracts.system import CONTRACTS_DIR

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toolchain")]


def test_every_forge_test_passes() -> None:
    done = subprocess.run(
        ["node_modules/.bin/forge", "test", "--json"],
        cwd=CONTRACTS_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    suites = json.loads(done.stdout)
    results = {
        f"{suite}.{name}": result
        for suite, report in suites.items()
        for name, result in report["test_results"].items()
    }
    failed = {name: result["reason"] for name, result in results.items() if result["status"] != "Success"}
    assert not failed
    assert done.returncode == 0
    assert sum("nvariant" in name for name in results) >= 10
    assert len(results) >= 100
