"""A node restored from a snapshot by the commands, run with its engine, asked through real JSON-RPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from node.chain.encoding import keccak256
from node.chain.errors import ShelianError
from node.chain.genesis import encode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.state.database import Batch, Database
from node.state.tables import RECEIPTS, SLOTS
from tests.helpers.rpc_node import OTHER, SENDER, address_of, running_node

MINT = keccak256(b"mint(uint256)")[:4] + (7).to_bytes(32, "big")
"""Of the sample contract; it logs."""


@dataclass(frozen=True)
class Origin:
    """A data directory with a few blocks, a contract in block 1, and a snapshot; what it answered."""

    data: Path
    height: int
    app_hash: str
    next_header: str
    contract: str
    old_hash: str
    code: str


def run(*arguments: str | Path) -> dict[str, Any]:
    """The command's JSON; fails the test unless it succeeds. Raises the ShelianError that it ends with."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=True)
    if isinstance(done.exception, ShelianError):
        raise done.exception
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    data = tmp_path_factory.mktemp("origin") / "data"
    with running_node(data / "node") as node:
        contract = node.deploy()
        old_hash = node.send(node.sign(SENDER, contract, MINT))["transactionHash"]
        code = node.call("eth_getCode", contract, "latest")
        genesis = node.genesis
    (data / "genesis.json").write_bytes(encode_genesis(genesis))
    made = run("node", "snapshot", "create", "--data", data)
    with running_node(data / "node") as node:
        node.send(node.sign(SENDER, contract, MINT))
        header = node.call("shelian_getHeader", hex(made["height"] + 1))
    return Origin(
        data,
        made["height"],
        header["header"]["appHash"],
        header["header"]["encoded"],
        contract,
        old_hash,
        code,
    )


@pytest.fixture
def restored(origin: Origin, tmp_path: Path) -> Iterator[Path]:
    data = tmp_path / "restored"
    answer = run(
        "node", "snapshot", "restore", origin.data / "node" / "snapshots" / str(origin.height),
        "--genesis", origin.data / "genesis.json", "--data", data, "--header", origin.next_header,
    )  # fmt: skip
    assert (answer["height"], answer["app_hash"]) == (origin.height, origin.app_hash)
    return data


def test_it_makes_blocks_and_answers_from_its_first_block_on(origin: Origin, restored: Path) -> None:
    base = origin.height
    with running_node(restored / "node") as node:
        receipt = node.send(node.sign(SENDER, origin.contract, MINT))
        assert receipt["status"] == "0x1"
        assert int(receipt["blockNumber"], 16) > base
        assert node.call("eth_getCode", origin.contract, "latest") == origin.code
        assert node.call("eth_getCode", origin.contract, hex(base)) == origin.code
        assert node.call("shelian_status")["firstBlock"] == hex(base + 1)
        block = node.call("eth_getBlockByNumber", hex(base + 1), True)
        assert block["parentHash"] == node.call("shelian_getHeader", hex(base))["hash"]
        history = node.call("eth_feeHistory", hex(100), "latest", [])
        assert history["oldestBlock"] == hex(base)
        logs = node.call("eth_getLogs", {"fromBlock": hex(base + 1), "toBlock": "latest"})
        assert [log["blockNumber"] for log in logs] == [receipt["blockNumber"]]
        assert (
            node.call("shelian_getTransactionProof", receipt["transactionHash"])["height"]
            == receipt["blockNumber"]
        )


def test_what_lies_before_is_refused_by_name(origin: Origin, restored: Path) -> None:
    base, sender = origin.height, "0x" + address_of(OTHER).hex()
    with running_node(restored / "node") as node:
        node.send(node.sign(SENDER, origin.contract, MINT))
        asked: list[tuple[str, tuple[object, ...], int]] = [
            ("eth_getBlockByNumber", (hex(height), False), height) for height in (0, 1, base)
        ]
        asked += [
            ("eth_getBlockByNumber", ("earliest", False), 0),
            ("eth_getTransactionByBlockNumberAndIndex", (hex(base), "0x0"), base),
            ("eth_getBlockReceipts", ("0x1",), 1),
            ("eth_getBlockTransactionCountByNumber", ("0x1",), 1),
            ("eth_getBalance", (sender, "0x1"), 1),
            ("eth_getTransactionCount", (sender, "0x0"), 0),
            ("eth_call", ({"to": origin.contract}, "0x1"), 1),
            ("eth_getProof", (sender, [], "0x1"), 1),
            ("shelian_getHeader", ("0x1",), 1),
            ("shelian_getValidators", ("0x1",), 1),
            ("eth_getLogs", ({"fromBlock": "earliest", "toBlock": "latest"},), 0),
            ("eth_getLogs", ({"fromBlock": hex(base), "toBlock": "latest"},), base),
        ]
        for method, parameters, height in asked:
            error = node.error(method, *parameters)
            assert error["data"]["code"] == "ledger.history_unavailable", (method, error)
            assert (error["data"]["got"], error["data"]["expected"]) == (height, base + 1), (method, error)
        # A hash that is not found may be older or may not be; clients that wait for it ask for null.
        assert node.call("eth_getTransactionReceipt", origin.old_hash) is None
        assert node.call("eth_getTransactionByHash", origin.old_hash) is None


