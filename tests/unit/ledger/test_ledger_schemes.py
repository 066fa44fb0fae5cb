"""Every scheme that the first rules price goes the whole way: admitted, in a block, executed, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.errors import Refusal, SignatureRefused
from node.chain.rules import FIRST_RULES
from node.chain.signing import ML_DSA_65, SCHEMES, SM2
from node.chain.transaction import ImiTransaction, decode
from node.ledger.check import check_ledger
from node.txpool import TransactionPool
from tests.helpers.ledger import Chain, mint, person, resign, set_rules, statuses

TO = b"\x77" * 20
SIGNERS = {scheme: person(f"signer of scheme {scheme}", scheme) for scheme in SCHEMES}


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    made = Chain.create(tmp_path / "node", more_people=SIGNERS.values())
    yield made
    made.close()


def test_every_scheme_has_a_price() -> None:
    assert {scheme for scheme, gas in enumerate(FIRST_RULES.scheme_gas) if gas} == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_transaction_of_this_scheme_is_admitted_executed_and_found_good_afterwards(
    chain: Chain, scheme: int
) -> None:
    raw = chain.sign(SIGNERS[scheme], [mint(TO, 3)])
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    assert admitted.sender == SIGNERS[scheme].address
    assert admitted.intrinsic_gas == FIRST_RULES.imi_intrinsic_gas(scheme, len(raw))
    pool = TransactionPool(chain.ledger)
    pool.add(admitted, chain.next_time_ns)
    ready = pool.ready(FIRST_RULES.block_gas, 1 << 20)
    block = chain.ledger.prepare(ready, 1, chain.next_time_ns, 1 << 20)
    assert block == (raw,)
    chain.ledger.process(block, 1, chain.next_time_ns)
    assert statuses(chain.add_block(block)) == [1]
    assert chain.balance(TO) == 3
    chain.close()
    report = check_ledger(chain.path)
    assert report.ok, report.findings


@pytest.mark.parametrize("scheme", SCHEMES)
def test_somebody_else_s_signature_is_refused_by_name(chain: Chain, scheme: int) -> None:
    other = person("somebody else", scheme)
    tx = decode(chain.sign(SIGNERS[scheme], [mint(TO, 3)]))
    assert isinstance(tx, ImiTransaction)
    raw = resign(tx, replace(SIGNERS[scheme], sign=other.sign))
    with pytest.raises(SignatureRefused, match=r"signature\.does_not_verify"):
        chain.ledger.check(raw, chain.next_time_ns)


@pytest.mark.parametrize("scheme", [SM2, ML_DSA_65])
def test_rules_may_turn_a_scheme_off(chain: Chain, scheme: int) -> None:
    prices = [0 if number == scheme else gas for number, gas in enumerate(FIRST_RULES.scheme_gas)]
    off = replace(FIRST_RULES, version=2, activation_height=2, scheme_gas=tuple(prices))
    raw = chain.sign(SIGNERS[scheme], [mint(TO, 3)])
    chain.ledger.check(raw, chain.next_time_ns)
    chain.add_block([chain.sign(chain.clerk, [set_rules(off)])])
    with pytest.raises(Refusal, match=r"tx\.scheme_off"):
        chain.ledger.check(raw, chain.next_time_ns)


def test_a_hundred_calls_fit_into_one_ml_dsa_transaction(chain: Chain) -> None:
    raw = chain.sign(SIGNERS[ML_DSA_65], [mint(TO, 1)] * 100, gas_limit=10_000_000)
    assert statuses(chain.add_block([raw])) == [1]
    assert chain.balance(TO) == 100
