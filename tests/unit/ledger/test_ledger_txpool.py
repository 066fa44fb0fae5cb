"""The pool: nonce order, gaps held back, limits, expiry, reasons of drops."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from node.chain.errors import Refusal, ShelianError
from node.chain.rules import (
    CONSORTIUM,
    DOMAIN_SERVICE,
    DOMAIN_SHARING,
    DOMAIN_STAFF,
    FIRST_RULES,
    STATUS_ACTIVE,
    STATUS_REVOKED,
    callable_slot,
)
from node.chain.signing import ED25519
from node.chain.transaction import Call, decode
from node.ledger import Admitted
from node.txpool import PoolLimits, PoolStatus, TransactionPool
from tests.helpers.ledger import (
    SECOND_NS,
    SERVICE,
    SHARING,
    STAFF,
    TOKEN,
    Chain,
    Person,
    mint,
    person,
    relying_party,
    set_credential,
    set_relying_party,
    set_rules,
    write_slots,
)

TO = b"\x77" * 20


@pytest.fixture
def pool(chain: Chain) -> TransactionPool:
    return TransactionPool(chain.ledger)


def put(pool: TransactionPool, chain: Chain, who: Person, nonce: int, **options: int) -> Admitted:
    """Check and add a transaction; the value minted tells transactions of one nonce apart."""
    value = options.pop("value", 1)
    raw = chain.sign(who, [mint(TO, value)], nonce=nonce, **options)
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    pool.add(admitted, chain.next_time_ns)
    return admitted


def offered(
    pool: TransactionPool, max_gas: int = 1 << 40, max_bytes: int = 1 << 20
) -> list[tuple[bytes, int]]:
    return [(a.sender, a.transaction.nonce) for a in pool.ready(max_gas, max_bytes)]


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        action()
    return caught.value.code


def commit(pool: TransactionPool, chain: Chain, raws: list[bytes] | None = None) -> None:
    if raws is None:
        ready = pool.ready(chain.ledger.rules.block_gas, 1 << 20)
        raws = list(chain.ledger.prepare(ready, chain.ledger.tip.height + 1, chain.next_time_ns, 1 << 20))
    pool.committed(chain.add_block(raws))


def test_what_misses_a_nonce_waits_until_it_comes(pool: TransactionPool, chain: Chain) -> None:
    clerk = chain.clerk
    put(pool, chain, clerk, 1)
    put(pool, chain, clerk, 2)
    assert offered(pool) == []
    assert not pool.has_ready()
    assert pool.pending_nonce(clerk.address) is None
    assert pool.status() == PoolStatus(0, 2, pool.status().bytes)
    put(pool, chain, clerk, 0)
    assert offered(pool) == [(clerk.address, 0), (clerk.address, 1), (clerk.address, 2)]
    assert pool.pending_nonce(clerk.address) == 3
    assert pool.status().ready == 3


def test_senders_take_turns(pool: TransactionPool, chain: Chain) -> None:
    for nonce in range(3):
        put(pool, chain, chain.clerk, nonce)
    put(pool, chain, chain.judge, 0)
    senders = [sender for sender, _ in offered(pool)]
    assert senders == [chain.clerk.address, chain.judge.address, chain.clerk.address, chain.clerk.address]


def test_who_was_in_a_block_goes_to_the_end_of_the_queue(pool: TransactionPool, chain: Chain) -> None:
    first = put(pool, chain, chain.clerk, 0)
    put(pool, chain, chain.clerk, 1)
    put(pool, chain, chain.judge, 0)
    commit(pool, chain, [first.transaction.raw])
    assert [sender for sender, _ in offered(pool)] == [chain.judge.address, chain.clerk.address]


def test_a_nonce_is_taken_until_its_transaction_is_gone(pool: TransactionPool, chain: Chain) -> None:
    put(pool, chain, chain.clerk, 0)
    assert refused(lambda: put(pool, chain, chain.clerk, 0)) == "pool.known"
    assert refused(lambda: put(pool, chain, chain.clerk, 0, value=2)) == "pool.nonce_taken"
    pool.expire(chain.next_time_ns + 601 * SECOND_NS)
    put(pool, chain, chain.clerk, 0, value=2)


def test_committed_transactions_leave(pool: TransactionPool, chain: Chain) -> None:
    kept = [put(pool, chain, chain.clerk, nonce) for nonce in (0, 1, 3)]
    commit(pool, chain)
    assert chain.nonce(chain.clerk) == 2
    assert pool.pending(kept[0].transaction.hash) is None
    assert pool.dropped(kept[0].transaction.hash) is None
    assert pool.pending(kept[2].transaction.hash) is not None
    assert pool.status().waiting == 1
    assert refused(lambda: put(pool, chain, chain.clerk, 0)) == "tx.nonce_too_low"


def test_a_nonce_that_somebody_else_used_up_is_dropped_from_the_pool(
    pool: TransactionPool, chain: Chain
) -> None:
    put(pool, chain, chain.clerk, 0)
    commit(pool, chain, [chain.sign(chain.clerk, [mint(TO, 9)], nonce=0)])
    assert pool.status() == PoolStatus(0, 0, 0)


def test_what_was_admitted_on_an_older_tip_does_not_come_in_late(pool: TransactionPool, chain: Chain) -> None:
    raw = chain.sign(chain.clerk, [mint(TO, 1)])
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    chain.add_block([raw])
    assert refused(lambda: pool.add(admitted, chain.next_time_ns)) == "tx.nonce_too_low"


def test_a_revoked_sender_is_dropped_and_the_reason_remembered(pool: TransactionPool, chain: Chain) -> None:
    gone = [put(pool, chain, chain.judge, nonce) for nonce in (0, 1)]
    kept = put(pool, chain, chain.resident, 0)
    revoke = set_credential(chain.judge.address, chain.judge.credential(status=STATUS_REVOKED))
    commit(pool, chain, [chain.sign(chain.clerk, [revoke])])
    for admitted in gone:
        reason = pool.dropped(admitted.transaction.hash)
        assert reason is not None
        assert reason["code"] == "sender.revoked"
        assert pool.pending(admitted.transaction.hash) is None
    assert offered(pool) == [(kept.sender, 0)]


def test_new_rules_are_applied_to_what_waits(pool: TransactionPool, chain: Chain) -> None:
    dear = put(pool, chain, chain.judge, 0, gas_limit=100_000)
    rules = replace(FIRST_RULES, version=2, activation_height=2, base_gas=200_000)
    commit(pool, chain, [chain.sign(chain.clerk, [set_rules(rules)])])
    reason = pool.dropped(dear.transaction.hash)
    assert reason is not None
    assert reason["code"] == "tx.gas_below_intrinsic"


def test_what_expires_is_dropped(pool: TransactionPool, chain: Chain) -> None:
    short = put(pool, chain, chain.clerk, 0, valid_for=3)
    put(pool, chain, chain.clerk, 1)
    pool.expire(chain.next_time_ns + 2 * SECOND_NS)
    assert pool.status().ready == 2
    pool.expire(chain.next_time_ns + 3 * SECOND_NS)
    reason = pool.dropped(short.transaction.hash)
    assert reason is not None
    assert reason["code"] == "tx.expired"
    assert (pool.status().ready, pool.status().waiting) == (0, 1)


def test_what_never_expires_by_itself_has_a_greatest_age(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger, PoolLimits(max_age_s=60))
    put(pool, chain, chain.service, 0)
    pool.expire(chain.next_time_ns + 61 * SECOND_NS)
    assert pool.status() == PoolStatus(0, 0, 0)


def test_a_sender_has_so_many_places_and_nonces(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger, PoolLimits(per_sender=3))
    for nonce in (0, 1, 2):
        put(pool, chain, chain.clerk, nonce)
    assert refused(lambda: put(pool, chain, chain.clerk, 3)) == "pool.nonce_too_far"


def test_the_last_quarter_is_for_staff(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger, PoolLimits(count=4))
    for nonce in range(3):
        put(pool, chain, chain.resident, nonce)
    assert refused(lambda: put(pool, chain, chain.resident, 3)) == "pool.full"
    put(pool, chain, chain.clerk, 0)
    assert refused(lambda: put(pool, chain, chain.clerk, 1)) == "pool.full"


def test_bytes_are_bounded(chain: Chain) -> None:
    size = len(chain.sign(chain.clerk, [mint(TO, 1)]))
    pool = TransactionPool(chain.ledger, PoolLimits(bytes=2 * size))
    put(pool, chain, chain.clerk, 0)
    put(pool, chain, chain.clerk, 1)
    assert refused(lambda: put(pool, chain, chain.clerk, 2)) == "pool.full"


def test_ready_keeps_to_gas_and_bytes_and_leaves_staff_their_gas(pool: TransactionPool, chain: Chain) -> None:
    reserved = FIRST_RULES.correction_gas
    for nonce in range(3):
        put(pool, chain, chain.resident, nonce, gas_limit=6_000_000)
        put(pool, chain, chain.clerk, nonce, gas_limit=6_000_000)
    resident, clerk = chain.resident.address, chain.clerk.address
    assert offered(pool, reserved + 9_000_000) == [(resident, 0), (clerk, 0), (clerk, 1)]
    assert offered(pool, reserved - 1) == [(clerk, 0)]
    assert len(offered(pool, max_bytes=400)) == 1


def test_what_no_block_can_hold_is_not_taken(tmp_path: Path) -> None:
    rules = replace(FIRST_RULES, identity_gas=500_000)
    chain = Chain.create(tmp_path / "ledger", rules=rules)
    pool = TransactionPool(chain.ledger)
    assert refused(lambda: put(pool, chain, chain.clerk, 0, gas_limit=500_001)) == "pool.never_fits"
    chain.close()


def test_what_was_offered_and_not_taken_is_looked_at_again(pool: TransactionPool, chain: Chain) -> None:
    # Admitted before the revocation, added after it: nothing else would ever drop it.
    raw = chain.sign(chain.judge, [mint(TO, 1)])
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    revoke = set_credential(chain.judge.address, chain.judge.credential(status=STATUS_REVOKED))
    commit(pool, chain, [chain.sign(chain.clerk, [revoke])])
    pool.add(admitted, chain.next_time_ns)
    assert pool.has_ready()
    commit(pool, chain)
    assert not pool.has_ready()
    assert pool.dropped(decode(raw).hash) is not None


def test_reasons_are_forgotten_in_the_end(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger, PoolLimits(remembered=2))
    hashes = [put(pool, chain, chain.clerk, nonce).transaction.hash for nonce in range(3)]
    pool.expire(chain.next_time_ns + 601 * SECOND_NS)
    assert sum(pool.dropped(transaction_hash) is not None for transaction_hash in hashes) == 2


def test_deadlines_of_what_was_included_are_not_kept(chain: Chain) -> None:
    pool = TransactionPool(chain.ledger, PoolLimits(per_sender=4))
    for _ in range(10):
        put(pool, chain, chain.clerk, chain.nonce(chain.clerk))
        commit(pool, chain)
    assert len(pool._deadlines) <= 5
    late = put(pool, chain, chain.clerk, chain.nonce(chain.clerk))
    pool.expire(chain.next_time_ns + 601 * SECOND_NS)
    assert pool.dropped(late.transaction.hash) is not None


def test_only_what_a_block_may_have_changed_is_looked_at_again(
    pool: TransactionPool, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = {who: put(pool, chain, who, 1) for who in (chain.judge, chain.officer, chain.resident)}
    seen: list[bytes] = []
    real = chain.ledger.recheck

    def seeing(admitted: Admitted, now_ns: int) -> Admitted:
        seen.append(admitted.sender)
        return real(admitted, now_ns)

    monkeypatch.setattr(chain.ledger, "recheck", seeing)
    newcomer = person("newcomer", ED25519)
    commit(pool, chain, [chain.sign(chain.clerk, [set_credential(newcomer.address, newcomer.credential())])])
    assert seen == []
    renewed = chain.judge.credential(valid_until=chain.next_time_ns // SECOND_NS + 9_999)
    commit(pool, chain, [chain.sign(chain.clerk, [set_credential(chain.judge.address, renewed)])])
    assert seen == [chain.judge.address]
    changed = relying_party(DOMAIN_STAFF, until_height=1_000)
    commit(pool, chain, [chain.sign(chain.clerk, [set_relying_party(STAFF, changed)])])
    assert set(seen[1:]) == {chain.judge.address, chain.officer.address}
    assert all(pool.pending(one.transaction.hash) is not None for one in waiting.values())


def test_what_is_found_anew_is_what_counts_from_then_on(pool: TransactionPool, chain: Chain) -> None:
    pending = put(pool, chain, chain.judge, 1)
    assert pending.is_staff
    moved = chain.judge.credential(domain=DOMAIN_SERVICE, relying_party=SERVICE)
    commit(pool, chain, [chain.sign(chain.clerk, [set_credential(chain.judge.address, moved)])])
    now = pool.pending(pending.transaction.hash)
    assert now is not None
    assert not now.is_staff
    # It came under another relying party, whose slots are watched now.
    ended = relying_party(DOMAIN_SERVICE, any_contract=True, until_height=1)
    commit(pool, chain, [chain.sign(chain.clerk, [set_relying_party(SERVICE, ended)])])
    reason = pool.dropped(pending.transaction.hash)
    assert reason is not None
    assert reason["code"] == "relying_party.not_in_force"


def looked_at(chain: Chain, admitted: Admitted, now_ns: int) -> Admitted | str:
    """What a check from scratch says: admitted, or the code of the refusal."""
    try:
        return chain.ledger.check(admitted.transaction.raw, now_ns)
    except ShelianError as error:
        return error.code


def test_every_change_has_the_effect_of_looking_at_everything_again(tmp_path: Path) -> None:
    """Random credentials, relying parties and callable contracts, against a pool that checks all it holds."""
    random = Random(49)
    people = [
        person(f"somebody {number}", ED25519, domain, party)
        for number, (domain, party) in enumerate([(DOMAIN_STAFF, STAFF), (DOMAIN_SHARING, SHARING)] * 4)
    ]
    chain = Chain.create(tmp_path / "ledger", more_people=people)
    pool = TransactionPool(chain.ledger)
    registrar = person("registrar 1", ED25519, DOMAIN_SERVICE, SERVICE)
    free = set_credential(registrar.address, registrar.credential())
    chain.add_block([chain.sign(registrar, [free])])
    dropped = 0
    for _ in range(40):
        who = random.choice(people)
        party_id = random.choice([STAFF, SHARING])
        domain = DOMAIN_STAFF if party_id == STAFF else DOMAIN_SHARING
        call = random.choice(
            [
                set_credential(
                    who.address, who.credential(status=random.choice([STATUS_ACTIVE, STATUS_REVOKED]))
                ),
                set_credential(who.address, who.credential(relying_party=party_id, domain=domain)),
                set_relying_party(party_id, relying_party(domain, until_height=random.choice([0, 0, 1]))),
                Call(CONSORTIUM, write_slots([(callable_slot(party_id, TOKEN), random.choice([0, 1, 1]))])),
                mint(TO, 1),
            ]
        )
        for one in people:
            nonce = chain.nonce(one) + random.choice([1, 2, 3])
            with contextlib.suppress(ShelianError):
                put(pool, chain, one, nonce)
        before = dict(pool._by_hash)
        commit(pool, chain, [chain.sign(registrar, [call])])
        now = chain.ledger.tip.time_ns
        for transaction_hash, admitted in before.items():
            expected = looked_at(chain, admitted, now)
            reason = pool.dropped(transaction_hash)
            assert (reason["code"] if reason else pool.pending(transaction_hash)) == expected
            dropped += isinstance(expected, str)
        assert pool.status().ready == sum(one.end - one.nonce for one in pool._senders.values())
    assert dropped > 20
    chain.close()
