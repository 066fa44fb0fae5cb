"""Whoever reads never waits for whoever writes: a commit, or a step of pruning, stopped in the middle."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from node.ledger import Ledger
from node.ledger.ledger import STEPS
from node.ledger.retention import ARCHIVE, Retention
from tests.helpers.ledger import TOKEN, Chain, mint

SOMEBODY = b"\x77" * 20


class Barrier:
    """Stops the writing thread at one step until it is let on."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.armed = False
        self.reached = threading.Event()
        self.let_on = threading.Event()

    def __call__(self, step: str) -> None:
        if self.armed and step == self.step:
            self.reached.set()
            assert self.let_on.wait(30)


def opened(path: Path, barrier: Barrier, retention: Retention) -> Chain:
    Chain.create(path).close()
    chain = Chain(Ledger.open(path, on_step=barrier, retention=retention))
    for _ in range(3):
        chain.add_block([chain.sign(chain.clerk, [mint(SOMEBODY, 1)])])
    return chain


def read_everything(chain: Chain) -> int:
    """The height that readers see."""
    ledger = chain.ledger
    raw = chain.sign(chain.clerk, [mint(SOMEBODY, 1)])
    assert ledger.check(raw, chain.next_time_ns).transaction.raw == raw
    with ledger.snapshot() as snapshot:
        height = snapshot.tip.height
        assert chain.balance(SOMEBODY) == height
        assert snapshot.state(height - 1).account(TOKEN) is not None
        assert snapshot.account_proof(TOKEN, (1,))
        assert snapshot.receipts(height)
    assert ledger.tip.height == height
    return height


@pytest.mark.parametrize("step", STEPS)
def test_reads_go_on_while_a_block_is_written(tmp_path: Path, step: str) -> None:
    barrier = Barrier(step)
    chain = opened(tmp_path / "ledger", barrier, ARCHIVE)
    decided, header, commit, last_commit = chain.decide([chain.sign(chain.clerk, [mint(SOMEBODY, 1)])])
    finalized = chain.ledger.finalize(decided)
    barrier.armed = True
    writer = threading.Thread(
        target=lambda: chain.ledger.commit(finalized, header=header, commit=commit, last_commit=last_commit)
    )
    writer.start()
    assert barrier.reached.wait(30)
    # Were a lock held that readers take, this would not come back before `let_on`.
    reader = threading.Thread(target=lambda: seen.append(read_everything(chain)))
    seen: list[int] = []
    reader.start()
    reader.join(30)
    assert seen == [4 if step == "commit.published" else 3]
    barrier.let_on.set()
    writer.join()
    assert read_everything(chain) == 4
    chain.close()


def test_reads_go_on_while_old_states_are_deleted(tmp_path: Path) -> None:
    barrier = Barrier("write.begin")
    chain = opened(tmp_path / "ledger", barrier, Retention(2))
    barrier.armed = True
    pruner = threading.Thread(target=chain.ledger.prune)
    pruner.start()
    assert barrier.reached.wait(30)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(read_everything(chain)))
    reader.start()
    reader.join(30)
    assert seen == [3]
    barrier.let_on.set()
    pruner.join()
    chain.close()


def test_a_block_is_executed_while_old_states_are_deleted(tmp_path: Path) -> None:
    barrier = Barrier("write.begin")
    chain = opened(tmp_path / "ledger", barrier, Retention(2))
    barrier.armed = True
    pruner = threading.Thread(target=chain.ledger.prune)
    pruner.start()
    assert barrier.reached.wait(30)
    decided, header, commit, last_commit = chain.decide([chain.sign(chain.clerk, [mint(SOMEBODY, 1)])])
    finalized = chain.ledger.finalize(decided)
    barrier.armed = False
    barrier.let_on.set()
    chain.ledger.commit(finalized, header=header, commit=commit, last_commit=last_commit)
    pruner.join()
    assert read_everything(chain) == 4
    chain.close()
