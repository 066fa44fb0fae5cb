"""`shelian consortium up --validators 4`: four agencies' nodes, the demo across them, deaths, stop, restart.

In order: each test finds the network as the one before has left it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cli.demo_members import node_layout
from cli.layout import Layout
from cli.nodes import ask_status, is_in_step
from cli.system import NodePorts, RunFile
from node.ledger import Ledger
from tests.e2e.running_system import FIRST_START_S, RunningSystem, run_shelian
from tests.e2e.test_demo import REFUSALS
from tests.e2e.test_stopping import sent_documents
from tests.network.comet.small_network import require_cometbft

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.cometbft,
    pytest.mark.xdist_group("consortium"),
]

AGENCIES = ("police", "procuratorate", "court", "justice")
CONTINUES_WITHIN_S = 300
PATIENCE_S = 180
STEPS_OF_ONE_MACHINE = 43
PORTS = (*range(45, 49), *range(51, 55), *range(61, 65), *range(71, 75), *range(81, 85))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    require_cometbft()
    system = RunningSystem(
        tmp_path_factory.mktemp("consortium"),
        ("consortium", "up", "--validators", "4"),
        (0, 100, 102, 111, 112, 113, 114, 120, *PORTS),
    )
    system.start(FIRST_START_S)
    yield system
    if system.runs:
        system.stop()


def running(network: RunningSystem) -> RunFile:
    return RunFile.load(network.data)


def eventually(condition: Callable[[], bool], what: str) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S, what
        time.sleep(0.1)
    return time.monotonic() - began


def all_in_step(network: RunningSystem) -> bool:
    return all(is_in_step(ask_status(url)) for url in running(network).nodes.values())


def test_every_agency_has_its_own_node_keys_and_ports(network: RunningSystem) -> None:
    run, layout = running(network), Layout(network.data)
    assert tuple(run.nodes) == AGENCIES
    keys = {
        (layout.members / agency / "keys" / "priv_validator_key.json").read_bytes() for agency in AGENCIES
    }
    assert len(keys) == 4
    for number, agency in enumerate(AGENCIES, 1):
        assert run.nodes[agency] == NodePorts.of(number, network.port_base).url
        status = ask_status(run.nodes[agency])
        assert status is not None
        assert (status["engine"], int(status["peers"], 16)) == ("cometbft", 3)


def test_the_demo_passes_across_agencies_while_one_node_is_killed(network: RunningSystem) -> None:
    finished = run_shelian("demo", "--kill-one", "--json", "--data", str(network.data), timeout_s=600)
    assert finished.returncode == 0, finished.stdout[-3_000:] + finished.stderr[-3_000:]
    told = json.loads(finished.stdout)
    assert told["ok"]
    assert told["nodes"] == 4
    steps = told["steps"]
    assert {step["what"].rsplit("→ ", 1)[1] for step in steps if "→ " in step["what"]} >= REFUSALS
    consortium = [step for step in steps if step["part"].endswith("consortium")]
    assert len(steps) == STEPS_OF_ONE_MACHINE + len(consortium)
    assert [step["what"].split()[0] for step in consortium[:2]] == ["断电", "police"]
    assert told["outage"]["agency"] == "police"
    assert 0 < told["outage"]["seconds"] < PATIENCE_S
    assert told["proven"] >= len({step["transaction"] for step in steps if step["transaction"]})
    assert "police-node 停了" in network.said()
    assert "police-node 已重新启动" in network.said()


def test_status_shows_every_node(network: RunningSystem) -> None:
    eventually(lambda: all_in_step(network), "every node in step")
    finished = run_shelian("status", "--json", "--port-base", str(network.port_base))
    assert finished.returncode == 0, finished.stdout
    told = json.loads(finished.stdout)
    assert all(told["services"].values())
    assert tuple(told["nodes"]) == AGENCIES
    for node in told["nodes"].values():
        assert node["in_step"]
        assert node["lag"] <= 1
        assert int(node["status"]["peers"], 16) == 3
    shown = run_shelian("status", "--data", str(network.data)).stdout
    for agency in AGENCIES:
        assert f"→ {agency}" in shown
        assert running(network).nodes[agency] in shown


def test_the_portal_lists_the_nodes_by_agency(network: RunningSystem) -> None:
    page = httpx.get(network.url("portal"), trust_env=False).text
    for number, url in enumerate(running(network).nodes.values(), 1):
        assert f"<code>{url}</code>" in page
        assert f'href="{NodePorts.of(number, network.port_base).status_page}"' in page
    assert "示范区公安分局" in page


def test_a_service_that_dies_is_started_again_and_nobody_else_notices(network: RunningSystem) -> None:
    before = running(network).pids
    os.kill(before["points"], signal.SIGKILL)
    eventually(lambda: running(network).pids.get("points") not in (None, before["points"]), "a new process")
    eventually(
        lambda: run_shelian("status", "--port-base", str(network.port_base)).returncode == 0, "all well again"
    )
    after = running(network).pids
    assert {name for name in before if after[name] != before[name]} == {"points"}
    assert "points 停了" in network.said()


def test_a_clean_stop_leaves_no_process_and_four_equal_ledgers(network: RunningSystem) -> None:
    assert network.stop() == 0
    assert network.processes() == []
    assert not (network.data / "run.json").exists()
    reports = ledgers(network)
    assert set(reports) == set(AGENCIES)
    assert all(report["ok"] and report["findings"] == [] for report in reports.values())
    chains = [
        _blocks(node_layout(Layout(network.data), agency), reports[agency]["height"]) for agency in AGENCIES
    ]
    shortest = min(len(chain) for chain in chains)
    assert shortest > 50
    assert len({tuple(chain[:shortest]) for chain in chains}) == 1
    assert max(len(chain) for chain in chains) <= shortest + 1


def ledgers(network: RunningSystem) -> dict[str, dict[str, Any]]:
    """What `shelian check` says of each agency's ledger; it has found nothing wrong."""
    checked = run_shelian("check", str(network.data), "--json", timeout_s=600)
    assert checked.returncode == 0, checked.stdout[-3_000:] + checked.stderr[-3_000:]
    members: dict[str, dict[str, Any]] = json.loads(checked.stdout)["members"]
    return members


def _blocks(layout: Layout, height: int) -> list[bytes]:
    ledger = Ledger.open(layout.ledger)
    try:
        with ledger.snapshot() as snapshot:
            blocks = [snapshot.block(one) for one in range(1, height + 1)]
    finally:
        ledger.close()
    return [block.hash for block in blocks if block is not None]


def test_the_next_start_continues_and_other_numbers_are_refused(network: RunningSystem) -> None:
    place = ("--data", str(network.data), "--port-base", str(network.port_base), "--json")
    other = run_shelian("consortium", "up", "--validators", "3", *place)
    assert json.loads(other.stdout)["error"]["code"] == "consortium.other_number"
    alone = run_shelian("up", *place)
    assert json.loads(alone.stdout)["error"]["code"] == "system.other_kind"
    height = min(report["height"] for report in ledgers(network).values())
    network.start(CONTINUES_WITHIN_S)
    assert "继续 continuing" in network.said()
    assert network.height() >= height
    assert sent_documents(network)
    eventually(lambda: network.height() > height, "another block")


def test_nothing_outlives_a_killed_supervisor(network: RunningSystem) -> None:
    assert len(network.processes()) > 12
    network.kill()
    eventually(lambda: network.processes() == [], "every program has ended")
