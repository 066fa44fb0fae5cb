"""Stopping, checking and continuing: by Ctrl-C, and when a program is killed. Runs after all others here."""

from __future__ import annotations

import json
import os
import signal

import httpx
import pytest

from contracts.vocabulary import DocumentState
from tests.e2e.running_system import STOP_S, RunningSystem, run_shelian

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.xdist_group("e2e")]

CONTINUES_WITHIN_S = 240
"""A busy machine with two cores takes its time."""


@pytest.fixture(autouse=True)
def running(system: RunningSystem) -> None:
    if not system.runs:
        system.start(CONTINUES_WITHIN_S)


def sent_documents(system: RunningSystem) -> dict[str, str]:
    """What the court's own pages list, by number: the titles."""
    with httpx.Client(base_url=system.url("court"), trust_env=False) as court:
        court.post("/demo/login", json={"person": "court-handler"}).raise_for_status()
        listed = court.get("/api/documents", params={"box": "out", "limit": 200}).raise_for_status().json()
    return {one["document"]: one["title"] for one in listed["documents"]}


def passes_check(system: RunningSystem) -> dict[str, object]:
    finished = run_shelian("check", str(system.data), "--json")
    assert finished.returncode == 0, finished.stdout[-2_000:] + finished.stderr[-2_000:]
    report: dict[str, object] = json.loads(finished.stdout)
    assert report["ok"]
    assert report["findings"] == []
    return report


def test_a_stopped_system_passes_check_and_continues_where_it_was(system: RunningSystem) -> None:
    height, before = system.height(), sent_documents(system)
    assert before
    assert system.stop() == 0
    assert not (system.data / "run.json").exists()
    report = passes_check(system)
    assert isinstance(report["height"], int)
    assert report["height"] >= height
    system.start(CONTINUES_WITHIN_S)
    assert system.height() >= height
    assert sent_documents(system) == before
    assert system.document_state(next(iter(before))) in set(DocumentState)


def test_a_killed_node_is_named_and_nothing_is_lost(system: RunningSystem) -> None:
    height, before = system.height(), sent_documents(system)
    os.kill(system.process_of("node"), signal.SIGKILL)
    assert system.wait(STOP_S) != 0
    assert "node stopped" in system.said()
    passes_check(system)
    system.start(CONTINUES_WITHIN_S)
    assert system.height() >= height
    assert sent_documents(system) == before


def test_check_refuses_a_directory_that_is_in_use(system: RunningSystem) -> None:
    finished = run_shelian("check", str(system.data), "--json")
    assert finished.returncode != 0
    assert not json.loads(finished.stdout)["ok"]
