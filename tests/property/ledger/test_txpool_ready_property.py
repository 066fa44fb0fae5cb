"""The pool tells exactly what has become ready: against a model that looks at everything after every step."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.chain.errors import Refusal
from node.chain.rules import STATUS_REVOKED
from node.ledger import Admitted
from node.txpool import TransactionPool
from tests.helpers.ledger import SECOND_NS, Chain, set_credential, transfer

TO = b"\x77" * 20

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("block"), st.integers(0, 4)),
        st.tuples(st.just("foreign block"), st.integers(0, 2)),
        st.tuples(st.just("expire"), st.integers(0, 1)),
        st.tuples(st.just("revoke"), st.just(1)),
    ),
    min_size=1,
    max_size=14,
)


class Model:
    """What is ready: each sender's transactions from its account's nonce on, up to the first one missing."""

    def __init__(self, pool: TransactionPool, chain: Chain) -> None:
        self.pool, self.chain = pool, chain
        self.all: dict[bytes, Admitted] = {}

    def ready(self) -> set[bytes]:
        found: set[bytes] = set()
        for who in Chain.people():
            here = {
                one.transaction.nonce: one.transaction.hash
                for one in self.all.values()
                if one.sender == who.address and self.pool.pending(one.transaction.hash) is not None
            }
            nonce = self.chain.nonce(who)
            while nonce in here:
                found.add(here[nonce])
                nonce += 1
        return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_what_becomes_ready_is_told_once_and_in_nonce_order(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[object, ...]]
) -> None:
    chain = Chain.create(tmp_path_factory.mktemp("pool") / "ledger")
    told: list[Admitted] = []

    def on_ready(admitted: Sequence[Admitted]) -> None:
        assert len({one.sender for one in admitted}) == 1
        nonces = [one.transaction.nonce for one in admitted]
        assert nonces == list(range(nonces[0], nonces[0] + len(nonces)))
        told.extend(admitted)

    pool = TransactionPool(chain.ledger, on_ready=on_ready)
    model = Model(pool, chain)
    people = (chain.clerk, chain.judge, chain.service)
    late_ns = 0
    for kind, *arguments in steps:
        before = model.ready()
        told.clear()
        match kind, arguments:
            case "add", [int(person), int(ahead)]:
                who = people[person]
                raw = chain.sign(
                    who,
                    [transfer(TO, 1)],
                    nonce=chain.nonce(who) + ahead,
                    valid_for=600 + late_ns // SECOND_NS + 100 * (ahead % 2),
                )
                with contextlib.suppress(Refusal):
                    admitted = chain.ledger.check(raw, chain.next_time_ns + late_ns)
                    pool.add(admitted, chain.next_time_ns + late_ns)
                    model.all[admitted.transaction.hash] = admitted
            case "block", [int(count)]:
                offered = [one.transaction.raw for one in pool.ready(1 << 40, 1 << 20)][:count]
                pool.committed(chain.add_block(offered))
            case "foreign block", [int(person)]:
                pool.committed(chain.add_block([chain.sign(people[person], [transfer(TO, 2)])]))
            case "expire", [int(hundreds)]:
                late_ns += 650 * SECOND_NS * hundreds
                pool.expire(chain.next_time_ns + late_ns)
            case "revoke", _:
                revoked = chain.judge.credential(status=STATUS_REVOKED)
                change = set_credential(chain.judge.address, revoked)
                pool.committed(chain.add_block([chain.sign(chain.clerk, [change])]))
        after = model.ready()
        hashes = [one.transaction.hash for one in told]
        assert len(hashes) == len(set(hashes)), "told twice in one step"
        assert after - before <= set(hashes), "something became ready and nobody was told"
        still = {one for one in hashes if pool.pending(one) is not None}
        assert not before & still & after, "it had been ready before"
        assert {one.transaction.hash for one in pool.all_ready()} == after
        assert all(pool.is_ready(one) == (one in after) for one in model.all)
        heads = {one.transaction.hash for one in pool.next_of_senders(10)}
        assert heads <= after
        assert len(heads) == len({model.all[one].sender for one in after})
    chain.close()


def test_who_has_waited_longest_comes_first_and_no_more_than_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chain = Chain.create(tmp_path_factory.mktemp("pool") / "ledger")
    pool = TransactionPool(chain.ledger)
    for who in (chain.judge, chain.clerk, chain.service):
        pool.add(
            chain.ledger.check(chain.sign(who, [transfer(TO, 1)]), chain.next_time_ns), chain.next_time_ns
        )
    order = [one.sender for one in pool.next_of_senders(2)]
    assert order == [chain.judge.address, chain.clerk.address]
    chain.close()
