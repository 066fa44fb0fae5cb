"""What CometBFT decided gives the same roots, results and receipts through a ledger driven without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.genesis import decode_genesis
from node.ledger import DecidedBlock, FinalizedBlock, Ledger
from tests.network.comet.small_network import require_cometbft
from tests.network.scenarios.__main__ import run
from tests.network.scenarios.replay import replay
from tests.network.scenarios.test_scenarios import require
from tests.network.scenarios.worlds import why_no_worlds

pytestmark = [pytest.mark.cometbft, pytest.mark.slow, pytest.mark.xdist_group("scenarios")]

SCENARIO = """# transfers, documents, failing calls, refused ones; rules that change on the way
suite quick
network 2 validators
load 40 per second
vote rules with byte gas 17 in 30 blocks
wait until height +40
stop 2          # a block is decided by nobody, then goes on
start 2
wait until height +20
expect rules version 2
"""


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directory of a node of that network, which was stopped."""
    require_cometbft()
    require(why_no_worlds())
    path = tmp_path_factory.mktemp("decided")
    file = path / "replay.scenario"
    file.write_text(SCENARIO)
    report = run(file, path)
    assert not report.failure, f"{report.failure}\n{report.details}"
    assert report.acknowledged > 50
    return path / "node1"


def test_decided_blocks_give_the_same_without_cometbft(decided: Path, tmp_path: Path) -> None:
    genesis = decode_genesis((decided / "genesis.json").read_bytes())
    height = replay(decided / "node" / "ledger", genesis, tmp_path / "fresh")
    with Ledger.open(tmp_path / "fresh") as ledger, ledger.snapshot() as snapshot:
        assert height == ledger.tip.height
        statuses = {
            receipt.result.code for block in range(1, height + 1) for receipt in snapshot.receipts(block)
        }
        assert statuses == {0}
        assert ledger.rules.version == 2


def test_another_state_root_is_noticed(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison itself: with a ledger that executes one block as if it were a second later, it fails."""
    genesis = decode_genesis((decided / "genesis.json").read_bytes())
    finalize = Ledger.finalize

    def altered(ledger: Ledger, block: DecidedBlock) -> FinalizedBlock:
        if block.transactions and block.height > 20:
            block = DecidedBlock(
                block.height, block.time_ns, block.hash, block.proposer_address, block.transactions[:-1]
            )
        return finalize(ledger, block)

    monkeypatch.setattr(Ledger, "finalize", altered)
    with pytest.raises(AssertionError, match="another state root"):
        replay(decided / "node" / "ledger", genesis, tmp_path / "fresh")
