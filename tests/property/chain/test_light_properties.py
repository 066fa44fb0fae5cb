"""The light client on chains of any validator sets: exact boundaries, no tampering, no wrong turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from node.chain.commit import ABSENT, Commit, CommitSignature
from node.chain.equivocation import (
    decode_equivocation,
    encode_equivocation,
    find_equivocation,
    verify_equivocation,
    votes_of,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.handover_certificate import decode_certificate, decode_statement
from node.chain.header import BlockId, Header
from node.chain.light import (
    ONE_THIRD,
    Archive,
    NotYetTrusted,
    Trusted,
    advance,
    trust_block,
    trust_genesis,
    verify_next,
    verify_skipping,
)
from node.chain.light_block import (
    MAX_TOTAL_POWER,
    LightBlock,
    check_block,
    decode_light_block,
    encode_light_block,
)
from node.chain.light_chain import change_heights, smallest_list, verify_chain, verify_to
from node.chain.validators import Validator
from tests.helpers.light_chain import (
    CHAIN_NAME,
    ValidatorSet,
    chain,
    commit_for,
    genesis_of,
    signed,
    validators_of,
)

NOBODY = frozenset[int]()

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Signing chains takes time; on a busy machine that is no fault."""

small_powers = st.integers(1, 6)
large_powers = st.integers(MAX_TOTAL_POWER // 8 - 20, MAX_TOTAL_POWER // 8)
sets = st.one_of(
    st.dictionaries(st.integers(1, 8), powers, min_size=1, max_size=6)
    for powers in (small_powers, large_powers)
)


@st.composite
def honest_chains(draw: st.DrawFn, max_runs: int = 5) -> tuple[list[ValidatorSet], tuple[LightBlock, ...]]:
    """Runs of heights with one set each; somebody may be absent or vote for nothing where enough remain."""
    members: list[ValidatorSet] = []
    for one_set in draw(st.lists(sets, min_size=1, max_size=max_runs)):
        members += [one_set] * draw(st.integers(1, 3))
    absent: dict[int, set[int]] = {}
    nil: dict[int, set[int]] = {}
    for height, one_set in enumerate(members, start=1):
        missing: set[int] = set()
        for number in draw(st.permutations(sorted(one_set)))[:2]:
            if has_quorum(one_set, missing | {number}) and draw(st.booleans()):
                missing.add(number)
                draw(st.sampled_from((absent, nil))).setdefault(height, set()).add(number)
    return members, chain(members, absent, nil)


def has_quorum(members: ValidatorSet, missing: set[int]) -> bool:
    power = sum(power for number, power in members.items() if number not in missing)
    return power * 3 > sum(members.values()) * 2


def trusted_at(block: LightBlock) -> Trusted:
    return trust_block(block, CHAIN_NAME, block.commit.block_id.hash)


def sequential(members: list[ValidatorSet], blocks: tuple[LightBlock, ...]) -> list[Trusted]:
    """Genesis and what is trusted at each height, height by height."""
    found = [trust_genesis(genesis_of(members[0]))]
    for block in blocks:
        found.append(verify_next(found[-1], block, Archive()).trusted)
    return found


# ---- boundaries


@given(
    powers=st.lists(st.one_of(small_powers, large_powers), min_size=1, max_size=7),
    voters=st.integers(0, 127),
)
@example(powers=[MAX_TOTAL_POWER // 3] * 3, voters=3)
@example(powers=[(1 << 58) + 1, 1 << 58, 1 << 58], voters=3)
@example(powers=[1 << 58, 1 << 58, (1 << 58) + 1], voters=3)
@settings(UNHURRIED, max_examples=120)
def test_a_block_needs_more_than_two_thirds_of_its_own_set_to_the_last_unit(
    powers: list[int], voters: int
) -> None:
    members = dict(enumerate(powers, start=1))
    absent = {number for number in members if not voters >> (number - 1) & 1}
    blocks = chain([members], absent={1: absent})
    if has_quorum(members, absent):
        check_block(blocks[0], CHAIN_NAME)
    else:
        with pytest.raises(ProofError, match=r"^commit[.]no_quorum:"):
            check_block(blocks[0], CHAIN_NAME)


@given(
    powers=st.lists(st.one_of(small_powers, large_powers), min_size=1, max_size=7),
    kept=st.integers(0, 127),
    level=st.sampled_from([Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(999, 1000), Fraction(1)]),
)
@example(powers=[MAX_TOTAL_POWER // 3] * 3, kept=1, level=ONE_THIRD)
@example(powers=[(1 << 58) + 1, 1 << 58, 1 << 58], kept=1, level=ONE_THIRD)
@example(powers=[1 << 58, 1 << 58, (1 << 58) + 1], kept=1, level=ONE_THIRD)
@settings(UNHURRIED, max_examples=120)
def test_a_skip_needs_more_than_the_trust_level_to_the_last_unit(
    powers: list[int], kept: int, level: Fraction
) -> None:
    before = dict(enumerate(powers, start=1))
    stay = {number for number in before if kept >> (number - 1) & 1}
    after = {**dict.fromkeys(stay, 1), 100: 1}
    blocks = chain([before, before, after])
    signed_power = sum(before[number] for number in stay)
    if signed_power > sum(powers) * level:
        step = verify_skipping(trusted_at(blocks[0]), blocks[2], Archive(), level)
        assert (step.signed_power, step.total_power) == (signed_power, sum(powers))
    else:
        with pytest.raises(NotYetTrusted):
            verify_skipping(trusted_at(blocks[0]), blocks[2], Archive(), level)


# ---- what is accepted


@given(honest=honest_chains(), level=st.sampled_from([ONE_THIRD, Fraction(2, 3)]))
@settings(UNHURRIED, max_examples=40)
def test_skipping_accepts_only_what_sequential_verification_accepts(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]], level: Fraction
) -> None:
    members, blocks = honest
    trusted = sequential(members, blocks)
    for start in range(len(trusted)):
        for block in blocks[start + 1 :]:
            try:
                step = verify_skipping(trusted[start], block, Archive(), level)
            except NotYetTrusted:
                continue
            assert step.trusted == trusted[block.header.height]


@given(honest=honest_chains(), data=st.data())
@settings(UNHURRIED, max_examples=60)
def test_less_than_a_third_of_a_set_cannot_lead_it_astray(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]], data: st.DataObject
) -> None:
    members, blocks = honest
    start = data.draw(st.integers(0, len(blocks) - 1))
    set_there = members[start]
    traitors: set[int] = set()
    for number in data.draw(st.permutations(sorted(set_there))):
        if 3 * sum(set_there[one] for one in (*traitors, number)) <= sum(set_there.values()):
            traitors.add(number)
    # They sign any header they like with a set of their own making, alone or with strangers.
    false_set = {**dict.fromkeys(traitors, 1_000_000), 200: 1}
    block = signed(blocks[start], false_set, height=data.draw(st.integers(start + 2, start + 9)))
    block = signed(block, false_set, time_ns=block.header.time_ns + 10**12)
    check_block(block, CHAIN_NAME)
    with pytest.raises(ProofError):
        advance(trusted_at(blocks[start]), check_block(block, CHAIN_NAME), Archive())


@given(honest=honest_chains(), data=st.data())
@settings(UNHURRIED, max_examples=40)
def test_bisection_ends_and_says_what_sequential_verification_says(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]], data: st.DataObject
) -> None:
    members, blocks = honest
    trusted = sequential(members, blocks)
    start = data.draw(st.integers(0, len(blocks) - 1))
    target = data.draw(st.integers(start + 1, len(blocks)))
    fetched: list[int] = []

    def fetch(height: int) -> LightBlock:
        fetched.append(height)
        return blocks[height - 1]

    steps = verify_to(trusted[start], target, fetch, Archive())
    assert steps[-1].trusted == trusted[target]
    assert [step.from_height for step in steps] == [start, *(step.trusted.height for step in steps[:-1])]
    assert len(fetched) == len(set(fetched)) <= target - start
    assert all(start < height <= target for height in fetched)


