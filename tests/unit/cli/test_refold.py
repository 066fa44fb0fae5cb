"""`shelian refold`: the read models begin again, whatever they had read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.community_correction.store import Store
from apps.sharing_points.store import PointsStore
from apps.site.store import open_sqlite
from cli.main import app
from node.chain.genesis import encode_genesis
from tests.helpers.ledger import Chain

CHAIN, BLOCK = 4711, 9


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which the court and the love bank have read nine blocks."""
    chain = Chain.create(tmp_path / "node" / "ledger")
    chain.close()
    (tmp_path / "genesis.json").write_bytes(encode_genesis(chain.ledger.genesis))
    for directory in (tmp_path / "correction" / "court", tmp_path / "points"):
        directory.mkdir(parents=True)
    court, points = stores(tmp_path)
    for store in (court, points):
        store.apply(CHAIN, BLOCK, [])
        store.close()
    return tmp_path


def stores(data: Path) -> tuple[Store, PointsStore]:
    court = Store.open(data / "correction" / "court" / "correction.sqlite")
    return court, PointsStore(open_sqlite(data / "points" / "points.sqlite"))


def test_every_read_model_that_is_there_begins_again(data: Path) -> None:
    result = CliRunner().invoke(app, ["refold", str(data), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "dropped": ["court", "points"]}
    for store in stores(data):
        assert store.load_cursor() is None
        store.close()


def test_a_place_without_a_genesis_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["refold", str(tmp_path)])
    assert result.exit_code == 1
    assert getattr(result.exception, "code", "") == "genesis.unreadable"
    assert list(tmp_path.iterdir()) == []
