"""What must hold after every scenario, whatever it did.

1. Block hash and state root of every height are the same on every machine that holds it.
2. `check_ledger` finds nothing on any of them.
3. Nothing acknowledged is lost: each receipt that a user was shown is on every machine, in the same block,
   with the same status.
4. The blocks of one of them, replayed without CometBFT, give the same (`replay`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from node.chain.genesis import Genesis, decode_genesis
from node.chain.receipt import decode_receipt
from node.ledger import Ledger, LedgerSnapshot
from node.ledger.check import check_ledger
from tests.network.scenarios.load import Acknowledged
from tests.network.scenarios.replay import replay

_PROCESSES = 2


@dataclass(frozen=True)
class Found:
    """`common_height`: what every machine that ran to the end has; `compared`: heights held by some."""

    common_height: int
    compared: int


def require_whole(
    ledgers: Mapping[Path, bool], genesis: Genesis, acknowledged: Sequence[Acknowledged]
) -> Found:
    """Of machines that were stopped: the paths of their ledgers, and whether it ran to the end, so that it
    must hold everything. Fails with what is wrong.
    """
    chains = {path: _chain(path, genesis) for path in ledgers}
    compared = max(tip for tip, _, _ in chains.values())
    for height in range(1, compared + 1):
        held = {path: blocks[height] for path, (_, _, blocks) in chains.items() if height in blocks}
        assert len(set(held.values())) == 1, f"height {height}: {held}"
    latest = max((one.height for one in acknowledged), default=0)
    for path, (tip, base, _) in chains.items():
        assert tip >= latest or not ledgers[path], f"{path} has {tip}, acknowledged is {latest}"
        with Ledger.open(path, genesis) as ledger, ledger.snapshot() as snapshot:
            for one in acknowledged:
                if tip >= one.height > base:
                    _require_kept(snapshot, one, path)
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn")) as pool:
        for path, findings in zip(chains, pool.map(_findings, chains), strict=True):
            assert not findings, f"{path}: {findings}"
    begun_at_genesis = [path for path, (_, base, _) in chains.items() if base == 0 and ledgers[path]]
    with tempfile.TemporaryDirectory(prefix="shelian-replay-") as scratch:
        replay(begun_at_genesis[0], genesis, Path(scratch) / "fresh")
    return Found(min(tip for path, (tip, _, _) in chains.items() if ledgers[path]), compared)


def _findings(path: Path) -> list[str]:
    """Of `check_ledger`; in a process of its own."""
    genesis = decode_genesis((path.parent.parent / "genesis.json").read_bytes())
    return [str(one) for one in check_ledger(path, genesis).findings]


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
    receipt = snapshot.receipt(*place)
    assert receipt is not None
    assert hex(decode_receipt(receipt.encoded).status) == one.status, f"{path}: another outcome {one}"
