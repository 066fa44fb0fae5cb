"""Putting a block together, and judging one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.errors import BlockRejected
from node.chain.rules import FIRST_RULES, STATUS_REVOKED
from node.chain.signing import ED25519
from node.ledger.proposal import encoded_size
from tests.helpers.ledger import Chain, mint, person, set_credential, transfer

TO = b"\x77" * 20
NARROW = replace(
    FIRST_RULES, block_gas=1_000_000, transaction_gas=500_000, correction_gas=300_000, identity_gas=600_000
)


@pytest.fixture
def narrow(tmp_path: Path) -> Chain:
    """A chain whose blocks hold a million gas, 300,000 of it for staff, 600,000 of one identity at most."""
    return Chain.create(tmp_path / "narrow", rules=NARROW)


def prepare(chain: Chain, raws: Sequence[bytes], max_bytes: int = 1 << 20) -> tuple[bytes, ...]:
    candidates = [chain.ledger.check(raw, chain.next_time_ns) for raw in raws]
    return chain.ledger.prepare(candidates, chain.ledger.tip.height + 1, chain.next_time_ns, max_bytes)


def rejection(chain: Chain, raws: Sequence[bytes]) -> tuple[str, Mapping[str, object]]:
    with pytest.raises(BlockRejected) as caught:
        chain.ledger.process(raws, chain.ledger.tip.height + 1, chain.next_time_ns)
    got = caught.value.got
    assert isinstance(got, Mapping)
    return caught.value.code, got


def test_what_is_prepared_is_accepted(chain: Chain) -> None:
    raws = [chain.sign(chain.clerk, [mint(TO, 1)], nonce=n) for n in range(5)]
    raws += [chain.sign(chain.resident, [mint(TO, 1)], nonce=n) for n in range(5)]
    block = prepare(chain, raws)
    assert list(block) == raws
    chain.ledger.process(block, 1, chain.next_time_ns)


def test_nonces_of_a_sender_follow_one_another(chain: Chain) -> None:
    zero, one, two = (chain.sign(chain.clerk, [mint(TO, 1)], nonce=n) for n in range(3))
    assert prepare(chain, [two, zero, one]) == (zero, one)
    for bad, index in (([one], 0), ([zero, two], 1), ([zero, zero], 1), ([one, zero], 0)):
        code, got = rejection(chain, bad)
        assert (code, got["index"], got["code"]) == ("block.transaction", index, "block.nonce_gap")


def test_the_gas_of_a_block_is_bounded(narrow: Chain) -> None:
    raws = [
        narrow.sign(who, [mint(TO, 1)], gas_limit=500_000)
        for who in (narrow.clerk, narrow.judge, narrow.officer)
    ]
    assert prepare(narrow, raws) == tuple(raws[:2])
    assert rejection(narrow, raws)[1]["code"] == "block.gas"


def test_part_of_a_block_is_kept_for_staff(narrow: Chain) -> None:
    resident, service = (
        narrow.sign(who, [mint(TO, 1)], gas_limit=400_000) for who in (narrow.resident, narrow.service)
    )
    staff = narrow.sign(narrow.clerk, [mint(TO, 1)], gas_limit=300_000)
    assert prepare(narrow, [resident, service, staff]) == (resident, staff)
    assert rejection(narrow, [resident, service])[1]["code"] == "block.reserved_gas"
    narrow.ledger.process([resident, staff], 1, narrow.next_time_ns)


def test_an_identity_has_its_share_whatever_key_it_signs_with(narrow: Chain) -> None:
    second_key = replace(person("clerk's second key", ED25519), identity=narrow.clerk.identity)
    credential = set_credential(second_key.address, second_key.credential())
    narrow.add_block([narrow.sign(narrow.judge, [credential], gas_limit=200_000)])
    first, second = (narrow.sign(who, [mint(TO, 1)], gas_limit=400_000) for who in (narrow.clerk, second_key))
    assert prepare(narrow, [first, second]) == (first,)
    assert rejection(narrow, [first, second])[1]["code"] == "block.identity_gas"
    narrow.ledger.process([second], 2, narrow.next_time_ns)


def test_the_bytes_of_a_block_are_bounded_as_encoded(chain: Chain) -> None:
    first, second = (chain.sign(who, [mint(TO, 1)]) for who in (chain.clerk, chain.judge))
    both = encoded_size(first) + encoded_size(second)
    assert prepare(chain, [first, second], both) == (first, second)
    assert prepare(chain, [first, second], both - 1) == (first,)


def test_a_candidate_that_is_not_admissible_any_more_is_left_out(chain: Chain) -> None:
    raw = chain.sign(chain.judge, [mint(TO, 1)])
    candidate = chain.ledger.check(raw, chain.next_time_ns)
    revoke = set_credential(chain.judge.address, chain.judge.credential(status=STATUS_REVOKED))
    chain.add_block([chain.sign(chain.clerk, [revoke])])
    assert chain.ledger.prepare([candidate], 2, chain.next_time_ns, 1 << 20) == ()
    assert rejection(chain, [raw])[1]["code"] == "sender.revoked"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("junk", "tx.type_not_allowed"),
        ("expired", "tx.expired"),
        ("chain", "tx.wrong_chain"),
        ("forged", "signature"),
    ],
)
def test_a_proposal_with_a_bad_transaction_is_rejected(chain: Chain, fault: str, code: str) -> None:
    good = chain.sign(chain.judge, [mint(TO, 1)])
    bad = {
        "junk": b"\x7fjunk",
        "expired": chain.sign(chain.clerk, [mint(TO, 1)], valid_for=0),
        "chain": chain.sign(chain.clerk, [mint(TO, 1)], chain_id=1),
        "forged": chain.sign(replace(chain.clerk, sign=chain.judge.sign), [mint(TO, 1)]),
    }[fault]
    _, got = rejection(chain, [good, bad])
    assert got["index"] == 1
    assert str(got["code"]).startswith(code)


def test_a_proposal_is_judged_by_the_parent_state_and_not_executed(chain: Chain) -> None:
    fails = chain.sign(chain.judge, [transfer(TO, 1)])
    chain.ledger.process([fails], 1, chain.next_time_ns)
    assert chain.balance(TO) == 0


def test_height_and_time_follow_the_tip(chain: Chain) -> None:
    chain.add_block()
    tip = chain.ledger.tip
    for height, time_ns, code in (
        (1, tip.time_ns, "block.height"),
        (3, tip.time_ns, "block.height"),
        (2, tip.time_ns - 1, "block.time"),
    ):
        with pytest.raises(BlockRejected) as caught:
            chain.ledger.process([], height, time_ns)
        assert caught.value.code == code
    chain.ledger.process([], 2, tip.time_ns)
