"""The benchmark of a network: its arithmetic, its tables, and a quick run of two real validators."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench.cast import CLERKS, DEPLOYER, HANDLERS, RESIDENTS, SENDERS, VALIDATOR, validator_key
from bench.document import DOCUMENT, tables, updated
from bench.goals import bytes_each, network_goals
from bench.moments import COMMITTED, FINALIZED, FINALIZING, PREPARED
from bench.network_command import main
from bench.network_latency import PHASES, Sent, phases_of, spread_of
from bench.network_tables import network_rows
from bench.report import as_html, load_report, new_report, stacks_of
from bench.scenarios import SCENARIOS
from bench.sending import Sender
from bench.spread import SpreadClient, home_of
from bench.stages import OF_ONE_NODE, STAGES
from bench.validators import allocated_bytes, cpu_between, free_ports
from node.chain.transaction import Call
from tests.network.comet.small_network import require_cometbft
from tests.unit.bench.test_bench_reports import FACTS, SPENT, throughput

CPU = {"node_s": 4.0, "comet_s": 2.0}
WAITS = {
    "scenario": "erc20-latency", "title": {"zh": "转账", "en": "transfer"}, "rate_per_s": 20.0,
    "p50_ms": 80.0, "p95_ms": 120.0, "p99_ms": 390.0, "max_ms": 400.0,
    "everywhere": {"p50_ms": 90.0, "p95_ms": 130.0, "p99_ms": 450.0, "max_ms": 500.0},
    "transactions": 300, "failed": 0, "blocks": 200, "seconds": 15.0, "cpu": CPU, "phases": {},
}  # fmt: skip
RECOVERY = {
    "listens_s": 1.0, "comet_s": 1.4, "peer_s": 1.5, "begins_s": 1.2, "in_step_s": 4.5, "behind": 30
}  # fmt: skip


def disk(ledger: int, wal: int) -> dict[str, int]:
    return {"ledger": ledger, "blocks": 0, "state": 0, "evidence": 0, "wal": wal}


def entry(**changes: Any) -> dict[str, Any]:
    """What a whole run finds, with some of it changed."""
    whole = {
        "validators": 4,
        "spread": True,
        "throughput": [throughput(name, count=1_000) | {"cpu": CPU} for name in ("erc20-batch", "document")],
        "late_rounds": {"blocks": 50, "late": 1},
        "latency": [WAITS, WAITS | {"p50_ms": 140.0}],
        "stages": [throughput("document", count=1_000) | {"cpu": CPU}],
        "phases": [WAITS | {"phases": dict.fromkeys(PHASES, 10.0)}],
        "growth": {
            "transfers": 100_000,
            "seconds": 250.0,
            "cpu": CPU,
            "points": [
                {"transfers": 0, "blocks": 0, "nodes": [disk(1_000, 500)] * 2},
                {"transfers": 100, "blocks": 3, "nodes": [disk(51_000, 500), disk(41_000, 20_500)]},
            ],
        },
        "snapshot": {"height": 9, "chunks": 2, "bytes": 3_000_000, "seconds": 2.0, "cpu_s": 1.5},
        "restart": [RECOVERY, RECOVERY | {"in_step_s": 6.0}],
        "join": RECOVERY | {"transactions": 100_000},
        "proposer": [
            WAITS
            | {"timeout_propose_ms": 1_000, "per_s": 300.0, "late_rounds": {"blocks": 9, "late": 2}}
        ],
    }  # fmt: skip
    return json.loads(json.dumps(copy.deepcopy(whole | changes)))


def report_of(*networks: dict[str, Any]) -> dict[str, Any]:
    return new_report("python -m bench network", FACTS) | {"networks": list(networks)}


# ---- arithmetic


def test_a_disk_is_what_grew_on_the_node_where_that_is_most() -> None:
    each = bytes_each(entry()["growth"])
    assert each == {"ledger": 400.0, "blocks": 0, "state": 0, "evidence": 0, "wal": 200.0, "together": 600.0}


def test_waits_are_told_in_milliseconds_of_all_of_them() -> None:
    spread = spread_of([0.001 * number for number in range(1, 102)])
    assert (spread.p50_ms, spread.max_ms) == pytest.approx((51.0, 101.0))
    assert spread.p95_ms == pytest.approx(96.0)
    assert spread.p99_ms == pytest.approx(100.0)


def test_a_wait_is_cut_where_its_block_went_through_the_nodes() -> None:
    sent = [Sent(home=1, sent=10.0, read=10.5, height=7, succeeded=True)]
    moments = [
        {"7": {PREPARED: 10.05}},  # a proposer whose round came to nothing
        {"7": {FINALIZING: 10.3, FINALIZED: 10.4, COMMITTED: 10.45}},
        {"7": {PREPARED: 10.1}},
        {"7": {PREPARED: 10.35}},  # after the decision: not what was decided
    ]
    phases = phases_of(sent, moments)
    assert phases == pytest.approx(
        {"propose": 100, "decide": 200, "execute": 100, "commit": 50, "receipt": 50}
    )
    assert sum(phases.values()) == pytest.approx(500)


def test_what_a_node_did_not_note_is_left_out_of_the_phases() -> None:
    sent = [Sent(0, 1.0, 2.0, 7, True), Sent(0, 1.0, 2.0, 8, True)]
    assert phases_of(sent, [{"7": {PREPARED: 1.1}, "8": {FINALIZING: 1.2}}]) == {}


def test_processor_time_is_that_of_all_nodes_and_all_cometbfts() -> None:
    assert cpu_between([(1.0, 2.0), (3.0, 4.0)], [(2.0, 2.5), (5.0, 4.5)]) == {"node_s": 3.0, "comet_s": 1.0}


def test_bytes_are_those_of_the_files_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(300))
    (tmp_path / "c").write_bytes(bytes(50))
    assert allocated_bytes(tmp_path) == 350
    assert allocated_bytes(tmp_path / "none") == 0


# ---- who sends where


def test_senders_are_dealt_out_evenly_and_always_go_to_the_same_node() -> None:
    for keys in (SENDERS, HANDLERS, RESIDENTS):
        if keys is SENDERS:
            raws = [Sender(key, 1, 0).sign_type_2(bytes(20), b"", 21_000, 0, 0) for key in keys]
        else:
            raws = [Sender(key, 1, 0).sign_calls([Call(bytes(20), b"")], 60_000) for key in keys]
        homes = [home_of(raw, 4) for raw in raws]
        assert [homes.count(node) for node in range(4)] == [len(keys) // 4] * 4
    assert len({key.address for keys in (SENDERS, HANDLERS, RESIDENTS, CLERKS, (DEPLOYER,)) for key in keys})


def test_a_request_holds_transactions_of_one_node_in_their_order() -> None:
    senders = [Sender(key, 1, 0) for key in SENDERS]
    raws = [senders[i % 16].sign_type_2(bytes(20), b"", 21_000, 0, 0) for i in range(100)]

    async def requests() -> tuple[list[list[bytes]], list[int]]:
        async with SpreadClient(["http://127.0.0.1:1", "http://127.0.0.1:2"], 1) as client:
            cut = [list(request) for request in client.requests(raws, 8)]
            return cut, [client.home(raw) for raw in raws]

    cut, homes = asyncio.run(requests())
    assert sorted(raw for request in cut for raw in request) == sorted(raws)
    assert all(len(request) <= 8 for request in cut)
    for request in cut:
        assert len({homes[raws.index(raw)] for raw in request}) == 1
    for node in range(2):
        order = [raw for request in cut for raw in request if homes[raws.index(raw)] == node]
        assert order == [raw for raw, home in zip(raws, homes, strict=True) if home == node]
    assert [homes[raws.index(request[0])] for request in cut[:4]] == [0, 1, 0, 1]


def test_validators_have_keys_of_their_own() -> None:
    keys = [validator_key(number) for number in range(1, 8)]
    assert keys[0] == VALIDATOR
    assert len({key.public_key for key in keys}) == 7


def test_ports_are_different() -> None:
    assert len(set(free_ports(30))) == 30


# ---- what is told of it


def test_goals_take_the_worst_of_what_was_measured() -> None:
    found = {goal.en: goal for goal in network_goals([entry()])}
    assert found["ERC-20 transfers"].measured == pytest.approx(499.0)
    assert found["submit to final, p50 at 20 tx/s"].measured == 140.0
    assert found["submit to final, p99 at 20 tx/s"].reached
    assert found["a killed validator back in step"].measured == 6.0
    assert found["a killed validator back in step"].reached is False
    assert found["join by state sync at 10⁵ transactions"].reached
    assert found["disk, an ERC-20 transfer and node"].measured == pytest.approx(600.0)


def test_nothing_measured_is_nothing_reached_and_a_short_chain_is_no_long_one() -> None:
    assert {goal.reached for goal in network_goals([])} == {None}
    short = network_goals([entry(join=RECOVERY | {"transactions": 99_999})])
    assert next(goal for goal in short if goal.en.startswith("join")).measured is None


def test_the_page_and_the_document_show_a_network_beside_what_is_quoted() -> None:
    report = report_of(entry())
    page = as_html(report)
    for words in ("4 validators", "112–160 tx/s", "64 / 112 ms", "quoted, not measured here", "CometBFT"):
        assert words in page
    made = tables(report)
    assert "goals" not in made, "figures of one node stay as they were"
    assert "runs" not in made
    assert "**600**" in made["network"]
    assert "6 kB" in made["fabric"]
    text = updated(DOCUMENT.read_text(), made)
    assert updated(text, made) == text


def test_a_part_that_was_not_measured_has_no_table() -> None:
    names = {"throughput", "latency", "disk", "restart", "join", "phases", "proposer"}
    assert {rows.name for rows in network_rows(entry())} == names
    bare = {"validators": 2, "spread": False}
    assert network_rows(bare) == []
    assert "2 validators, load on the first node" in as_html(report_of(bare))


def test_rows_have_a_cell_for_each_heading() -> None:
    for rows in network_rows(entry()):
        assert rows.rows
        assert {len(row) for row in rows.rows} == {len(rows.headings)}


def test_the_stages_of_a_network_are_those_of_one_of_its_nodes_and_its_cometbft() -> None:
    (stack,) = stacks_of(report_of(entry()))
    assert stack.cpu_us["execute"] == pytest.approx(SPENT["execute"]["cpu"] * 1e6 / 4_000)
    assert stack.cpu_us["cometbft"] == pytest.approx(2.0 * 1e6 / 4_000)


@pytest.mark.slow
@pytest.mark.cometbft
def test_a_quick_run_of_two_validators_measures_every_part(tmp_path: Path) -> None:
    require_cometbft()
    out = tmp_path / "out.json"
    options = ["--quick", "--validators", "2", "--reports", str(tmp_path / "reports"), "--json", str(out)]
    assert main(options) == 0
    report = load_report(out)
    (network,) = report["networks"]
    wanted = [one.name for one in SCENARIOS if one.rate is None]
    assert [one["scenario"] for one in network["throughput"]] == wanted
    for one in network["throughput"]:
        assert one["failed"] == one["refused"] == 0
        assert one["cpu"]["comet_s"] > 0
    assert "proposer" not in network, "two go on only together"
    for one in network["latency"]:
        assert one["failed"] == 0
        assert one["p50_ms"] <= one["p99_ms"] <= one["max_ms"]
        assert one["p50_ms"] <= one["everywhere"]["p50_ms"]
    for one in network["stages"]:
        assert set(one["stages"]) == set(STAGES) - OF_ONE_NODE - {"cometbft"}
        assert one["stages"]["abci"]["cpu"] > 0
    for one in network["phases"]:
        assert set(one["phases"]) == set(PHASES)
        assert all(milliseconds > 0 for milliseconds in one["phases"].values())
    assert [point["transfers"] for point in network["growth"]["points"]] == [0, 300]
    assert bytes_each(network["growth"])["ledger"] > 0
    assert network["snapshot"]["bytes"] > 0
    (restart,) = network["restart"]
    assert restart["listens_s"] <= restart["comet_s"] <= restart["in_step_s"]
    assert network["join"]["transactions"] == 300
    assert 0 < network["join"]["begins_s"] <= network["join"]["in_step_s"]
    assert report["runs"][0]["command"] == "python -m bench network --validators 2 --quick"
