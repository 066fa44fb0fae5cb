"""A signature is verified once in a transaction's life."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import node.ledger.admission as admission_module
from node.chain.encoding import keccak256
from node.chain.errors import BlockRejected, SignatureRefused
from node.chain.rules import CONSORTIUM, DOMAIN_STAFF, origin_slot
from node.chain.signing import ED25519, ES256, SECP256K1, WEBAUTHN_ES256
from node.chain.transaction import Call, EthereumTransaction, decode
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.txpool import TransactionPool
from tests.helpers.ledger import (
    ORIGIN,
    STAFF,
    Chain,
    Person,
    mint,
    person,
    relying_party,
    set_credential,
    set_relying_party,
    write_slots,
)

TO = b"\x77" * 20
EVERYBODY = relying_party(DOMAIN_STAFF, until_height=1_000)
"""The row of STAFF with an end far away: a change after which its people are looked at again."""


class Count:
    """How often each transaction's signature went through the real verifiers, and in which threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: Counter[bytes] = Counter()
        self.threads: set[str] = set()
        self._lock = threading.Lock()
        for name, counted in (("sender_of", EthereumTransaction), ("verify", object)):
            self._wrap(monkeypatch, name, counted)

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, name: str, counted: type) -> None:
        real: Callable[..., object] = getattr(admission_module, name)

        def counting(tx: object, *others: object) -> object:
            if isinstance(tx, counted):
                with self._lock:
                    self.of[tx.hash] += 1  # type: ignore[attr-defined]
                    self.threads.add(threading.current_thread().name)
            return real(tx, *others)

        monkeypatch.setattr(admission_module, name, counting)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


@pytest.fixture
def other(chain: Chain, tmp_path: Path) -> Iterator[Ledger]:
    """Another node of the same chain, which has seen none of its transactions."""
    with Ledger.create(tmp_path / "other", chain.ledger.genesis) as ledger:
        yield ledger


def everybody(chain: Chain) -> list[Person]:
    """All schemes: Ed25519, ES256, WebAuthn twice, secp256k1."""
    people = [chain.clerk, chain.judge, chain.officer, chain.resident, chain.service]
    assert {one.scheme for one in people} == {ED25519, ES256, WEBAUTHN_ES256, SECP256K1}
    return people


def signed(chain: Chain, each: int = 3) -> list[bytes]:
    return [chain.sign(who, [mint(TO, 1)], nonce=nonce) for nonce in range(each) for who in everybody(chain)]


def enrol_somebody(chain: Chain) -> bytes:
    """A transaction that changes credentials."""
    somebody, registrar = person("somebody new", ED25519), person("registrar 1", ED25519)
    return chain.sign(registrar, [set_credential(somebody.address, somebody.credential())])


def test_from_submission_to_the_block_it_is_once(chain: Chain, count: Count) -> None:
    pool = TransactionPool(chain.ledger)
    raws = signed(chain)
    for raw in raws:
        # Copies, as every stage of a real node has its own bytes.
        pool.add(chain.ledger.check(bytes(bytearray(raw)), chain.next_time_ns), chain.next_time_ns)
    enrolment = enrol_somebody(chain)
    pool.committed(chain.add_block([enrolment]))
    block = pool.ready(chain.ledger.rules.block_gas, 1 << 20)
    prepared = chain.ledger.prepare(block, 2, chain.next_time_ns, 1 << 20)
    assert sorted(prepared) == sorted(raws)
    chain.ledger.process(prepared, 2, chain.next_time_ns)
    pool.committed(chain.add_block(list(prepared)))
    assert pool.status().ready + pool.status().waiting == 0
    assert count.of == Counter({decode(raw).hash: 1 for raw in (*raws, enrolment)})


def test_a_proposal_of_somebody_else_is_verified_once_and_in_several_threads(
    chain: Chain, other: Ledger, count: Count
) -> None:
    raws = signed(chain)
    decided, header, commit, last_commit = chain.decide(raws)
    other.process(raws, 1, decided.time_ns)
    other.process(raws, 1, decided.time_ns)  # another round
    other.commit(other.finalize(decided), header=header, commit=commit, last_commit=last_commit)
    assert count.of == Counter({decode(raw).hash: 1 for raw in raws})
    if len(os.sched_getaffinity(0)) > 1:
        assert any(name.startswith("verify") for name in count.threads)


def test_a_block_that_was_decided_elsewhere_is_verified_once(
    chain: Chain, other: Ledger, count: Count
) -> None:
    raws = signed(chain)
    decided, *_ = chain.decide(raws)
    finalized = other.finalize(decided)
    assert [one.sender for one in finalized.receipts] == [
        who.address for _ in range(3) for who in everybody(chain)
    ]
    assert count.of == Counter({decode(raw).hash: 1 for raw in raws})


def test_checking_a_directory_verifies_every_signature_once(chain: Chain, count: Count) -> None:
    raws = signed(chain)
    chain.add_block(raws)
    chain.close()
    count.of.clear()
    assert check_ledger(chain.path).ok
    assert count.of == Counter({decode(raw).hash: 1 for raw in raws})


