"""Validators and rules follow the Consortium's storage, and never in a way that could halt a network."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from node.chain.rules import (
    CONSORTIUM,
    FIRST_RULES,
    VALIDATOR_COUNT_SLOT,
    VALIDATORS_VERSION_SLOT,
    rules_slots,
    validator_key_slot,
)
from node.chain.signing import ED25519
from node.chain.transaction import Call
from node.chain.validators import Validator
from node.ledger import FinalizedBlock
from node.ledger.membership import MAX_TOTAL_POWER
from tests.helpers.ledger import Chain, mint, set_rules, set_validators, statuses, validator_key, write_slots

OWN = Validator(bytes(validator_key().verify_key), 10)
SECOND = Validator(bytes(SigningKey(hashlib.sha256(b"second").digest()).verify_key), 5)
THIRD = Validator(bytes(SigningKey(hashlib.sha256(b"third").digest()).verify_key), 7)


def commit_calls(chain: Chain, *calls: Call) -> FinalizedBlock:
    finalized = chain.ledger.finalize(chain.decide([chain.sign(chain.clerk, calls)])[0])
    assert statuses(finalized) == [1]
    chain.ledger.commit(finalized)
    return finalized


def keys(chain: Chain) -> tuple[set[bytes], set[bytes]]:
    tip = chain.ledger.tip
    return {v.public_key for v in tip.validators}, {v.public_key for v in tip.next_validators}


def test_a_new_validator_signs_two_heights_later(chain: Chain) -> None:
    finalized = commit_calls(chain, set_validators(2, [OWN, SECOND]))
    assert finalized.validator_updates == (SECOND,)
    assert keys(chain) == ({OWN.public_key}, {OWN.public_key, SECOND.public_key})
    chain.ledger.commit(chain.ledger.finalize(chain.decide([])[0]))
    both = {OWN.public_key, SECOND.public_key}
    assert keys(chain) == (both, both)
    with chain.ledger.snapshot() as snapshot:
        powers = [[v.power for v in snapshot.validators(height)] for height in (1, 2, 3, 4)]
    assert powers == [[10], [10], [10, 5], [10, 5]]


def test_a_removed_validator_is_one_entry_of_power_0(chain: Chain) -> None:
    commit_calls(chain, set_validators(2, [OWN, SECOND, THIRD]))
    finalized = commit_calls(chain, set_validators(3, [OWN, replace(THIRD, power=8)]))
    assert set(finalized.validator_updates) == {replace(SECOND, power=0), replace(THIRD, power=8)}


def test_without_a_new_version_the_table_is_not_read(chain: Chain) -> None:
    assert commit_calls(chain, set_validators(1, [OWN, SECOND])).validator_updates == ()


@pytest.mark.parametrize(
    "table",
    [
        [],
        [replace(OWN, power=0)],
        [OWN, OWN],
        [OWN, replace(SECOND, public_key=b"\xff" * 32)],
        [OWN, replace(SECOND, power=MAX_TOTAL_POWER)],
        [OWN, replace(SECOND, power=(1 << 64) - 1)],
    ],
)
def test_a_table_that_cannot_run_a_network_is_passed_over(chain: Chain, table: list[Validator]) -> None:
    finalized = commit_calls(chain, set_validators(2, table))
    assert finalized.validator_updates == ()
    assert keys(chain) == ({OWN.public_key}, {OWN.public_key})
    # The next sound table is compared with what the engine was told, not with the bad one.
    assert commit_calls(chain, set_validators(3, [replace(OWN, power=10), THIRD])).validator_updates == (
        THIRD,
    )


def test_a_table_of_absurd_length_is_not_read(chain: Chain) -> None:
    pairs = [(VALIDATORS_VERSION_SLOT, 2), (VALIDATOR_COUNT_SLOT, 1 << 200), (validator_key_slot(1), 1)]
    assert commit_calls(chain, Call(CONSORTIUM, write_slots(pairs))).validator_updates == ()


def test_rules_take_effect_at_their_height(chain: Chain) -> None:
    dearer = replace(FIRST_RULES, version=2, activation_height=3, base_gas=31_000)
    assert commit_calls(chain, set_rules(dearer)).rules == FIRST_RULES
    second = chain.add_block()
    assert (second.block_rules.version, second.rules) == (1, dearer)
    raw = chain.sign(chain.clerk, [mint(bytes(20), 1)])
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    assert admitted.intrinsic_gas == 31_000 + FIRST_RULES.scheme_gas[ED25519] + 8 * len(raw)
    third = chain.add_block([raw])
    assert third.block_rules == dearer
    assert chain.stored_header(3).app_version == 2


def test_rules_that_no_chain_can_run_under_are_passed_over(chain: Chain) -> None:
    bad = replace(FIRST_RULES, version=2, activation_height=2, block_gas=1)
    good = replace(FIRST_RULES, version=3, activation_height=2, byte_gas=9)
    assert commit_calls(chain, set_rules(bad), set_rules(good)).rules == good


def test_rules_are_those_of_the_state_after_a_restart(chain: Chain) -> None:
    good = replace(FIRST_RULES, version=2, activation_height=2, byte_gas=9)
    commit_calls(chain, set_rules(good))
    chain.close()
    again = Chain.open(chain.path)
    assert again.ledger.rules == good
    again.close()


def test_an_unknown_fork_is_no_rule(chain: Chain) -> None:
    words = [(slot, word) for slot, word in zip(rules_slots(2), (2, 7 << 208, 1), strict=True)]
    assert commit_calls(chain, Call(CONSORTIUM, write_slots(words))).rules == FIRST_RULES