def test_the_check_says_what_it_did_not_verify(origin: Origin, restored: Path) -> None:
    with running_node(restored / "node") as node:
        node.send(node.sign(SENDER, origin.contract, MINT))
    report = run("check", restored)
    assert (report["ok"], report["base"]) == (True, origin.height)
    assert [text.split(" are not here")[0] for text in report["unverified"]] == [
        f"blocks 1 to {origin.height}"
    ]
    for file in (restored / "node" / "snapshots" / str(origin.height)).iterdir():
        file.unlink()
    (restored / "node" / "snapshots" / str(origin.height)).rmdir()
    report = run("check", restored)
    assert report["ok"]
    assert "not executed again" in report["unverified"][-1]


def test_without_the_snapshot_damage_is_still_found(origin: Origin, restored: Path) -> None:
    with running_node(restored / "node") as node:
        place = node.send(node.sign(SENDER, origin.contract, MINT))
    path, nowhere = restored / "node" / "ledger", restored / "nowhere"
    assert check_ledger(path, snapshots=nowhere).ok
    with Database.open(path) as database:
        batch = Batch()
        batch.delete(RECEIPTS, (int(place["blockNumber"], 16), 0))
        database.write(batch)
    codes = {finding.code for finding in check_ledger(path, snapshots=nowhere).findings}
    assert codes >= {"check.results_hash", "check.gas_used"}
    with Database.open(path) as database:
        with database.snapshot() as reads:
            key, value = next(reads.scan(SLOTS))
        batch = Batch()
        batch.put(SLOTS, key, value + 1)
        database.write(batch)
    codes = {finding.code for finding in check_ledger(path, snapshots=nowhere).findings}
    assert "check.flat_slot" in codes


def test_a_state_that_no_header_confirms_is_told(origin: Origin, restored: Path) -> None:
    report = check_ledger(restored / "node" / "ledger")
    assert report.ok
    assert report.unverified[1] == f"the state at height {origin.height}: no header here states it yet"


def test_create_list_and_verify(origin: Origin) -> None:
    place = origin.data / "node" / "snapshots" / str(origin.height)
    (listed,) = run("node", "snapshot", "list", "--data", origin.data)["snapshots"]
    assert (listed["height"], listed["directory"]) == (origin.height, str(place))
    genesis = ("--genesis", origin.data / "genesis.json")
    for trusted, option in (
        (None, ()),
        ("app_hash", ("--app-hash", origin.app_hash)),
        ("header", ("--header", origin.next_header)),
    ):
        verified = run("node", "snapshot", "verify", place, *genesis, *option)
        assert (verified["ok"], verified["compared_with"]) == (True, trusted)
        assert verified["hash"] == listed["hash"]
    for option, code in (
        (("--app-hash", "0x" + "00" * 32), "snapshot.app_hash"),
        (("--app-hash", "nothing"), "snapshot.bad_option"),
        (("--header", "0x0102"), "snapshot.bad_option"),
    ):
        with pytest.raises(ShelianError, match=code.replace(".", r"\.")):
            run("node", "snapshot", "verify", place, *genesis, *option)


def test_a_restore_needs_something_trusted_and_an_empty_place(origin: Origin, restored: Path) -> None:
    place = origin.data / "node" / "snapshots" / str(origin.height)
    options = ("--genesis", origin.data / "genesis.json")
    with pytest.raises(ShelianError, match=r"snapshot\.not_trusted"):
        run("node", "snapshot", "restore", place, *options, "--data", restored.parent / "other")
    trusted = (*options, "--app-hash", origin.app_hash)
    with pytest.raises(ShelianError, match=r"ledger\.has_blocks"):
        run("node", "snapshot", "restore", place, *trusted, "--data", origin.data)
    names = sorted(entry.name for entry in (origin.data / "node").iterdir())
    assert names == ["card.json", "ledger", "snapshots"]
    with Ledger.open(origin.data / "node" / "ledger") as untouched:
        assert untouched.tip.height > origin.height
    with pytest.raises(ShelianError, match=r"snapshot\.missing"):
        run("node", "snapshot", "restore", place.parent, *trusted, "--data", restored.parent / "other")


def test_a_running_node_is_left_alone(origin: Origin) -> None:
    with (
        running_node(origin.data / "node"),
        pytest.raises(ShelianError, match=r"state\.locked"),
    ):
        run("node", "snapshot", "create", "--data", origin.data)
