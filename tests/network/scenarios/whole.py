"""What must hold after every scenario, whatever it did.

1. Block hash and state root of every height are the same on every machine that holds it.
2. `check_ledger` finds nothing on any of them.
3. Nothing acknowledged is lost: each receipt that a user was shown is on every machine, in the same block, with
   the same status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.chain.genesis import Genesis
from node.chain.receipt import decode_receipt
from node.ledger import Ledger, LedgerSnapshot
from node.ledger.check import check_ledger
from tests.network.scenarios.load import Acknowledged


@dataclass(frozen=True)
class Found:
    """Of all machines: the lowest height that each has reached, and how many heights were compared."""

    common_height: int
    compared: int
    transactions: int


def require_whole(
    ledgers: Sequence[Path], genesis: Genesis, acknowledged: Sequence[Acknowledged], behind: int
) -> Found:
    """Of machines that were stopped. `behind`: how many blocks the last one may lag. Fails with what is wrong."""
    chains = [_chain(path, genesis) for path in ledgers]
    compared = 0
    for height in range(1, max(tip for tip, _, _ in chains) + 1):
        blocks = {blocks[height] for _, _, blocks in chains if height in blocks}
        assert len(blocks) == 1, f"height {height}: {[(p.parent.parent.name) for p in ledgers]}: {blocks}"
        compared += 1
    tips = [tip for tip, _, _ in chains]
    assert max(tips) - min(tips) <= behind, f"one lags: {tips}"
    for path, (_, base, _) in zip(ledgers, chains, strict=True):
        with Ledger.open(path, genesis) as ledger, ledger.snapshot() as snapshot:
            for one in acknowledged:
                if min(tips) >= one.height > base:
                    _require_kept(snapshot, one, path)
    for path in ledgers:
        report = check_ledger(path, genesis)
        assert report.ok, f"{path}: {report.findings}"
    latest = max((one.height for one in acknowledged), default=0)
    assert min(tips) >= latest, f"acknowledged at {latest}, but machines are at {tips}"
    return Found(min(tips), compared, len(acknowledged))


def _chain(path: Path, genesis: Genesis) -> tuple[int, int, dict[int, tuple[bytes, bytes]]]:
    """Tip, base, and (block hash, state root) by height."""
    with Ledger.open(path, genesis) as ledger, ledger.snapshot() as snapshot:
        tip, base = ledger.tip.height, snapshot.base
        blocks = {}
        for height in range(max(1, base), tip + 1):
            block = snapshot.block(height)
            assert block is not None, f"{path}: no block {height}"
            blocks[height] = (block.hash, block.state_root)
        return tip, base, blocks


def _require_kept(snapshot: LedgerSnapshot, one: Acknowledged, path: Path) -> None:
    place = snapshot.locate(bytes.fromhex(one.transaction[2:]))
    assert place is not None, f"{path}: lost {one}"
    block = snapshot.block(place[0])
    assert block is not None
    assert (place[0], block.hash.hex()) == (one.height, one.block[2:]), f"{path}: moved {one}"
    encoded = snapshot.receipt(*place).encoded
    assert hex(decode_receipt(encoded).status) == one.status, f"{path}: another outcome {one}"
