"""Scenario files, run against real processes; those of the suite `long` only in make test-network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.network.comet.small_network import require_cometbft
from tests.network.scenarios.__main__ import read, run, scenario_files, table
from tests.network.scenarios.clocks import why_no_shifted_clock
from tests.network.scenarios.worlds import why_no_worlds

pytestmark = [pytest.mark.cometbft, pytest.mark.slow]


def require(missing: str | None) -> None:
    """Skip where the machine lacks it; fail in CI."""
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.mark.parametrize("file", scenario_files("quick"), ids=lambda file: file.stem)
def test_quick(file: Path, tmp_path: Path) -> None:
    play(file, tmp_path)


@pytest.mark.network
@pytest.mark.parametrize("file", scenario_files("long"), ids=lambda file: file.stem)
def test_long(file: Path, tmp_path: Path) -> None:
    play(file, tmp_path)


def play(file: Path, directory: Path) -> None:
    require_cometbft()
    require(why_no_worlds())
    if any(step.text.startswith("clock ") for step in read(file).steps):
        require(why_no_shifted_clock())
    report = run(file, directory)
    print(table([report]))
    assert not report.failure, f"{report.failure}\n{report.details}"
