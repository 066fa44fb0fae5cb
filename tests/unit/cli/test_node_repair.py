"""`shelian node repair`: what it says, what it asks for, what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from node.chain.encoding import keccak256
from node.chain.genesis import encode_genesis
from node.ledger import Ledger
from node.state.database import Batch, Database
from node.state.tables import TRANSACTIONS
from tests.helpers.ledger import Chain, mint

runner = CliRunner()
HEIGHT = 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose ledger has four blocks of one transaction."""
    chain = Chain.create(tmp_path / "node" / "ledger")
    for _ in range(HEIGHT):
        chain.add_block([chain.sign(chain.clerk, [mint(b"\x77" * 20, 1)])])
    chain.close()
    (tmp_path / "genesis.json").write_bytes(encode_genesis(chain.ledger.genesis))
    return tmp_path


@pytest.fixture
def damaged(data: Path) -> Path:
    """Block 3 has lost its transaction."""
    with Database.open(data / "node" / "ledger") as database:
        batch = Batch()
        batch.delete(TRANSACTIONS, (3, 0))
        database.write(batch)
    return data


def run(data: Path, *options: str) -> Result:
    return runner.invoke(app, ["node", "repair", "--data", str(data), *options])


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_nothing_to_repair(data: Path) -> None:
    result = run(data, "--json")
    assert result.exit_code == 0
    told = document(result)
    assert (told["ok"], told["needed"], told["repaired"], told["height"]) == (True, False, False, HEIGHT)


@pytest.mark.parametrize("options", [("--dry-run",), ("--dry-run", "--yes"), ()])
def test_without_consent_it_reports_only(damaged: Path, options: tuple[str, ...]) -> None:
    result = run(damaged, "--json", *options)
    assert result.exit_code == 1
    told = document(result)
    assert (told["needed"], told["repaired"], told["recorded"], told["height"]) == (True, False, HEIGHT, 2)
    assert [block["height"] for block in told["dropped"]] == [3, 4]
    assert sorted(path.name for path in (damaged / "node").iterdir()) == ["ledger"]


def test_dropping_acknowledged_blocks_is_said_plainly_in_two_languages(damaged: Path) -> None:
    result = run(damaged)
    assert result.exit_code == 1
    assert "将丢弃 2 个区块" in result.output
    assert "another history" in " ".join(result.output.split())


def test_a_repair_keeps_the_damaged_directory_and_what_it_drops(damaged: Path) -> None:
    with Database.open(damaged / "node" / "ledger") as database, database.snapshot() as reads:
        raw = reads.get(TRANSACTIONS, (4, 0))
    assert raw is not None
    told = document(run(damaged, "--json", "--yes"))
    assert (told["repaired"], told["height"], told["checked"]) == (True, 2, True)
    assert Path(told["damaged_directory"]).is_dir()
    (line,) = Path(told["dropped_file"]).read_text().splitlines()
    row = json.loads(line)
    assert row == {"height": 4, "index": 0, "hash": "0x" + keccak256(raw).hex(), "raw": "0x" + raw.hex()}
    with Ledger.open(damaged / "node" / "ledger") as ledger:
        assert ledger.tip.height == 2
    assert document(run(damaged, "--json"))["needed"] is False


def test_options_before_the_command_are_refused(data: Path) -> None:
    result = runner.invoke(app, ["node", "--data", str(data), "repair"])
    assert getattr(result.exception, "code", None) == "node.option_before_command"
