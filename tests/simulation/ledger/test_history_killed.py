"""kill -9 anywhere while old blocks are filled in: the ledger opens, holds whole blocks from its first one
on, and goes on from there.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.past import PastBlock
from tests.helpers.history import begin_at, make_history, served
from tests.simulation.ledger.test_snapshot_killed import is_killed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_old_blocks_are_filled_in(tmp_path: Path, seed: int) -> None:
    chain, saved = make_history(tmp_path)
    base = saved.manifest.height
    with begin_at(saved, chain.ledger, tmp_path / "node") as ledger:
        path = ledger.path
    blocks: list[PastBlock] = served(chain.ledger, base, 100)
    chain.close()

    def fill_in() -> None:
        with Ledger.open(path) as ledger:
            while (first := first_block(ledger)) > 0:
                at = base + 1 - first
                ledger.fill_in(blocks[at : at + 2])

    chance = random.Random(seed)
    deaths, after, before = 0, 1, base + 1
    while is_killed(after, fill_in):
        deaths += 1
        after = chance.randint(1, 6)
        with Ledger.open(path) as ledger:
            first = first_block(ledger)
        assert first <= before, "what was written stays"
        before = first
        if deaths % 3 == 0:
            assert check_ledger(path, headers_come_later=False).ok
    assert deaths > 2
    report = check_ledger(path, headers_come_later=False)
    assert (report.findings, report.unverified) == ([], [])


def first_block(ledger: Ledger) -> int:
    with ledger.snapshot() as snapshot:
        return snapshot.first_block
