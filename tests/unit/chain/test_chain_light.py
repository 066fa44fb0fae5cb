"""The light client: recordings of a real network, CometBFT's own verdicts, and every single check."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Any

import pytest
from chain_recordings import VECTORS, load_recording

from node.chain.commit import (
    ABSENT,
    FLAG_ABSENT,
    FLAG_COMMIT,
    FLAG_NIL,
    Commit,
    decode_commit,
    encode_commit,
    precommit_sign_bytes,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import BlockId, decode_header, encode_header
from node.chain.light import (
    ONE_THIRD,
    Archive,
    Live,
    NotYetTrusted,
    StepKind,
    Trusted,
    advance,
    trust_block,
    trust_genesis,
    verify_next,
    verify_previous,
    verify_skipping,
)
from node.chain.light_block import (
    MAX_TIME_NS,
    MAX_TOTAL_POWER,
    MIN_TIME_NS,
    CheckedBlock,
    LightBlock,
    check_block,
    decode_light_block,
    encode_light_block,
)
from node.chain.light_chain import (
    Assumption,
    Segment,
    change_heights,
    smallest_list,
    verify_chain,
    verify_segments,
    verify_to,
)
from node.chain.validators import Validator
from tests.helpers.light_chain import (
    CHAIN_NAME,
    GENESIS_TIME_NS,
    SECOND,
    chain,
    commit_for,
    genesis_of,
    public_key,
    signed,
    signing_key,
    validators_of,
)

FOUR = {1: 10, 2: 10, 3: 10, 4: 10}
LATER = Live(GENESIS_TIME_NS + 3600 * SECOND, 24 * 3600 * SECOND)


def refused(code: str) -> Any:
    return pytest.raises(ProofError, match=rf"^{code.replace('.', '[.]')}:")


# ---- the recorded network


class Recorded:
    """tests/vectors/cometbft/light.json; heights are indexes into `blocks`."""

    def __init__(self) -> None:
        self.document = json.loads((VECTORS / "light.json").read_text())
        sets = [
            tuple(Validator(bytes.fromhex(one["public_key"]), one["power"]) for one in members)
            for members in self.document["sets"]
        ]
        self.chain_name: str = self.document["chain_name"]
        self.blocks: list[LightBlock] = [
            LightBlock(
                decode_header(base64.b64decode(item["header"])),
                decode_commit(base64.b64decode(item["commit"])),
                sets[item["set"]],
            )
            for item in self.document["blocks"]
        ]
        self.checked = [check_block(block, self.chain_name) for block in self.blocks]
        self.trusted = [trust_block(one.block, self.chain_name, one.hash) for one in self.checked]
        self.clock = Live(self.blocks[-1].header.time_ns + 60 * SECOND, 3600 * SECOND)

    def at(self, height: int) -> LightBlock:
        return self.blocks[height - 1]

    @property
    def heights(self) -> range:
        return range(1, len(self.blocks) + 1)

    @property
    def genesis(self) -> Trusted:
        first = self.blocks[0]
        members = {one["public_key"]: one["power"] for one in self.document["genesis_validators"]}
        assert members == {one.public_key.hex(): one.power for one in first.validators}
        return Trusted(
            self.chain_name,
            0,
            b"",
            self.document["genesis_time_ns"],
            first.validators,
            first.header.validators_hash,
        )


@lru_cache(maxsize=1)
def recorded() -> Recorded:
    return Recorded()


def test_the_recording_holds_the_cases_that_matter() -> None:
    blocks = recorded().blocks
    assert len(blocks) >= 60
    assert [block.header.height for block in blocks] == list(recorded().heights)
    assert {entry.flag for block in blocks for entry in block.commit.signatures} == {
        FLAG_ABSENT,
        FLAG_COMMIT,
        FLAG_NIL,
    }
    assert {block.commit.round for block in blocks} >= {0, 1}
    sets = list(dict.fromkeys(block.validators for block in blocks))
    assert len(sets) >= 8
    keys = [{one.public_key for one in members} for members in sets]
    assert any(after > before for before, after in pairwise(keys)), "one joined"
    assert any(len(before) == 4 and after < before for before, after in pairwise(keys)), "one of four left"
    assert any(
        earlier - later and (earlier - later) & latest for earlier, later, latest in combinations(keys, 3)
    ), "one left and came back"
    assert any(
        before != after and kept == left
        for (before, kept), (after, left) in pairwise(zip(sets, keys, strict=True))
    ), "a power changed"
    assert not keys[0] & keys[-1], "none of the first is among the last"


def test_every_header_and_commit_decodes_to_what_the_network_wrote() -> None:
    for item, block in zip(recorded().document["blocks"], recorded().blocks, strict=True):
        assert base64.b64encode(encode_header(block.header)).decode() == item["header"]
        assert base64.b64encode(encode_commit(block.commit)).decode() == item["commit"]
        assert decode_light_block(encode_light_block(block)) == block


def test_from_genesis_each_block_leads_to_the_next() -> None:
    trusted = recorded().genesis
    for block in recorded().blocks:
        step = verify_next(trusted, block, recorded().clock)
        assert step.kind is StepKind.NEXT
        assert step.signed_power * 3 > step.total_power * 2
        trusted = step.trusted
    assert trusted.hash == recorded().checked[-1].hash


def test_the_older_recordings_verify_too() -> None:
    for name in ("single-node", "four-nodes"):
        recording = load_recording(name)
        blocks = [LightBlock(item.block.header, item.commit, item.validators) for item in recording.blocks]
        trusted = trust_block(blocks[0], recording.chain_name, recording.blocks[0].block_id.hash)
        for block in blocks[1:]:
            trusted = verify_next(trusted, block, Archive()).trusted


def verdict(trusted: Trusted, checked: CheckedBlock, level: Fraction) -> str:
    try:
        advance(trusted, checked, recorded().clock, level)
    except NotYetTrusted:
        return "b"
    except ProofError:
        return "r"
    return "o"


@pytest.mark.parametrize("level", ["1/3", "1/2", "2/3", "1/1"])
def test_every_pair_of_heights_has_the_verdict_of_cometbft(level: str) -> None:
    rows = recorded().document["pairs"][level]
    assert len(rows) == len(recorded().blocks) - 1
    for index, row in enumerate(rows):
        trusted = recorded().trusted[index]
        found = "".join(
            verdict(trusted, checked, Fraction(level)) for checked in recorded().checked[index + 1 :]
        )
        assert found == row, f"from height {index + 1}"
    assert "o" in "".join(rows)
    assert "b" in "".join(rows)


def asked() -> Iterator[Any]:
    for number, question in enumerate(recorded().document["questions"]):
        yield pytest.param(question, id=f"{number}")


def altered(question: dict[str, Any]) -> LightBlock:
    block = recorded().at(question["to"])
    source = recorded().at(question["commit_of"] or question["to"]).commit
    entries = list(source.signatures)
    for place in question["drop"]:
        entries[place] = ABSENT
    for place in question["flip"]:
        if signature := entries[place].signature:
            entries[place] = replace(entries[place], signature=signature[:-1] + bytes((signature[-1] ^ 1,)))
    validators = recorded().at(question["set_of"] or question["to"]).validators
    commit = Commit(source.height, source.round + question["round_added"], source.block_id, tuple(entries))
    return LightBlock(block.header, commit, validators)


def our_answer(question: dict[str, Any]) -> str:
    trusted = recorded().trusted[question["from"] - 1]
    clock = Live(question["now_ns"], question["period_ns"], question["drift_ns"])
    try:
        checked = check_block(altered(question), recorded().chain_name)
        advance(trusted, checked, clock, Fraction(*question["level"]))
    except NotYetTrusted:
        return "between"
    except ProofError as error:
        return "expired" if error.code == "light.expired" else "refused"
    return "ok"


def test_altered_pairs_have_the_verdict_of_cometbft_or_a_stricter_one() -> None:
    """Stricter where CometBFT stops at enough votes, and where it asks the trusted set before the own one."""
    questions = recorded().document["questions"]
    counts: dict[tuple[str, str], int] = {}
    for question in questions:
        theirs, ours = question["answer"], our_answer(question)
        counts[theirs, ours] = counts.get((theirs, ours), 0) + 1
        if theirs != ours:
            # What they found first is not what we found first, but nothing that they refuse is accepted, and
            # nothing is refused whose votes all verify.
            assert ours == "refused", question
            assert not question["all"], question
    assert len(questions) >= 300
    assert {theirs for theirs, _ in counts} == {"ok", "between", "expired", "refused"}
    assert all(counts[answer, answer] >= 5 for answer in ("ok", "between", "expired", "refused")), counts


def test_bisection_reaches_every_recorded_height_from_genesis() -> None:
    for height in recorded().heights:
        fetched: list[int] = []

        def fetch(wanted: int, fetched: list[int] = fetched) -> LightBlock:
            fetched.append(wanted)
            return recorded().at(wanted)

        steps = verify_to(recorded().genesis, height, fetch, recorded().clock)
        assert steps[-1].trusted.hash == recorded().checked[height - 1].hash
        assert len(set(fetched)) == len(fetched)
        assert {step.trusted.height for step in steps} <= set(fetched)


def test_the_smallest_list_of_the_recording_is_that_of_an_exhaustive_search() -> None:
    blocks, clock, genesis = recorded().blocks, recorded().clock, recorded().genesis
    # Distances by dynamic programming over all pairs: every step leads upwards.
    distances: list[float] = []
    for index, checked in enumerate(recorded().checked):
        best = float("inf")
        for earlier in range(-1, index):
            trusted = genesis if earlier < 0 else recorded().trusted[earlier]
            if verdict(trusted, checked, ONE_THIRD) == "o":
                best = min(best, 1 if earlier < 0 else distances[earlier] + 1)
        distances.append(best)
    assert distances[-1] > 2, "the recording has changes that cannot be skipped"
    for height in (1, 2, 40, 70, len(blocks)):
        smallest = smallest_list(genesis, blocks[:height], clock)
        assert len(smallest) == distances[height - 1]
        trusted = genesis
        for block in smallest:
            trusted = advance(trusted, check_block(block, recorded().chain_name), clock).trusted
        assert trusted.hash == recorded().checked[height - 1].hash


def test_the_blocks_at_changes_are_enough_for_a_list() -> None:
    heights = change_heights(block.header for block in recorded().blocks)
    assert len(heights) >= 16
    chosen = [*(recorded().at(height) for height in heights), recorded().blocks[-1]]
    lengths = []
    for level in (ONE_THIRD, Fraction(1, 2), Fraction(2, 3)):
        smallest = smallest_list(recorded().genesis, chosen, recorded().clock, level)
        assert smallest[-1] == recorded().blocks[-1]
        lengths.append(len(smallest))
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] <= len(chosen)


# ---- each check of a light block by itself


def one_block() -> LightBlock:
    return chain([FOUR])[0]


def test_a_block_of_another_chain_is_refused() -> None:
    with refused("light.wrong_chain"):
        check_block(one_block(), "shelian-other")


def test_a_block_of_another_protocol_is_refused() -> None:
    with refused("light.block_protocol"):
        check_block(signed(one_block(), FOUR, block_version=12), CHAIN_NAME)


def test_a_set_must_be_a_set() -> None:
    block = one_block()
    first, *others = block.validators
    for code, validators in (
        ("light.set_size", ()),
        ("light.set_size", block.validators * 2_501),
        ("light.repeated_validator", (first, first, *others)),
        ("light.bad_power", (*block.validators[:3], replace(block.validators[3], power=0))),
        ("light.bad_power", (replace(first, power=MAX_TOTAL_POWER), *others)),
        ("light.wrong_order", tuple(reversed(block.validators))),
        ("light.wrong_validators", block.validators[:3]),
        ("light.wrong_validators", (replace(first, power=11), *others)),
        ("light.bad_key", (*block.validators[:3], Validator(bytes(31), 1))),
    ):
        with refused(code):
            check_block(replace(block, validators=validators), CHAIN_NAME)


def test_the_largest_sum_of_powers_is_allowed() -> None:
    members = {1: MAX_TOTAL_POWER - 2, 2: 1, 3: 1}
    check_block(chain([members])[0], CHAIN_NAME)


def part_count(count: int) -> BlockId:
    return replace(one_block().commit.block_id, part_count=count)


@pytest.mark.parametrize("time_ns", [1 << 64, -(1 << 64)])
def test_the_time_of_a_vote_is_one_that_its_bytes_can_hold(time_ns: int) -> None:
    # The same bytes are signed for a time 2^64 seconds later.
    block = one_block()
    first, *others = block.commit.signatures
    later = replace(first, time_ns=first.time_ns + time_ns * SECOND)
    with refused("light.malformed"):
        check_block(replace(block, commit=replace(block.commit, signatures=(later, *others))), CHAIN_NAME)


def test_the_earliest_time_is_not_taken_for_the_one_after_the_latest() -> None:
    block = one_block()
    first, *others = block.commit.signatures
    number = next(number for number in FOUR if block.validators[0].public_key == public_key(number))
    message = precommit_sign_bytes(CHAIN_NAME, 1, 0, block.commit.block_id, MIN_TIME_NS)
    assert message == precommit_sign_bytes(CHAIN_NAME, 1, 0, block.commit.block_id, MAX_TIME_NS)
    signature = signing_key(number).sign(message).signature

    def at(time_ns: int) -> LightBlock:
        entry = replace(first, time_ns=time_ns, signature=signature)
        return replace(block, commit=replace(block.commit, signatures=(entry, *others)))

    check_block(at(MIN_TIME_NS), CHAIN_NAME)
    with refused("light.malformed"):
        check_block(at(MAX_TIME_NS), CHAIN_NAME)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("header", "height", 1 + (1 << 64)),
        ("header", "time_ns", GENESIS_TIME_NS + (1 << 64) * SECOND),
        ("header", "app_version", 1 + (1 << 64)),
        ("header", "validators_hash", b""),
        ("header", "last_commit_hash", bytes(31)),
        ("header", "proposer_address", bytes(19)),
        ("commit", "block_id", part_count(1 + (1 << 64))),
        ("commit", "block_id", part_count(-1)),
        ("commit", "round", 1 << 31),
        ("commit", "round", -1),
    ],
)
def test_values_that_their_own_bytes_would_not_decode_to_are_refused(
    part: str, field: str, value: object
) -> None:
    # Numbers are encoded modulo 2^64: without this check another number could stand under the same hash.
    block = one_block()
    if part == "header":
        changed = replace(block.header, **{field: value})  # type: ignore[arg-type]
        block = replace(block, header=changed)
    else:
        block = replace(block, commit=replace(block.commit, **{field: value}))  # type: ignore[arg-type]
    with pytest.raises(ProofError, match=r"^light[.](malformed|wrong_validators):"):
        check_block(block, CHAIN_NAME)


def test_a_commit_of_another_header_is_refused() -> None:
    first, second = chain([FOUR, FOUR])
    with refused("light.wrong_commit"):
        check_block(replace(second, commit=first.commit), CHAIN_NAME)


def test_a_commit_for_the_header_at_another_height_is_refused() -> None:
    block = one_block()
    moved = commit_for(replace(block.header, height=2), FOUR)
    moved = replace(moved, block_id=replace(moved.block_id, hash=block.commit.block_id.hash))
    with refused("commit.wrong_height"):
        check_block(replace(block, commit=moved), CHAIN_NAME)


def test_exactly_two_thirds_of_a_set_are_not_enough_for_its_block() -> None:
    members = {1: 2, 2: 2, 3: 2}
    with refused("commit.no_quorum"):
        check_block(chain([members], absent={1: [3]})[0], CHAIN_NAME)
    with refused("commit.no_quorum"):
        check_block(chain([members], nil={1: [3]})[0], CHAIN_NAME)
    members = {1: 3, 2: 2, 3: 2}
    check_block(chain([members], absent={1: [3]})[0], CHAIN_NAME)


def test_light_blocks_have_one_encoding() -> None:
    block = one_block()
    encoded = encode_light_block(block)
    assert decode_light_block(encoded) == block
    with pytest.raises(DecodeError, match=r"^proto[.]not_canonical:"):
        decode_light_block(encoded + b"\x22\x00")
    with pytest.raises(DecodeError):
        decode_light_block(encoded[:-1])


# ---- each check of a step


def first_trusted() -> tuple[Trusted, tuple[LightBlock, ...]]:
    blocks = chain([FOUR] * 6)
    return trust_block(blocks[0], CHAIN_NAME, blocks[0].commit.block_id.hash), blocks


def test_only_the_block_with_the_known_hash_is_trusted() -> None:
    _, blocks = first_trusted()
    with refused("light.wrong_hash"):
        trust_block(blocks[1], CHAIN_NAME, blocks[0].commit.block_id.hash)


def test_next_is_next_and_skipping_is_not() -> None:
    trusted, blocks = first_trusted()
    with refused("light.not_next"):
        verify_next(trusted, blocks[2], LATER)
    with refused("light.is_next"):
        verify_skipping(trusted, blocks[1], LATER)
    assert verify_next(trusted, blocks[1], LATER).kind is StepKind.NEXT
    assert verify_skipping(trusted, blocks[2], LATER).kind is StepKind.SKIPPED


@pytest.mark.parametrize("level", [Fraction(1, 3) - Fraction(1, 10**12), Fraction(0), Fraction(3, 2)])
def test_a_trust_level_outside_a_third_to_one_is_refused(level: Fraction) -> None:
    trusted, blocks = first_trusted()
    with refused("light.trust_level"):
        verify_skipping(trusted, blocks[2], LATER, level)


def test_trust_does_not_cross_from_chain_to_chain() -> None:
    trusted, blocks = first_trusted()
    checked = check_block(blocks[1], CHAIN_NAME)
    with refused("light.wrong_chain"):
        advance(replace(trusted, chain_name="shelian-other"), checked, LATER)


def test_heights_must_rise() -> None:
    trusted, blocks = first_trusted()
    trusted = verify_skipping(trusted, blocks[3], LATER).trusted
    for block in blocks[:4]:
        with refused("light.not_above"):
            verify_skipping(trusted, block, LATER)


def test_trust_expires_when_the_trusting_period_is_over_and_not_before() -> None:
    trusted, blocks = first_trusted()
    period = 1000 * SECOND
    for block, verify in ((blocks[1], verify_next), (blocks[3], verify_skipping)):
        verify(trusted, block, Live(trusted.time_ns + period - 1, period))
        with refused("light.expired"):
            verify(trusted, block, Live(trusted.time_ns + period, period))
        verify(trusted, block, Archive())


def test_a_header_may_be_ahead_of_the_clock_by_less_than_the_drift() -> None:
    trusted, blocks = first_trusted()
    time_ns = blocks[3].header.time_ns
    verify_skipping(trusted, blocks[3], Live(time_ns - 5 * SECOND + 1, 3600 * SECOND, 5 * SECOND))
    with refused("light.from_future"):
        verify_skipping(trusted, blocks[3], Live(time_ns - 5 * SECOND, 3600 * SECOND, 5 * SECOND))


@pytest.mark.parametrize("clock", [LATER, Archive()])
def test_time_must_move_on(clock: Live | Archive) -> None:
    trusted, blocks = first_trusted()
    for block, verify in ((blocks[1], verify_next), (blocks[3], verify_skipping)):
        verify(trusted, signed(block, FOUR, time_ns=trusted.time_ns + 1), clock)
        for time_ns in (trusted.time_ns, trusted.time_ns - 1):
            with refused("light.time_not_above"):
                verify(trusted, signed(block, FOUR, time_ns=time_ns), clock)


def test_the_next_set_is_the_one_that_the_trusted_header_names() -> None:
    trusted, blocks = first_trusted()
    others = {5: 1, 6: 1, 7: 1, 8: 1}
    with refused("light.other_validators"):
        verify_next(trusted, signed(blocks[1], others), LATER)
    changed = chain([FOUR, others])
    assert verify_next(trust_first(changed), changed[1], LATER).trusted.validators == validators_of(others)


def trust_first(blocks: tuple[LightBlock, ...]) -> Trusted:
    return trust_block(blocks[0], CHAIN_NAME, blocks[0].commit.block_id.hash)


def test_the_next_header_follows_the_trusted_block() -> None:
    trusted, blocks = first_trusted()
    elsewhere = BlockId(b"\x22" * 32, 1, b"\x33" * 32)
    with refused("light.fork"):
        verify_next(trusted, signed(blocks[1], FOUR, last_block_id=elsewhere), LATER)


def test_a_skip_needs_more_than_the_trust_level_of_the_trusted_set() -> None:
    before = {1: 10, 2: 10, 3: 10}
    for kept, level, enough in (
        ({1: 10}, ONE_THIRD, False),
        ({1: 10, 2: 10}, ONE_THIRD, True),
        ({1: 10, 2: 10}, Fraction(2, 3), False),
        (before, Fraction(2, 3), True),
        (before, Fraction(1), False),
    ):
        after = {**kept, 7: 1}
        blocks = chain([before, before, after])
        trusted = trust_first(blocks)
        if enough:
            step = verify_skipping(trusted, blocks[2], LATER, level)
            assert (step.signed_power, step.total_power) == (10 * len(kept), 30)
        else:
            with pytest.raises(NotYetTrusted, match=r"^light[.]need_between:") as caught:
                verify_skipping(trusted, blocks[2], LATER, level)
            assert caught.value.got == 10 * len(kept)


def test_only_votes_for_the_block_carry_a_skip() -> None:
    before = {1: 10, 2: 10, 3: 10}
    after = {1: 10, 2: 10, 7: 90}
    blocks = chain([before, before, after], nil={3: [1]})
    with pytest.raises(NotYetTrusted):
        verify_skipping(trust_first(blocks), blocks[2], LATER)
    blocks = chain([before, before, after], absent={3: [2]})
    with pytest.raises(NotYetTrusted):
        verify_skipping(trust_first(blocks), blocks[2], LATER)


def test_a_skip_counts_the_trusted_powers_not_the_new_ones() -> None:
    # Validator 1 has a third of the old set; that it has nearly all of the new one does not matter.
    blocks = chain([{1: 10, 2: 10, 3: 10}] * 2 + [{1: 1000, 7: 1}])
    with pytest.raises(NotYetTrusted):
        verify_skipping(trust_first(blocks), blocks[2], LATER)


def test_what_is_false_by_itself_is_not_called_not_yet_trusted() -> None:
    trusted, blocks = first_trusted()
    strangers = {5: 1, 6: 1, 7: 1, 8: 1}
    foreign = signed(blocks[3], strangers)
    with pytest.raises(NotYetTrusted):
        verify_skipping(trusted, foreign, LATER)
    unsigned = replace(foreign, commit=commit_for(foreign.header, strangers, absent=[5, 6]))
    with refused("commit.no_quorum"):
        verify_skipping(trusted, unsigned, LATER)


# ---- backwards, by hashes


def test_a_proved_header_proves_the_one_before_it() -> None:
    blocks = recorded().blocks
    for before, after in pairwise(blocks):
        verify_previous(after.header, before.header)


def test_only_the_header_whose_hash_stands_in_the_next_one_comes_before_it() -> None:
    first, second, third, *_ = chain([FOUR] * 4)
    for header in (third.header, first.header, replace(second.header, chain_name="shelian-other")):
        with refused("light.not_previous"):
            verify_previous(third.header, header)
    for changes in ({"app_hash": b"\x12" * 32}, {"time_ns": second.header.time_ns + 1}):
        with refused("light.other_block"):
            verify_previous(third.header, replace(second.header, **changes))  # type: ignore[arg-type]
    # The same bytes stand for a time 2^64 seconds later; the hash does not tell them apart.
    later = replace(second.header, time_ns=second.header.time_ns + (1 << 64) * SECOND)
    with refused("light.malformed"):
        verify_previous(third.header, later)


# ---- chains from genesis


def test_a_genesis_leads_to_its_first_header() -> None:
    genesis = genesis_of(FOUR)
    blocks = chain([FOUR] * 3)
    proven = verify_chain(genesis, blocks[:1], Archive(), app_hash=b"\x11" * 32)
    assert proven.header == blocks[0].header
    assert proven.genesis_hash == genesis.hash
    assert proven.assumed == (Assumption.SETS_HONEST, Assumption.OLD_KEYS_SAFE, Assumption.TIME_NOT_PROVEN)


def test_the_first_header_has_the_time_the_state_and_no_block_before() -> None:
    genesis = genesis_of(FOUR)
    first = chain([FOUR])[0]
    with refused("light.genesis_time"):
        verify_chain(genesis, [signed(first, FOUR, time_ns=GENESIS_TIME_NS + 1)], Archive())
    with refused("light.wrong_app_hash"):
        verify_chain(genesis, [first], Archive(), app_hash=b"\x12" * 32)
    with refused("light.fork"):
        verify_chain(
            genesis, [signed(first, FOUR, last_block_id=BlockId(b"\x22" * 32, 1, bytes(32)))], Archive()
        )


def test_another_genesis_leads_nowhere() -> None:
    blocks = chain([FOUR] * 3)
    for genesis, code in (
        (genesis_of(FOUR, chain_name="shelian-other"), "light.wrong_chain"),
        (genesis_of({**FOUR, 4: 11}), "light.other_validators"),
        (genesis_of({5: 1}), "light.other_validators"),
        (genesis_of(FOUR, initial_height=2), "light.not_above"),
        (genesis_of(FOUR, genesis_time_ns=GENESIS_TIME_NS + 1), "light.genesis_time"),
    ):
        with refused(code):
            verify_chain(genesis, blocks, Archive())


def test_results_say_what_was_assumed() -> None:
    genesis = genesis_of(FOUR)
    blocks = chain([FOUR] * 5)
    always = {Assumption.SETS_HONEST}
    archive = {Assumption.OLD_KEYS_SAFE, Assumption.TIME_NOT_PROVEN}
    skipped = {Assumption.SKIPS_HONEST, Assumption.FIRST_STATE}
    assert set(verify_chain(genesis, blocks[4:], Archive()).assumed) == always | archive | skipped
    assert set(verify_chain(genesis, blocks[4:], LATER).assumed) == always | skipped | {
        Assumption.CLOCK_RIGHT
    }
    known = verify_chain(genesis, blocks, LATER, app_hash=b"\x11" * 32)
    assert set(known.assumed) == always | {Assumption.CLOCK_RIGHT}
    # The state of the genesis was computed, but the header that would show it was skipped.
    assert Assumption.FIRST_STATE in verify_chain(genesis, blocks[4:], LATER, app_hash=b"\x11" * 32).assumed
    assert Assumption.FIRST_STATE in verify_chain(genesis, blocks, LATER).assumed
    alone = {1: 21, 2: 5, 3: 5}
    assert Assumption.ONE_SIGNER in verify_chain(genesis_of(alone), chain([alone]), LATER).assumed
    not_alone = {1: 20, 2: 5, 3: 5}
    assert Assumption.ONE_SIGNER not in verify_chain(genesis_of(not_alone), chain([not_alone]), LATER).assumed
    changed = chain([FOUR, alone, FOUR])
    assert Assumption.ONE_SIGNER in verify_chain(genesis, changed, LATER).assumed


def test_a_list_must_rise_and_hold_something() -> None:
    genesis = genesis_of(FOUR)
    blocks = chain([FOUR] * 4)
    with refused("light.no_blocks"):
        verify_chain(genesis, [], Archive())
    with refused("light.no_blocks"):
        verify_segments([], Archive())
    with refused("light.not_above"):
        verify_chain(genesis, [blocks[2], blocks[1]], Archive())
    with refused("light.not_above"):
        verify_chain(genesis, [blocks[1], blocks[1]], Archive())


def test_one_segment_has_no_handover_and_two_have_one() -> None:
    genesis, blocks = genesis_of(FOUR), chain([FOUR] * 4)
    with refused("light.joint"):
        verify_segments([Segment(genesis, blocks[:2]), Segment(genesis, blocks[2:])], Archive())


# ---- bisection and smallest lists


def test_bisection_fetches_one_block_where_nothing_changed() -> None:
    blocks = chain([FOUR] * 40)
    fetched: list[int] = []

    def fetch(height: int) -> LightBlock:
        fetched.append(height)
        return blocks[height - 1]

    (step,) = verify_to(trust_genesis(genesis_of(FOUR)), 40, fetch, LATER)
    assert fetched == [40]
    assert step.trusted.hash == blocks[39].commit.block_id.hash


def test_bisection_goes_where_every_set_is_new() -> None:
    sets = [{n: 1, n + 1: 1, n + 2: 1} for n in range(0, 90, 3)]
    blocks = chain(sets)
    fetched: list[int] = []

    def fetch(height: int) -> LightBlock:
        fetched.append(height)
        return blocks[height - 1]

    steps = verify_to(trust_genesis(genesis_of(sets[0])), len(blocks), fetch, LATER)
    assert [step.trusted.height for step in steps] == list(range(1, len(blocks) + 1))
    assert sorted(fetched) == list(range(1, len(blocks) + 1))


def test_bisection_refuses_another_height_and_what_lies_behind() -> None:
    blocks = chain([FOUR] * 4)
    with refused("light.wrong_height"):
        verify_to(trust_first(blocks), 3, lambda _: blocks[3], LATER)
    asked_for: list[int] = []

    def fetch(height: int) -> LightBlock:
        asked_for.append(height)
        return blocks[height - 1]

    with refused("light.not_above"):
        verify_to(trust_first(blocks), 1, fetch, LATER)
    assert asked_for == []


def test_what_fetching_raises_goes_through() -> None:
    def fetch(height: int) -> LightBlock:
        raise ConnectionError(height)

    with pytest.raises(ConnectionError):
        verify_to(trust_genesis(genesis_of(FOUR)), 3, fetch, LATER)


def test_a_forged_tail_ends_bisection_with_a_reason() -> None:
    honest = chain([FOUR] * 20)
    strangers = {5: 1, 6: 1, 7: 1, 8: 1}
    forged = chain([strangers] * 20)
    answers = [*honest[:11], *forged[11:]]
    with refused("light.other_validators"):
        verify_to(trust_first(honest), 20, lambda height: answers[height - 1], LATER)


def test_a_list_that_leads_nowhere_needs_something_in_between() -> None:
    sets = [{1: 1}, {2: 1}, {3: 1}]
    blocks = chain(sets)
    trusted = trust_genesis(genesis_of({1: 1}))
    assert smallest_list(trusted, blocks, LATER) == blocks
    with pytest.raises(NotYetTrusted):
        smallest_list(trusted, [blocks[0], blocks[2]], LATER)
    with refused("light.no_blocks"):
        smallest_list(trusted, [], LATER)


def test_change_heights_are_the_last_and_the_first_of_each_set() -> None:
    other = {5: 1, 6: 1}
    blocks = chain([FOUR, FOUR, FOUR, other, other, FOUR])
    assert change_heights(block.header for block in blocks) == (3, 4, 5, 6)


def test_a_validator_key_in_the_set_is_compared_whole() -> None:
    blocks = chain([FOUR] * 3)
    assert public_key(1) in check_block(blocks[2], CHAIN_NAME).signers