@given(honest=honest_chains(), forged=st.sets(st.integers(1, 15)), data=st.data())
@settings(UNHURRIED, max_examples=60)
def test_bisection_with_forged_answers_ends_at_the_true_block_or_with_a_reason(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]], forged: set[int], data: st.DataObject
) -> None:
    members, blocks = honest
    strangers = {300: 5, 301: 5}
    answers = [
        signed(block, strangers, next_validators_hash=signed(block, strangers).header.validators_hash)
        if block.header.height in forged
        else block
        for block in blocks
    ]
    target = data.draw(st.integers(1, len(blocks)))
    trusted = sequential(members, blocks)
    try:
        steps = verify_to(trusted[0], target, lambda height: answers[height - 1], Archive())
    except ProofError as error:
        refusal: ProofError | None = error
    else:
        refusal = None
        assert steps[-1].trusted == trusted[target]
    if target in forged:
        assert refusal is not None
    assert not isinstance(refusal, NotYetTrusted)
    if not forged & set(range(1, target + 1)):
        assert refusal is None


# ---- smallest lists


def shortest(trusted: list[Trusted], blocks: tuple[LightBlock, ...]) -> int:
    """Steps to the last block, by trying every pair: a step leads upwards, so in order of heights."""
    distances = [0]
    for block in blocks:
        checked = check_block(block, CHAIN_NAME)
        reachable = []
        for start, distance in enumerate(distances):
            try:
                advance(trusted[start], checked, Archive())
            except NotYetTrusted:
                continue
            reachable.append(distance + 1)
        distances.append(min(reachable))
    return distances[-1]


