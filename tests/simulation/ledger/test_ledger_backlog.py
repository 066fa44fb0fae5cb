"""A backlog of others' transactions does not hold up staff: counted in blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.rules import DOMAIN_SHARING
from node.chain.signing import ED25519
from node.txpool import TransactionPool
from tests.helpers.ledger import SHARING, Chain, Person, mint, person

_TRANSFERS = 4_000
_TRANSFER_GAS = 60_000
_DOCUMENT_GAS = 170_000
TO = b"\x77" * 20


def fill(chain: Chain, pool: TransactionPool, senders: list[Person]) -> None:
    """The senders in turn, until 4,000 transfers wait."""
    for number in range(_TRANSFERS):
        sender, nonce = senders[number % len(senders)], number // len(senders)
        raw = chain.sign(sender, [mint(TO, 1)], nonce=nonce, gas_limit=_TRANSFER_GAS)
        pool.add(chain.ledger.check(raw, chain.next_time_ns), chain.next_time_ns)


def make_block(chain: Chain, pool: TransactionPool) -> tuple[bytes, ...]:
    ledger = chain.ledger
    ready = pool.ready(ledger.rules.block_gas, 4 << 20)
    block = ledger.prepare(ready, ledger.tip.height + 1, chain.next_time_ns, 4 << 20)
    pool.committed(chain.add_block(block))
    return block


@pytest.mark.slow
@pytest.mark.parametrize("senders", [16, 1_000])
def test_a_document_behind_4000_transfers_is_in_the_next_block(tmp_path: Path, senders: int) -> None:
    residents = [person(f"resident {n}", ED25519, DOMAIN_SHARING, SHARING) for n in range(senders)]
    chain = Chain.create(tmp_path / "ledger", more_people=residents)
    pool = TransactionPool(chain.ledger)
    fill(chain, pool, residents)
    first = make_block(chain, pool)
    rules = chain.ledger.rules
    # Others fill what is theirs of a block, and no more: the rest is kept for correction.
    assert len(first) == (rules.block_gas - rules.correction_gas) // _TRANSFER_GAS
    for _ in range(3):
        documents = [
            chain.sign(who, [mint(TO, 1)], gas_limit=_DOCUMENT_GAS)
            for who in (chain.clerk, chain.judge, chain.officer)
        ]
        for raw in documents:
            pool.add(chain.ledger.check(raw, chain.next_time_ns), chain.next_time_ns)
        block = make_block(chain, pool)
        assert set(documents) <= set(block)
        assert pool.status().ready > 0
    chain.close()


@pytest.mark.slow
def test_staff_have_room_for_so_many_documents_in_every_block(tmp_path: Path) -> None:
    residents = [person(f"resident {n}", ED25519, DOMAIN_SHARING, SHARING) for n in range(16)]
    chain = Chain.create(tmp_path / "ledger", more_people=residents)
    pool = TransactionPool(chain.ledger)
    fill(chain, pool, residents)
    reserved = chain.ledger.rules.correction_gas // _DOCUMENT_GAS
    for nonce in range(reserved):
        raw = chain.sign(chain.clerk, [mint(TO, 1)], nonce=nonce, gas_limit=_DOCUMENT_GAS)
        pool.add(chain.ledger.check(raw, chain.next_time_ns), chain.next_time_ns)
    blocks = 0
    while chain.nonce(chain.clerk) < reserved:
        make_block(chain, pool)
        blocks += 1
    assert blocks <= 2
    chain.close()
