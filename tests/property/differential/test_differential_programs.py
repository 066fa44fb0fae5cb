"""Random programs do the same on the node's EVM and on stock py-evm: gas, output, logs, state root.

Contracts that call, create and destroy one another, over some blocks of some transactions each, with money.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from node.chain.rules import COINBASE
from tests.property.differential.programs import PRECOMPILES, Writer, deployment
from tests.property.differential.seeds import chance, fresh, name, quick
from tests.property.differential.worlds import INTERPRETERS, Contents, OurWorld, Sending, StockWorld, compare

KIND = "programs"
QUICK, LONG = 25, 2_500
SENDERS = (b"\xaa" * 20, b"\xab" * 20)
NOBODY = (b"\xb0" * 20, b"\xb1" * 20)
CONTRACTS = tuple(bytes([0xC1 + number]) * 20 for number in range(5))


@pytest.mark.slow
def test_programs_do_the_same() -> None:
    successes, transactions = run(quick(KIND, QUICK))
    assert 0.3 * transactions < successes < 0.95 * transactions  # they neither all fail nor all do nothing


@pytest.mark.long
def test_many_programs_do_the_same() -> None:
    run(list(fresh(KIND, LONG)))


def run(seeds: list[str]) -> tuple[int, int]:
    """How many transactions succeeded, and how many there were."""
    successes = transactions = 0
    for seed in seeds:
        contents, blocks = scenario(chance(KIND, seed))
        with TemporaryDirectory() as folder, ExitStack() as opened:
            stock = StockWorld()
            ours = [OurWorld(Path(folder) / kind.__name__, kind) for kind in INTERPRETERS]
            for world in ours:
                opened.callback(world.close)
                world.fill(contents)
            stock.fill(contents)
            successes += compare(ours, stock, blocks, name(KIND, seed))
        transactions += sum(map(len, blocks))
    return successes, transactions


def scenario(chance: Random) -> tuple[dict[bytes, Contents], list[list[Sending]]]:
    """Accounts to begin with, and blocks of transactions."""
    addresses = CONTRACTS[: chance.randrange(2, len(CONTRACTS) + 1)]
    known = (*addresses, NOBODY[0], SENDERS[0])
    contents = {COINBASE: Contents(nonce=1)}
    for sender in SENDERS:
        contents[sender] = Contents(balance=10**18)
    contents[NOBODY[0]] = Contents(balance=3)
    for address in addresses:
        slots = {chance.randrange(5): chance.choice((1, 2, 1 << 200)) for _ in range(chance.randrange(4))}
        contents[address] = Contents(
            nonce=1,
            balance=chance.choice((0, 5, 10**6)),
            code=Writer(chance, known).write(chance.randrange(3, 25)),
            storage=tuple(slots.items()),
        )
    blocks = [
        [sending(chance, addresses) for _ in range(chance.randrange(1, 5))]
        for _ in range(chance.randrange(1, 4))
    ]
    return contents, blocks


def sending(chance: Random, addresses: tuple[bytes, ...]) -> Sending:
    pick = chance.random()
    data = bytes(chance.getrandbits(8) for _ in range(chance.choice((0, 4, 36, 100))))
    to: bytes | None = chance.choice(addresses)
    gas = chance.choice((60_000, 150_000, 400_000, 800_000))
    if pick < 0.1:
        to, gas = None, max(gas, 150_000)
        data = Writer(chance, addresses).write(8)
        if chance.random() < 0.7:
            data = deployment(data)
    elif pick < 0.15:
        to = chance.choice((*NOBODY, *PRECOMPILES))
    listed = ((chance.choice(addresses), (0, 3)), (NOBODY[0], ())) if chance.random() < 0.2 else ()
    return Sending(chance.choice(SENDERS), to, data, gas, chance.choice((0, 0, 0, 1, 50)), listed)
