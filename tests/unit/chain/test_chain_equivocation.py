"""Two votes of one validator at one height and round for different blocks: found, and proved to anyone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chain_recordings import load_library, load_recording

from node.chain.block import Evidence, decode_block
from node.chain.commit import PRECOMMIT, PREVOTE, vote_sign_bytes
from node.chain.equivocation import (
    Equivocation,
    Vote,
    decode_equivocation,
    encode_equivocation,
    find_equivocation,
    read_block_evidence,
    verify_equivocation,
    votes_of,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import NIL_BLOCK_ID, BlockId
from node.chain.validators import Validator
from tests.helpers.light_chain import (
    CHAIN_NAME,
    ValidatorSet,
    chain,
    commit_for,
    public_key,
    signing_key,
    validators_of,
)

FOUR = {1: 10, 2: 10, 3: 10, 4: 10}
ONE_BLOCK = BlockId(b"\x01" * 32, 1, b"\x0a" * 32)
OTHER_BLOCK = BlockId(b"\x02" * 32, 1, b"\x0b" * 32)


def refused(code: str) -> Any:
    return pytest.raises(ProofError, match=rf"^{code.replace('.', '[.]')}:")


def vote(
    number: int, block_id: BlockId, height: int = 7, round: int = 0, kind: int = PRECOMMIT, time_ns: int = 5
) -> Vote:
    message = vote_sign_bytes(kind, CHAIN_NAME, height, round, block_id, time_ns)
    signature = signing_key(number).sign(message).signature
    return Vote(public_key(number), kind, height, round, block_id, time_ns, signature)


def evidence() -> Equivocation:
    return Equivocation(CHAIN_NAME, vote(1, ONE_BLOCK), vote(1, OTHER_BLOCK))


def two_commits(absent: ValidatorSet | None = None, rounds: tuple[int, int] = (0, 0)) -> tuple[Any, Any]:
    (block,) = chain([FOUR])
    other = replace(block.header, app_hash=b"\x99" * 32)
    return commit_for(block.header, FOUR, round=rounds[0]), commit_for(
        other, FOUR, absent=absent or (), round=rounds[1]
    )


def test_two_commits_of_one_height_and_round_prove_who_signed_both() -> None:
    one, other = two_commits(absent={4: 10})
    found = find_equivocation(
        CHAIN_NAME, votes_of(one, validators_of(FOUR)), votes_of(other, validators_of(FOUR))
    )
    assert [item.first.public_key for item in found] == sorted(public_key(number) for number in (1, 2, 3))
    for item in found:
        verify_equivocation(item, validators_of(FOUR))
        assert decode_equivocation(encode_equivocation(item)) == item


def test_what_is_no_equivocation_is_not_found() -> None:
    validators = validators_of(FOUR)
    one, other = two_commits(rounds=(0, 1))
    assert find_equivocation(CHAIN_NAME, votes_of(one, validators), votes_of(other, validators)) == ()
    assert find_equivocation(CHAIN_NAME, votes_of(one, validators), votes_of(one, validators)) == ()
    for second in (
        vote(1, ONE_BLOCK, time_ns=6),
        vote(1, OTHER_BLOCK, height=8),
        vote(1, OTHER_BLOCK, round=1),
        vote(1, OTHER_BLOCK, kind=PREVOTE),
        vote(2, OTHER_BLOCK),
        replace(vote(1, OTHER_BLOCK), signature=vote(2, OTHER_BLOCK).signature),
    ):
        assert find_equivocation(CHAIN_NAME, [vote(1, ONE_BLOCK)], [second]) == ()


def test_a_vote_for_a_block_and_one_for_none_exclude_each_other() -> None:
    (found,) = find_equivocation(CHAIN_NAME, [vote(1, ONE_BLOCK)], [vote(1, NIL_BLOCK_ID)])
    assert {found.first.block_id, found.second.block_id} == {ONE_BLOCK, NIL_BLOCK_ID}
    (again,) = find_equivocation(CHAIN_NAME, [vote(1, NIL_BLOCK_ID)], [vote(1, ONE_BLOCK)])
    assert again == found


def test_double_prevotes_count_too() -> None:
    votes = [vote(1, ONE_BLOCK, kind=PREVOTE)], [vote(1, OTHER_BLOCK, kind=PREVOTE)]
    assert len(find_equivocation(CHAIN_NAME, *votes)) == 1


def test_a_false_vote_does_not_hide_a_true_one() -> None:
    false = replace(vote(1, BlockId(b"\x03" * 32, 1, bytes(32))), signature=bytes(64))
    (found,) = find_equivocation(CHAIN_NAME, [vote(1, ONE_BLOCK)], [false, vote(1, OTHER_BLOCK)])
    assert found == evidence()


def test_votes_of_validators_whose_keys_are_unknown_are_passed_over() -> None:
    one, _ = two_commits()
    assert [item.public_key for item in votes_of(one, [Validator(public_key(2), 1)])] == [public_key(2)]


@pytest.mark.parametrize("field", ["height", "round", "kind", "public_key"])
def test_evidence_is_of_one_place(field: str) -> None:
    value = public_key(2) if field == "public_key" else 1
    second = replace(evidence().second, **{field: value})  # type: ignore[arg-type]
    with refused("equivocation.other_place"):
        verify_equivocation(replace(evidence(), second=second))


def test_evidence_has_one_order_and_two_blocks() -> None:
    good = evidence()
    verify_equivocation(good)
    with refused("equivocation.wrong_order"):
        verify_equivocation(replace(good, first=good.second, second=good.first))
    with refused("equivocation.wrong_order"):
        verify_equivocation(replace(good, second=good.first))


def test_both_votes_verify_on_this_chain() -> None:
    good = evidence()
    with refused("equivocation.bad_signature"):
        verify_equivocation(replace(good, chain_name="shelian-other"))
    for place in ("first", "second"):
        spoilt = replace(getattr(good, place), signature=bytes(64))
        with refused("equivocation.bad_signature"):
            verify_equivocation(replace(good, **{place: spoilt}))  # type: ignore[arg-type]


def test_the_key_is_a_validators_if_they_are_known() -> None:
    with refused("equivocation.no_validator"):
        verify_equivocation(evidence(), validators_of({2: 10}))


def test_malformed_evidence_is_refused_with_a_reason() -> None:
    good = evidence()
    encoded = encode_equivocation(good)
    with pytest.raises(DecodeError, match=r"^equivocation[.]unknown_version:"):
        decode_equivocation(b"\x08\x02" + encoded[2:])
    with pytest.raises(DecodeError):
        decode_equivocation(encoded + b"\x48\x01")
    for changes in ({"kind": 3}, {"height": 0}, {"round": 1 << 31}):
        first, second = replace(good.first, **changes), replace(good.second, **changes)
        with refused("equivocation.malformed"):
            verify_equivocation(Equivocation(CHAIN_NAME, first, second))
    for name in ("链", "\ud800"):
        with refused("equivocation.malformed"):
            verify_equivocation(replace(good, chain_name=name))


def test_evidence_that_cometbft_put_into_a_block_proves_the_same() -> None:
    library = load_library()
    block = decode_block(bytes.fromhex(library["block"]["encoded"]))
    validators = [
        Validator(bytes.fromhex(one["public_key"]), one["power"]) for one in library["commit"]["validators"]
    ]
    chain_name = library["commit"]["chain_id"]
    found = read_block_evidence(block.evidence[0], chain_name, validators)
    assert found.first.public_key == validators[0].public_key
    assert (found.first.height, found.first.round) == (8, 0)
    with refused("equivocation.bad_signature"):
        read_block_evidence(block.evidence[0], "shelian-other", validators)
    with refused("equivocation.no_validator"):
        read_block_evidence(block.evidence[0], chain_name, validators[1:])
    with refused("equivocation.other_kind"):
        read_block_evidence(replace(block.evidence[0], kind=2), chain_name, validators)
    with pytest.raises(ProofError):
        read_block_evidence(Evidence(1, b"\x0a\x05ab"), chain_name, validators)


def test_an_honest_network_has_none() -> None:
    for block in load_recording("four-nodes").blocks[1:]:
        seen, included = block.commit, block.block.last_commit
        assert (
            find_equivocation(
                load_recording("four-nodes").chain_name,
                votes_of(seen, block.validators),
                votes_of(included, block.validators),
            )
            == ()
        )
