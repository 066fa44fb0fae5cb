"""For any block: finalize never raises, its result is a function of parent and block, and what failed changed
nothing.

Blocks are made of random bytes, mutated good transactions, and good and bad calls by several people, some of
whom are revoked on the way. A model in a few lines of Python says what balances and nonces must be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.encoding import keccak256
from node.chain.rules import STATUS_ACTIVE, STATUS_REVOKED
from node.chain.transaction import Call
from node.ledger.check import check_ledger
from tests.helpers.ledger import TOKEN, Chain, Person, mint, set_credential, statuses, transfer

RECIPIENT = b"\x77" * 20


@dataclass(frozen=True)
class Step:
    """One transaction: by whom, which token moves, how far its nonce is off, whose credential it switches."""

    who: int
    amounts: tuple[int, ...]
    nonce_offset: int
    switch: tuple[int, int] | None


STEPS = st.builds(
    Step,
    who=st.integers(0, 3),
    amounts=st.lists(st.integers(0, 60), min_size=1, max_size=3).map(tuple),
    nonce_offset=st.sampled_from([0] * 8 + [1, -1]),
    switch=st.one_of(
        st.none(), st.none(), st.tuples(st.integers(1, 3), st.sampled_from([STATUS_ACTIVE, STATUS_REVOKED]))
    ),
)
JUNK = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=200).map(lambda tail: b"\x49" + tail),
    st.binary(max_size=80).map(lambda tail: b"\x02\xf8" + tail),
)


class Model:
    """What must come out, without EVM, trie or database."""

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = people
        self.nonces = [0] * len(people)
        self.active = [True] * len(people)
        self.balances = {person.address: 100 for person in people} | {RECIPIENT: 0}

    def run(self, step: Step, nonce: int) -> int:
        who = step.who
        if nonce != self.nonces[who]:
            return 0
        self.nonces[who] += 1
        address = self.people[who].address
        if not self.active[who] or self.balances[address] < sum(step.amounts):
            return 0
        self.balances[address] -= sum(step.amounts)
        self.balances[RECIPIENT] += sum(step.amounts)
        if step.switch is not None:
            self.active[step.switch[0]] = step.switch[1] == STATUS_ACTIVE
        return 1


def new_chain(directory: str) -> tuple[Chain, list[Person]]:
    people = [p for p in Chain.people() if p.scheme]
    chain = Chain.create(
        Path(directory) / "ledger", calls=[mint(person.address, 100) for person in people[1:]]
    )
    people = [chain.clerk, chain.judge, chain.officer, chain.resident]
    # The clerk starts with a million for other tests; here everybody starts with 100.
    chain.add_block([chain.sign(chain.clerk, [transfer(b"\x01" * 20, 999_900)])])
    return chain, people


def calls_of(step: Step, people: Sequence[Person]) -> list[Call]:
    calls = [transfer(RECIPIENT, amount) for amount in step.amounts]
    if step.switch is not None:
        target, status = step.switch
        calls.append(set_credential(people[target].address, people[target].credential(status=status)))
    return calls


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for all examples that only finalize."""
    chain = Chain.create(tmp_path_factory.mktemp("property") / "ledger")
    yield chain
    chain.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.one_of(STEPS, JUNK), max_size=8), min_size=1, max_size=4))
def test_blocks_do_what_the_model_says(blocks: list[list[Step | bytes]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        chain, people = new_chain(directory)
        model = Model(people)
        model.nonces[0] = 1
        for block in blocks:
            raws, expected = [], []
            for item in block:
                if isinstance(item, bytes):
                    raws.append(item)
                    expected.append(None)
                    continue
                nonce = max(0, model.nonces[item.who] + item.nonce_offset)
                raws.append(chain.sign(people[item.who], calls_of(item, people), nonce=nonce))
                expected.append(model.run(item, nonce))
            finalized = chain.add_block(raws)
            assert statuses(finalized) == expected
            assert [chain.nonce(person) for person in people] == model.nonces
            assert {owner: chain.balance(owner) for owner in model.balances} == model.balances
        chain.close()
        report = check_ledger(Path(directory) / "ledger")
        assert report.ok, report.findings


@settings(max_examples=60, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 255), st.sampled_from(["set", "cut", "add"])),
        min_size=1, max_size=4,
    ),
    who=st.integers(0, 4),
)  # fmt: skip
def test_a_mutated_transaction_never_raises_and_moves_nothing(
    chain: Chain, edits: list[tuple[int, int, str]], who: int
) -> None:
    people = [chain.clerk, chain.judge, chain.officer, chain.resident, chain.service]
    good = bytearray(chain.sign(people[who], [mint(RECIPIENT, 1)]))
    original = bytes(good)
    for position, value, how in edits:
        at = position % len(good)
        if how == "set":
            good[at] = value
        elif how == "cut":
            del good[at:]
        else:
            good.insert(at, value)
        if not good:
            break
    raw = bytes(good)
    finalized = chain.ledger.finalize(chain.decide([raw])[0])
    if raw != original:
        # Whoever can change a byte of it cannot make it count for its sender.
        assert statuses(finalized) in ([None], [0])
        assert finalized.gas_used == 0
        assert not finalized.change.accounts
    again = chain.ledger.finalize(chain.decide([raw])[0])
    assert (again.app_hash, again.results) == (finalized.app_hash, finalized.results)


@settings(max_examples=40, deadline=None)
@given(code=st.binary(min_size=1, max_size=120), data=st.binary(max_size=64))
def test_any_code_gives_a_receipt_and_the_same_one_twice(chain: Chain, code: bytes, data: bytes) -> None:
    init = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code
    address = keccak256(b"\xd6\x94" + chain.service.address + b"\x80")[12:]
    block = [
        chain.deploy(chain.service, init, nonce=0),
        chain.sign(chain.service, [Call(address, data)], nonce=1),
        chain.sign(chain.clerk, [transfer(TOKEN, 1)]),
    ]
    finalized = chain.ledger.finalize(chain.decide(block)[0])
    assert statuses(finalized)[2] == 1
    again = chain.ledger.finalize(chain.decide(block)[0])
    assert (again.change, again.receipts) == (finalized.change, finalized.receipts)