def test_a_credential_that_comes_in_the_same_block_is_verified_there(
    chain: Chain, other: Ledger, count: Count
) -> None:
    newcomer, registrar = person("newcomer", ES256), person("registrar 1", ED25519)
    raws = [
        chain.sign(registrar, [set_credential(newcomer.address, newcomer.credential())]),
        *(chain.sign(newcomer, [mint(TO, 1)], nonce=nonce) for nonce in range(6)),
    ]
    decided, *_ = chain.decide(raws)
    assert [one.result.gas_used > 0 for one in other.finalize(decided).receipts] == [True] * 7
    assert set(count.of.values()) == {1}


def test_a_forged_signature_is_looked_at_once_too(chain: Chain, other: Ledger, count: Count) -> None:
    forger = replace(chain.clerk, sign=person("somebody else", ED25519).sign)
    forged = [chain.sign(forger, [mint(TO, 1)], nonce=nonce) for nonce in range(6)]
    with pytest.raises(BlockRejected) as caught:
        other.process(forged, 1, chain.next_time_ns)
    assert isinstance(caught.value.got, dict)
    assert caught.value.got["code"] == "signature.does_not_verify"
    finalized = other.finalize(chain.decide(forged)[0])
    assert {one.result.gas_used for one in finalized.receipts} == {0}
    assert count.of == Counter({decode(raw).hash: 1 for raw in forged})


def test_what_is_found_is_the_same_whether_or_not_it_was_looked_for_ahead(
    chain: Chain, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = replace(chain.officer, sign=chain.judge.sign)
    raws = [*signed(chain), chain.sign(forger, [mint(TO, 1)], nonce=3), b"\x49junk", b""]
    decided, *_ = chain.decide(raws)
    ahead = other.finalize(decided)
    monkeypatch.setattr(chain.ledger._verification, "verify_all", lambda raws, view: ())
    assert chain.ledger.finalize(decided) == ahead


def test_under_another_relying_party_a_signature_is_verified_again(chain: Chain, count: Count) -> None:
    raw = chain.sign(chain.officer, [mint(TO, 1)], nonce=1)
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    elsewhere = relying_party(DOMAIN_STAFF, rp_id_hash=bytes(32))
    chain.add_block([chain.sign(chain.clerk, [set_relying_party(STAFF, elsewhere)])])
    for _ in range(2):
        with pytest.raises(SignatureRefused) as caught:
            chain.ledger.recheck(admitted, chain.next_time_ns)
        assert caught.value.code == "signature.rp_id"
    assert count.of[admitted.transaction.hash] == 2


def test_an_origin_that_is_taken_off_the_list_is_noticed_and_one_that_comes_back_too(
    chain: Chain, count: Count
) -> None:
    raw = chain.sign(chain.officer, [mint(TO, 1)], nonce=1)
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    slot = origin_slot(STAFF, keccak256(ORIGIN))
    for listed, expected in ((0, "signature.origin"), (1, None)):
        chain.add_block([chain.sign(chain.clerk, [Call(CONSORTIUM, write_slots([(slot, listed)]))])])
        if expected is None:
            assert chain.ledger.recheck(admitted, chain.next_time_ns).sender == chain.officer.address
        else:
            with pytest.raises(SignatureRefused, match="origin"):
                chain.ledger.recheck(admitted, chain.next_time_ns)


def test_nothing_is_remembered_of_what_nobody_holds(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger)
    known = chain.ledger._admission._known
    for raw in signed(chain):
        pool.add(chain.ledger.check(raw, chain.next_time_ns), chain.next_time_ns)
    assert len(known) == 15
    block = chain.ledger.prepare(pool.ready(1 << 40, 1 << 20), 1, chain.next_time_ns, 1 << 20)
    chain.ledger.process(block, 1, chain.next_time_ns)
    pool.committed(chain.add_block(list(block)))
    del block
    assert len(known) == 0


@pytest.mark.long
def test_a_full_pool_of_50000_forgets_nothing(tmp_path: Path, count: Count) -> None:
    senders = [person(f"sender {number}", ED25519) for number in range(16)]
    chain = Chain.create(tmp_path / "full", more_people=senders)
    pool = TransactionPool(chain.ledger)
    for number in range(50_000):
        who, nonce = senders[number % 16], number // 16
        raw = chain.sign(who, [mint(TO, 1)], nonce=nonce, gas_limit=60_000)
        pool.add(chain.ledger.check(raw, chain.next_time_ns), chain.next_time_ns)
    pool.committed(chain.add_block([chain.sign(chain.clerk, [set_relying_party(STAFF, EVERYBODY)])]))
    for _ in range(3):
        height = chain.ledger.tip.height + 1
        ready = pool.ready(chain.ledger.rules.block_gas, 4 << 20)
        block = chain.ledger.prepare(ready, height, chain.next_time_ns, 4 << 20)
        assert len(block) > 600
        chain.ledger.process(block, height, chain.next_time_ns)
        pool.committed(chain.add_block(block))
    assert len(count.of) == 50_001
    assert set(count.of.values()) == {1}
    chain.close()
