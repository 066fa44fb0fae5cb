"""The operations port in a real network of four, and as a service of systemd's kind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo_consortium import create_demo
from cli.layout import Layout
from network.operations.doctor.checks import run_checks
from network.operations.doctor.examine import Place, examine
from tests.network.comet.four_nodes import PATIENCE_S, Network, Node, running_network
from tests.network.comet.small_network import free_ports, require_cometbft
from tests.unit.operations.test_deploy_files import OF_COMETBFT

pytestmark = [
    pytest.mark.cometbft,
    pytest.mark.slow,
    pytest.mark.xdist_group("operations-network"),
    pytest.mark.network,
]


def status(node: Node) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(
        node.operations_url + "/status.json", timeout=30, trust_env=False
    ).json()
    return document


def codes(node: Node) -> set[str]:
    return {one["code"] for one in status(node)["findings"]}


def until(network: Network, node: Node, wanted: str, *, there: bool = True) -> None:
    network.wait(lambda one: (wanted in codes(one)) == there, f"{wanted} {there}", [node])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    require_cometbft()
    # A short heartbeat: three of them without a block are a fault.
    with running_network(tmp_path_factory.mktemp("four"), 4, listed=True, heartbeat_ms=3_000) as four:
        for node in four.nodes:
            four.wait(lambda one: len(status(one)["facts"]["peers"]) == 3, "all connected", [node])
        for number in range(12):
            four.nodes[number % 4].send(four.transaction(1 + number % 4))
        yield four


@pytest.mark.cometbft
def test_a_whole_network_is_well_everywhere(network: Network) -> None:
    for node in network.nodes:
        until(network, node, "doctor.catching_up", there=False)
        facts = status(node)["facts"]
        assert facts["is_member"]
        assert facts["missing"] == []
        assert sorted(one["organisation"] for one in facts["peers"]) == sorted({1, 2, 3, 4} - {node.number})
        assert all(one["connected_s"] > 0 for one in facts["peers"])
        assert [one["organisation"] for one in facts["validators"] if one["is_own"]] == [node.number]
        assert facts["quorum"]["may_fail"] == 1
        assert facts["signed_elsewhere"] is None
        assert abs(facts["clock"]["ahead_s"]) < 5, "all of them have one clock"
        assert {one["name"] for one in facts["processes"]} == {"node", "cometbft"}
        assert facts["versions"]["cometbft"].startswith("0.40.")
        assert facts["disk"]["comet_bytes"] > 0
        ready = httpx.get(node.operations_url + "/readyz", timeout=30, trust_env=False)
        assert ready.status_code == 200, ready.text


@pytest.mark.cometbft
def test_comets_own_metrics_have_the_names_that_the_dashboard_uses(network: Network) -> None:
    address = network.nodes[0].home.settings.metrics_address
    text = httpx.get(f"http://{address}/metrics", timeout=30, trust_env=False).text
    served = set(re.findall(r"^(cometbft_\w+)", text, re.MULTILINE))
    assert served >= OF_COMETBFT, OF_COMETBFT - served


@pytest.mark.cometbft
def test_the_doctor_of_a_running_member_finds_nothing_that_is_not_there(network: Network) -> None:
    node = network.nodes[1]
    layout = node.layout
    place = Place(
        data=layout.data,
        genesis=layout.genesis,
        ledger=layout.ledger,
        comet=layout.comet,
        validator_key=layout.validator_key,
        unfinished=layout.marker,
        rpc_address="127.0.0.1:1",
        operations_address="127.0.0.1:2",
    )
    seen = examine(place)
    assert seen.is_running
    assert seen.answers
    assert seen.genesis.file == seen.genesis.ledger == seen.genesis.comet
    assert all(one.is_own for one in seen.ports), "its ports are held by itself and its CometBFT"
    assert {one.outcome for one in seen.peers} == {"reached"}
    # Other networks of tests on this machine may sign with the same keys; that is found, and rightly.
    faults = {one.code for check in run_checks(seen) for one in check.findings if one.level == "fault"}
    assert faults <= {"doctor.key_twice"}


@pytest.mark.cometbft
def test_a_killed_validator_is_named_then_two_then_all_is_well_again(network: Network) -> None:
    first, dead = network.nodes[0], network.nodes[3]
    dead.kill()
    for number in range(6):
        first.send(network.transaction(1 + number % 3))
    until(network, first, "doctor.validator_silent")
    facts = status(first)["facts"]
    assert [one["organisation"] for one in facts["validators"] if one["silent"]] == [4]
    assert facts["quorum"]["may_fail_now"] == 0
    until(network, first, "doctor.member_missing")
    assert [one["organisation"] for one in status(first)["facts"]["missing"]] == [4]
    page = httpx.get(first.operations_url + "/", timeout=30, trust_env=False).text
    assert "不作声 silent" in page

    network.nodes[2].kill()
    until(network, first, "doctor.no_quorum")
    assert "doctor.no_blocks" in codes(first)
    assert [one["organisation"] for one in status(first)["facts"]["validators"] if one["silent"]] == [3, 4]
    ready = httpx.get(first.operations_url + "/readyz", timeout=30, trust_env=False)
    assert ready.status_code == 503
    assert httpx.get(first.operations_url + "/healthz", timeout=30, trust_env=False).status_code == 200

    network.nodes[2].start()
    dead.start()
    for code in ("doctor.no_blocks", "doctor.validator_silent", "doctor.member_missing"):
        until(network, first, code, there=False)


# ---- as a service


def test_systemd_hears_when_the_node_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    create_demo(layout, time.time_ns(), lambda text: None)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(PATIENCE_S)
        (port,) = free_ports(1)
        node = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cli.main",
                "node",
                "--data",
                str(layout.data),
                "--port",
                str(port),
                "--operations",
                "127.0.0.1:0",
                "--log-json",
            ],
            stderr=subprocess.PIPE,
            env=os.environ
            | {"ETH_HASH_BACKEND": "pysha3", "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"},
        )
        try:
            heard = [systemd.recv(4_096).decode().splitlines()]
            assert heard[0][0] == "READY=1"
            for _ in range(2):
                assert systemd.recv(4_096).decode().startswith("WATCHDOG=1")
            node.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE_S
            while (said := systemd.recv(4_096).decode()) != "STOPPING=1":
                assert said.startswith("WATCHDOG=1")
                assert time.monotonic() < deadline
            assert node.wait(PATIENCE_S) == 0
        finally:
            if node.poll() is None:
                node.kill()
            node.wait()
