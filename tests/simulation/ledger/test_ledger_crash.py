"""kill -9 at every named step of a commit: the next start has the block as a whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.ledger.check import check_ledger
from node.ledger.ledger import STEPS
from tests.helpers.ledger import Chain, mint

ROOT = Path(__file__).parents[3]
TO = b"\x77" * 20
BLOCKS_BEFORE = 3

VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.helpers.ledger import Chain, mint

path, step, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
blocks = 0

def on_step(name):
    if name == step and blocks == after:
        os.kill(os.getpid(), signal.SIGKILL)

chain = Chain.create(path, on_step=on_step)
for blocks in range(1, 99):
    chain.add_block([chain.sign(chain.clerk, [mint(bytes([0x77]) * 20, 1)])])
    print(chain.ledger.tip.height, flush=True)
"""


def run_victim(path: Path, step: str, after: int) -> list[int]:
    """Heights that were acknowledged before the process was killed in `step` of block `after`."""
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, str(path), step, str(after)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return [int(line) for line in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_block_is_there_as_a_whole_or_not_at_all(tmp_path: Path, step: str) -> None:
    path = tmp_path / "ledger"
    acknowledged = run_victim(path, step, BLOCKS_BEFORE + 1)
    assert acknowledged == list(range(1, BLOCKS_BEFORE + 1))

    chain = Chain.open(path)
    written = step in ("write.done", "commit.published")
    assert chain.ledger.tip.height == BLOCKS_BEFORE + written
    assert chain.balance(TO) == chain.nonce(chain.clerk) == chain.ledger.tip.height
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    assert chain.balance(TO) == chain.ledger.tip.height
    chain.close()

    report = check_ledger(path)
    assert report.ok, report.findings
    assert report.headers == report.commits == report.height


@pytest.mark.slow
@pytest.mark.parametrize("step", ["write.begin", "write.done"])
def test_a_creation_that_was_killed_is_taken_up_again(tmp_path: Path, step: str) -> None:
    path = tmp_path / "ledger"
    assert run_victim(path, step, 0) == []
    if step == "write.begin":
        Chain.create(path).close()
    chain = Chain.open(path)
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    chain.close()
    assert check_ledger(path).ok


@pytest.mark.slow
def test_a_torn_last_write_is_dropped_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    run_victim(path, "write.done", BLOCKS_BEFORE + 1)
    log = max(path.glob("*.log"), key=lambda file: file.stat().st_size)
    size = log.stat().st_size
    with log.open("r+b") as file:
        file.truncate(size - 100)
    chain = Chain.open(path)
    assert chain.ledger.tip.height == BLOCKS_BEFORE
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    chain.close()
    assert check_ledger(path).ok
