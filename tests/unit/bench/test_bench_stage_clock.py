"""The clocks of the stages, on functions of the test's own."""

from __future__ import annotations

import time
from threading import Thread

import pytest

import bench.stage_clock
from bench.stage_clock import StageClock
from bench.stages import COMET, REST, RPC, STAGES


class Work:
    """Spins for some milliseconds, outside and inside."""

    def outer(self) -> str:
        spin(0.03)
        self.inner()
        return "done"

    def inner(self) -> None:
        spin(0.02)


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StageClock:
    for name in ("outer", "inner"):
        monkeypatch.setattr(Work, name, getattr(Work, name))  # restores what the clock replaces
    monkeypatch.setattr(bench.stage_clock, "_BOUNDS", (("check", Work, "outer"), ("pool", Work, "inner")))
    return StageClock()


def test_a_stage_is_without_the_stages_it_calls(clock: StageClock) -> None:
    assert Work().outer() == "done"
    totals = clock.totals()
    assert totals["check"]["cpu"] == pytest.approx(0.03, abs=0.008)
    assert totals["pool"]["cpu"] == pytest.approx(0.02, abs=0.008)
    assert totals["check"]["wall"] >= 0.03


def test_threads_are_added_up(clock: StageClock) -> None:
    threads = [Thread(target=Work().inner) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.totals()["pool"]["cpu"] == pytest.approx(0.06, abs=0.02)


def test_a_function_that_is_gone_stops_the_run_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.stage_clock, "_BOUNDS", (("check", Work, "renamed"),))
    with pytest.raises(LookupError, match="stage check: Work has no renamed any more"):
        StageClock()


def test_every_bound_belongs_to_a_stage_that_reports_name() -> None:
    stages = {stage for stage, _, _ in bench.stage_clock._BOUNDS}
    assert stages | {RPC, REST, COMET} == set(STAGES)
    for _, owner, name in bench.stage_clock._BOUNDS:
        assert callable(getattr(owner, name))
