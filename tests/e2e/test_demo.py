"""`shelian demo` does the whole main job against a running system, through public interfaces only."""

from __future__ import annotations

import json

import pytest

from tests.e2e.running_system import RunningSystem, run_shelian

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.xdist_group("e2e")]

REFUSALS = {
    "correction.wrong_step",
    "contract.DocumentState",
    "site.not_allowed",
    "contract.RoleMissing",
    "correction.wrong_recipient",
    "contract.RecipientNotAllowed",
}


def test_the_demo_passes_every_step_and_proves_it_from_chain_data(system: RunningSystem) -> None:
    finished = run_shelian("demo", "--json", "--port-base", str(system.port_base))
    assert finished.returncode == 0, finished.stdout[-2_000:] + finished.stderr[-2_000:]
    told = json.loads(finished.stdout)
    assert told["ok"]
    steps = told["steps"]
    sent = [step for step in steps if step["transaction"]]
    assert len(sent) >= 20
    assert all(0 < step["block"] <= system.height() for step in sent)
    assert {step["what"].rsplit("→ ", 1)[1] for step in steps if "→ " in step["what"]} >= REFUSALS
    assert told["proven"] >= len({step["transaction"] for step in sent})


def test_status_says_that_every_program_is_well(system: RunningSystem) -> None:
    finished = run_shelian("status", "--json", "--port-base", str(system.port_base))
    assert finished.returncode == 0
    told = json.loads(finished.stdout)
    assert told["ok"]
    assert all(told["services"].values())
