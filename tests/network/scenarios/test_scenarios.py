"""Scenario files, run against real processes; those of the suite `long` only in make test-network."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.network.comet.small_network import require_cometbft
from tests.network.scenarios.__main__ import read, run, scenario_files, table
from tests.network.scenarios.clocks import why_no_shifted_clock
from tests.network.scenarios.worlds import why_no_worlds

# One network at a time: two of them on two cores only make each other late.
pytestmark = [pytest.mark.cometbft, pytest.mark.slow, pytest.mark.xdist_group("scenarios")]


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


def test_nothing_is_left_of_a_run_that_was_killed(tmp_path: Path) -> None:
    """Not even where the one who started it had no chance to clean up."""
    require_cometbft()
    require(why_no_worlds())
    file = tmp_path / "endless.scenario"
    file.write_text("suite quick\nnetwork 1 validators\nwait 600 s\n")
    starter = subprocess.Popen(
        [sys.executable, "-m", "tests.network.scenarios", str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert starter.stdout is not None
    assert any("wait 600 s" in line for line in starter.stdout), "it does not come so far"
    assert any("cometbft" in line for line in programs_of(tmp_path))
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 60
    while left := programs_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def programs_of(directory: Path) -> list[str]:
    """Command lines of all processes that name it."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:  # it has just ended
            continue
        if str(directory) in words:
            found.append(words)
    return found


def play(file: Path, directory: Path) -> None:
    require_cometbft()
    require(why_no_worlds())
    if any(step.text.startswith("clock ") for step in read(file).steps):
        require(why_no_shifted_clock())
    report = run(file, directory)
    print(table([report]))
    assert not report.failure, f"{report.failure}\n{report.details}"