@given(honest=honest_chains())
@settings(UNHURRIED, max_examples=40)
def test_the_smallest_list_is_no_longer_than_any_other(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]],
) -> None:
    members, blocks = honest
    trusted = sequential(members, blocks)
    smallest = smallest_list(trusted[0], blocks, Archive())
    assert len(smallest) == shortest(trusted, blocks)
    assert smallest[-1] == blocks[-1]
    proven = verify_chain(genesis_of(members[0]), smallest, Archive())
    assert proven.trusted == trusted[-1]


@given(honest=honest_chains(), level=st.sampled_from([ONE_THIRD, Fraction(2, 3)]))
@settings(UNHURRIED, max_examples=40)
def test_the_blocks_at_changes_and_the_target_always_make_a_list(
    honest: tuple[list[ValidatorSet], tuple[LightBlock, ...]], level: Fraction
) -> None:
    members, blocks = honest
    heights = {*change_heights(block.header for block in blocks), len(blocks)}
    chosen = [blocks[height - 1] for height in sorted(heights)]
    smallest = smallest_list(trust_genesis(genesis_of(members[0])), chosen, Archive(), level)
    changes = sum(before != after for before, after in pairwise(members))
    assert len(smallest) <= 2 * changes + 1


# ---- tampering


def other_values(value: object) -> st.SearchStrategy[Any]:
    if isinstance(value, bytes):
        return st.one_of(st.binary(max_size=70), st.binary(min_size=len(value), max_size=len(value)))
    if isinstance(value, int):
        return st.one_of(st.integers(), st.integers(value - 2, value + 2))
    if isinstance(value, str):
        return st.text(max_size=60)
    assert isinstance(value, BlockId)
    return st.builds(BlockId, st.binary(max_size=33), st.integers(), st.binary(max_size=33)).flatmap(
        lambda drawn: st.sampled_from(
            [drawn, replace(value, part_count=drawn.part_count), replace(value, parts_hash=drawn.parts_hash)]
        )
    )


TAMPERED = chain([{1: 10, 2: 10, 3: 10, 4: 10}] * 2, absent={2: [2]}, nil={2: []})[1]


def tampered(data: st.DataObject) -> LightBlock:
    """`TAMPERED` with one field of one part changed."""
    part = data.draw(st.sampled_from([Header, Commit, CommitSignature, Validator]))
    if part is Header:
        name = data.draw(st.sampled_from([field.name for field in fields(Header)]))
        value = data.draw(other_values(getattr(TAMPERED.header, name)))
        return replace(TAMPERED, header=replace(TAMPERED.header, **{name: value}))
    if part is Commit:
        name = data.draw(st.sampled_from(["height", "round", "block_id"]))
        value = data.draw(other_values(getattr(TAMPERED.commit, name)))
        return replace(TAMPERED, commit=replace(TAMPERED.commit, **{name: value}))
    place = data.draw(st.integers(0, 3))
    if part is CommitSignature:
        entries = list(TAMPERED.commit.signatures)
        name = data.draw(st.sampled_from([field.name for field in fields(CommitSignature)]))
        value = data.draw(other_values(getattr(entries[place], name)))
        entries[place] = replace(entries[place], **{name: value})
        return replace(TAMPERED, commit=replace(TAMPERED.commit, signatures=tuple(entries)))
    validators = list(TAMPERED.validators)
    name = data.draw(st.sampled_from(["public_key", "power"]))
    validators[place] = replace(
        validators[place], **{name: data.draw(other_values(getattr(validators[place], name)))}
    )
    return replace(TAMPERED, validators=tuple(validators))


