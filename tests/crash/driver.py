"""Scenarios: what a program does to a ledger while it is recorded.

    python -m tests.crash.driver NAME DIRECTORY

A scenario is a function of a `Driver`; `scenario` puts it into the list. Each marks what it has acknowledged:

    created           the ledger is there
    damaged           (repair) it is damaged now
    repaired          (repair) a repaired one is in its place
    height N HASH     the block of height N is committed, HASH is the state root after it
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.ledger import Ledger
from node.ledger.repair import repair_ledger
from node.ledger.retention import Retention
from node.state import database
from node.state.database import Batch, Database
from node.state.tables import TRANSACTIONS
from tests.helpers.ledger import Chain, mint, transfer

LEDGER: Final = "ledger"
"""The ledger's directory below the recorded one."""

WRITE_BUFFER: Final = 1 << 16
"""Small, so that LevelDB changes its log and compacts within a few blocks."""

STAMP: Final = "20300102-030405"

SCENARIOS: Final[dict[str, Callable[[Driver], None]]] = {}


def scenario(function: Callable[[Driver], None]) -> Callable[[Driver], None]:
    SCENARIOS[function.__name__] = function
    return function


class Driver:
    """A ledger below `directory` and blocks to put into it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LEDGER
        self.recorder = ctypes.CDLL(None)
        database._WRITE_BUFFER = WRITE_BUFFER  # type: ignore[misc]

    def mark(self, text: str) -> None:
        self.recorder.record_mark(text.encode())

    def create(self) -> Chain:
        chain = Chain.create(self.path)
        self.mark("created")
        return chain

    def open(self) -> Chain:
        return Chain(Ledger.open(self.path))

    def add_blocks(self, chain: Chain, count: int, transactions: int = 4) -> None:
        for _ in range(count):
            add_block(chain, transactions)
            self.mark(f"height {chain.ledger.tip.height} {chain.ledger.tip.app_hash.hex()}")


def add_block(chain: Chain, transactions: int) -> None:
    """A block that changes, adds and takes away: new holders, old holders, a row back to zero.

    The signatures are those of schemes without chance, so the same blocks come again.
    """
    height = chain.ledger.tip.height + 1
    nonce = chain.nonce(chain.clerk)
    holder = height.to_bytes(2, "big") * 10
    calls = [mint(holder, height), transfer(b"\x77" * 20, 1), mint(chain.service.address, 1)]
    raws = [
        chain.sign(chain.clerk, [*calls, mint((height * 64 + n).to_bytes(20, "big"), 5)], nonce=nonce + n)
        for n in range(transactions)
    ]
    if height > 1:
        raws.append(chain.sign(chain.service, [transfer(b"\x99" * 20, chain.balance(chain.service.address))]))
    chain.add_block([*raws, b"junk %d" % height])


@scenario
def grow(driver: Driver) -> None:
    """Creation, thirty blocks through several logs and compactions, a stop and a start, more blocks."""
    chain = driver.create()
    driver.add_blocks(chain, 30)
    chain.close()
    chain = driver.open()
    driver.add_blocks(chain, 6)
    chain.close()


@scenario
def prune(driver: Driver) -> None:
    """Old states go while blocks come: steps that are not synced, between blocks that are."""
    chain = driver.create()
    for retention in (Retention(recent=3), Retention(recent=2, every=5, keep=1)):
        chain.ledger.retention = retention
        for _ in range(9):
            driver.add_blocks(chain, 1, transactions=2)
            while chain.ledger.prune():
                pass
    chain.close()


@scenario
def repair(driver: Driver) -> None:
    """Four blocks, the third loses a transaction, repair."""
    chain = driver.create()
    for _ in range(4):
        add_block(chain, 1)
    chain.close()
    with Database.open(driver.path) as opened:
        batch = Batch()
        batch.delete(TRANSACTIONS, (3, 0))
        opened.write(batch)
    driver.mark("damaged")
    repair_ledger(driver.path, None, lambda _: True, stamp=STAMP)
    driver.mark("repaired")


@scenario
def careless(driver: Driver) -> None:
    """A ledger that acknowledges blocks it has not synced: the harness must notice."""
    chain = driver.create()
    write = Database.write
    Database.write = lambda self, batch, sync=True: write(self, batch, sync=False)  # type: ignore[method-assign]
    driver.add_blocks(chain, 4, transactions=1)
    chain.close()


@scenario
def begin(driver: Driver) -> None:
    """Creation and a few blocks."""
    chain = driver.create()
    driver.add_blocks(chain, 3, transactions=1)
    chain.close()


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Driver(Path(sys.argv[2])))
