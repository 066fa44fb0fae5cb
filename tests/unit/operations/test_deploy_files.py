"""What lies in deploy/ fits the programs: units verify, rules parse, every metric named is one we serve."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from cli.reference import reference
from network.operations.metrics import render_metrics
from network.operations.source import Report
from network.operations.timings import Timings
from tests.helpers.operations import healthy

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
NAME = re.compile(r"\b(?:shelian|cometbft)_[a-z0-9_]+")
OF_COMETBFT = frozenset(
    {
        "cometbft_abci_connection_method_timing_seconds_bucket",
        "cometbft_consensus_block_interval_seconds_bucket",
        "cometbft_consensus_byzantine_validators",
        "cometbft_consensus_height",
        "cometbft_consensus_missing_validators",
        "cometbft_consensus_rounds",
        "cometbft_consensus_step_duration_seconds_bucket",
        "cometbft_mempool_size",
        "cometbft_p2p_peers",
    }
)
"""Held against a real CometBFT by tests/network/operations/test_operations_network.py."""


def program(name: str, package: str) -> str:
    """Where it is. Without it the test is skipped, but fails in CI."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed (apt-get install {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def served() -> set[str]:
    """Every name a sample of ours can have."""
    registry = CollectorRegistry()
    Timings(registry)
    text = render_metrics(Report(healthy(), (), 0.0), registry).decode()
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {name} if kind != "histogram" else {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return names


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DEPLOY / "grafana/shelian-node.json").read_text())
    return document


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_every_metric_of_the_dashboard_is_served() -> None:
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    named = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(named) > 30
    assert named <= served() | OF_COMETBFT, named - served() - OF_COMETBFT


def test_the_dashboard_can_be_imported_and_is_bilingual() -> None:
    document = dashboard()
    panels = document["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    assert {one["name"] for one in document["templating"]["list"]} == {"datasource", "instance"}
    for panel in panels:
        assert re.search(r"[A-Za-z]", panel["title"]), panel["title"]
        assert re.search(r"[\u4e00-\u9fff]", panel["title"]), panel["title"]
    places = [one["gridPos"] for one in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "no panel lies on another"


def test_every_metric_of_the_alerts_is_served_and_each_says_what_to_do() -> None:
    for rule in rules():
        named = set(NAME.findall(rule["expr"]))
        assert named <= served(), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_prometheus_takes_rules_and_configuration() -> None:
    promtool = program("promtool", "prometheus")
    for kind, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        checked = subprocess.run(
            [promtool, "check", kind, DEPLOY / "prometheus" / name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_fire_when_they_should(tmp_path: Path) -> None:
    promtool = program("promtool", "prometheus")
    own = {"instance": "court:8581", "job": "shelian"}
    labels = ",".join(f'{key}="{value}"' for key, value in own.items())
    series = {
        f"shelian_block_age_seconds{{{labels}}}": "400x20",
        f"shelian_heartbeat_seconds{{{labels}}}": "60x20",
        f'shelian_validator_missed_blocks{{{labels},organisation="1",validator="aa"}}': "40x20",
        f'shelian_validator_missed_blocks{{{labels},organisation="2",validator="bb"}}': "90x20",
        f'shelian_validator_is_own{{{labels},organisation="1",validator="aa"}}': "1x20",
        f'shelian_validator_is_own{{{labels},organisation="2",validator="bb"}}': "0x20",
        f"shelian_quorum_may_fail{{{labels}}}": "0x20",
        **{
            f'shelian_validator_power{{{labels},organisation="{number}",validator="v{number}"}}': "10x20"
            for number in range(4)
        },
    }
    expected = {
        "ShelianNoBlocks": {"severity": "critical"},
        "ShelianQuorumThin": {"severity": "critical"},
        "ShelianMissedBlocks": {"severity": "warning", "validator": "aa"},
        "ShelianDiskFull": None,
    }
    document = {
        "rule_files": [str(DEPLOY / "prometheus/alerts.yml")],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                        "eval_time": "15m",
                        "exp_samples": [] if labels is None else [{"labels": "{}", "value": 1}],
                    }
                    for name, labels in expected.items()
                ],
            }
        ],
    }
    place = tmp_path / "test.yml"
    place.write_text(yaml.safe_dump(document))
    tested = subprocess.run([promtool, "test", "rules", place], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    for unit in UNITS:
        # Where it will be installed there is nothing here; systemd wants a program and a file.
        text = unit.read_text().replace("/opt/shelian/.venv/bin/shelian", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("/opt/shelian/docs", str(DEPLOY.parent / "docs")))
    units = sorted(str(one) for one in tmp_path.iterdir())
    verified = subprocess.run(
        [analyze, "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert verified.returncode == 0, verified.stderr
    assert not [line for line in verified.stderr.splitlines() if "shelian" in line], verified.stderr


@pytest.mark.parametrize("unit", [one for one in UNITS if one.suffix == ".service"], ids=lambda one: one.name)
def test_units_run_commands_and_options_that_exist(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=\S+/shelian (.+)$", unit.read_text(), re.MULTILINE)
    words = line.split()
    assert f"shelian {words[0]}" in reference()
    options = [word for word in words if word.startswith("--")]
    page = reference()
    assert all(option in page for option in options)


def test_the_node_is_sandboxed_and_its_secrets_do_not_stand_in_the_unit() -> None:
    text = (DEPLOY / "systemd/shelian-node.service").read_text()
    for line in (
        "Type=notify",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "LoadCredential=passphrase:/etc/shelian/passphrase",
        "Restart=on-failure",
        "LimitNOFILE=65536",
        "KillMode=mixed",
    ):
        assert f"\n{line}\n" in text, line
    assert not re.search(r"(?i)(passphrase|token)=[^%/\s]", text)