@given(data=st.data())
@settings(UNHURRIED, max_examples=300)
def test_any_changed_field_of_a_light_block_is_refused(data: st.DataObject) -> None:
    block = tampered(data)
    assume(block != TAMPERED)
    with pytest.raises(ProofError):
        check_block(block, CHAIN_NAME)


@given(bit=st.integers(0, len(encode_light_block(TAMPERED)) * 8 - 1))
@settings(UNHURRIED, max_examples=500)
def test_any_flipped_bit_of_a_light_block_is_refused(bit: int) -> None:
    encoded = bytearray(encode_light_block(TAMPERED))
    encoded[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises((DecodeError, ProofError)):
        check_block(decode_light_block(bytes(encoded)), CHAIN_NAME)


@given(drop=st.sets(st.integers(0, 3)), move=st.permutations(range(4)))
@settings(UNHURRIED, max_examples=60)
def test_votes_can_be_left_out_but_neither_moved_nor_multiplied(drop: set[int], move: list[int]) -> None:
    entries = [ABSENT if place in drop else TAMPERED.commit.signatures[move[place]] for place in range(4)]
    commit = replace(TAMPERED.commit, signatures=tuple(entries))
    kept = [entry for entry in entries if entry != ABSENT]
    in_place = all(
        entry in (ABSENT, TAMPERED.commit.signatures[place]) for place, entry in enumerate(entries)
    )
    if in_place and len(kept) >= 3:
        check_block(replace(TAMPERED, commit=commit), CHAIN_NAME)
    else:
        with pytest.raises(ProofError):
            check_block(replace(TAMPERED, commit=commit), CHAIN_NAME)


@given(data=st.binary(max_size=400))
@settings(UNHURRIED, max_examples=300)
def test_decoders_refuse_any_bytes_with_a_reason(data: bytes) -> None:
    decoders: Mapping[str, Any] = {
        "light block": decode_light_block,
        "statement": decode_statement,
        "certificate": decode_certificate,
        "equivocation": decode_equivocation,
    }
    for decode in decoders.values():
        with pytest.raises(DecodeError):
            decode(data)


# ---- equivocation


@given(
    members=sets,
    who=st.tuples(st.sets(st.integers(1, 8)), st.sets(st.integers(1, 8))),
    nil=st.sets(st.integers(1, 8)),
    rounds=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
@settings(UNHURRIED, max_examples=60)
def test_of_two_commits_exactly_those_are_found_who_signed_both(
    members: ValidatorSet, who: tuple[set[int], set[int]], nil: set[int], rounds: tuple[int, int]
) -> None:
    header = chain([members])[0].header
    other = replace(header, app_hash=b"\x99" * 32)
    one = commit_for(header, members, absent=members.keys() - who[0], round=rounds[0])
    two = commit_for(other, members, absent=members.keys() - who[1], nil=nil, round=rounds[1])
    validators = validators_of(members)
    found = find_equivocation(CHAIN_NAME, votes_of(one, validators), votes_of(two, validators))
    both = members.keys() & who[0] & who[1] if rounds[0] == rounds[1] else NOBODY
    assert {item.first.public_key for item in found} == {
        validators_of({number: 1})[0].public_key for number in both
    }
    for item in found:
        verify_equivocation(decode_equivocation(encode_equivocation(item)), validators)


_ONE, _OTHER = (
    commit_for(header, {1: 1})
    for header in (TAMPERED.header, replace(TAMPERED.header, app_hash=b"\x99" * 32))
)
(FOUND,) = find_equivocation(
    CHAIN_NAME, votes_of(_ONE, validators_of({1: 1})), votes_of(_OTHER, validators_of({1: 1}))
)


@given(bit=st.integers(0, len(encode_equivocation(FOUND)) * 8 - 1))
@settings(UNHURRIED, max_examples=300)
def test_any_flipped_bit_of_evidence_is_refused(bit: int) -> None:
    encoded = bytearray(encode_equivocation(FOUND))
    encoded[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises((DecodeError, ProofError)):
        verify_equivocation(decode_equivocation(bytes(encoded)))
