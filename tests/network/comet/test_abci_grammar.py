"""The call grammar: what is generated is allowed, what breaks a rule is not, and what is hard is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.network.comet.grammar import (
    EXTENSION_CALLS,
    GRAMMAR,
    ApplyChunk,
    Commit,
    Crash,
    Either,
    Expression,
    ExtendVote,
    FinalizeBlock,
    Info,
    InitChain,
    OfferSnapshot,
    Perhaps,
    Phrase,
    PrepareProposal,
    ProcessProposal,
    Some,
    Step,
    VerifyVoteExtension,
    call_sequences,
    is_valid,
)

MODES = {
    "plain": call_sequences(),
    "from height 100": call_sequences(initial_height=100),
    "vote extensions": call_sequences(vote_extensions=True),
    "state sync": call_sequences(state_sync=True),
}
ANY = call_sequences(vote_extensions=True, max_runs=2, max_heights=2) | call_sequences(state_sync=True)
Steps = tuple[Step, ...]


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_generated_is_recognised(data: st.DataObject, mode: str) -> None:
    steps = data.draw(MODES[mode])
    assert is_valid(steps, initial_height=100 if mode == "from height 100" else 1)
    assert isinstance(steps[-1], Commit)
    kinds = {type(step) for step in steps}
    assert mode == "vote extensions" or not kinds & EXTENSION_CALLS
    assert (OfferSnapshot in kinds) == (mode == "state sync")


# ---- The recogniser against the grammar itself


def prefixes(words: set[Phrase]) -> set[Phrase]:
    return {word[:end] for word in words for end in range(len(word) + 1)}


def words(expression: Expression, longest: int, without: frozenset[type]) -> set[Phrase]:
    """Every phrase of the expression, those of more than `longest` calls cut off there."""

    def joined(left: set[Phrase], right: set[Phrase]) -> set[Phrase]:
        cut = [{tail[:room] for tail in right} for room in range(longest + 1)]
        return {head + tail for head in left for tail in cut[longest - len(head)]}

    match expression:
        case str():
            return words(GRAMMAR[expression], longest, without)
        case tuple():
            made: set[Phrase] = {()}
            for part in expression:
                made = joined(made, words(part, longest, without))
            return made
        case Either(choices):
            return set().union(*(words(choice, longest, without) for choice in choices))
        case Perhaps(part):
            return {()} | words(part, longest, without)
        case Some(part, least):
            once = words(part, longest, without)
            made = {()}
            for _ in range(least):
                made = joined(made, once)
            newest = made
            while newest := joined(newest, once) - made:
                made = made | newest
            return made
        case _:
            return {()} if expression in without else {(expression,)}


def labelled(kinds: Phrase, height: int = 1) -> Steps:
    """The one way to give these calls heights, rounds and proposals that breaks no rule, if there is one."""
    steps: list[Step] = []
    number, proposals, chunks, taken, offers = -1, 0, 0, set[type](), kinds.count(OfferSnapshot)
    for place, kind in enumerate(kinds):
        before = kinds[place - 1] if place else None
        match kind.__name__:
            case "PrepareProposal" | "ProcessProposal" | "ExtendVote":
                goes_on = (kind is ProcessProposal and before is PrepareProposal) or (
                    kind is ExtendVote and taken and ExtendVote not in taken
                )
                if not goes_on:
                    number, taken = number + 1, set()
                taken.add(kind)
                if kind is PrepareProposal:
                    proposals += 1
                steps.append(kind(height, number, max(proposals - 1, 0)))
                proposals = max(proposals, 1)
            case "FinalizeBlock":
                steps.append(FinalizeBlock(height, 0))
            case "Commit":
                steps.append(Commit(height))
                height, number, proposals, taken = height + 1, -1, 0, set()
            case "VerifyVoteExtension":
                steps.append(VerifyVoteExtension(height))
            case "OfferSnapshot":
                offers -= 1
                chunks = 0
                steps.append(OfferSnapshot(height, is_sound=not offers))
            case "ApplyChunk":
                ends = kinds[place + 1 : place + 2] == (Info,)
                steps.append(ApplyChunk(chunks, is_last=ends))
                chunks += 1
            case "Info":
                if before is ApplyChunk:
                    height += 1
                steps.append(Info())
            case "InitChain":
                steps.append(InitChain())
    return tuple(steps)


def all_words(alphabet: Sequence[type], length: int, is_good: Callable[[Phrase], bool]) -> Iterator[Phrase]:
    """All sequences over the alphabet up to this length of which no beginning is refused, and the refused."""
    open_words: list[Phrase] = [()]
    for _ in range(length):
        longer = [(*word, kind) for word in open_words for kind in alphabet]
        yield from longer
        open_words = [word for word in longer if is_good(word)]


@pytest.mark.parametrize(
    ("alphabet", "without", "length"),
    [
        ((Info, InitChain, PrepareProposal, ProcessProposal, FinalizeBlock, Commit), EXTENSION_CALLS, 8),
        (
            (*(Info, InitChain, PrepareProposal, ProcessProposal, FinalizeBlock, Commit), *EXTENSION_CALLS),
            frozenset({OfferSnapshot, ApplyChunk}),
            6,
        ),
        ((Info, InitChain, OfferSnapshot, ApplyChunk, FinalizeBlock, Commit), EXTENSION_CALLS, 7),
    ],
    ids=["blocks", "vote extensions", "state sync"],
)
def test_the_recogniser_takes_the_grammars_words_and_no_others(
    alphabet: tuple[type, ...], without: frozenset[type], length: int
) -> None:
    """All words up to a length, by name; the facts are added in the way that fits the order, if any does."""
    if OfferSnapshot not in alphabet:
        rule: Expression = ("app-handshake", "consensus-exec")
        without = without - {OfferSnapshot, ApplyChunk}
    else:
        rule = "clean-start"
    allowed = prefixes(words(rule, length, without))
    seen = 0
    for word in all_words(alphabet, length, lambda word: word in allowed):
        assert is_valid(labelled(word)) == (word in allowed), word
        seen += 1
    assert seen > 500


def test_after_a_crash_the_words_of_recovery_follow() -> None:
    before: Steps = (*labelled((Info, InitChain, FinalizeBlock, Commit)), Crash(of_application=True))
    alphabet = (Info, InitChain, PrepareProposal, ProcessProposal, FinalizeBlock, Commit)
    allowed = prefixes(words("recovery", 7, EXTENSION_CALLS))
    for word in all_words(alphabet, 7, lambda word: word in allowed and InitChain not in word):
        expected = word in allowed and InitChain not in word  # the application has a state
        assert is_valid((*before, *labelled(word, height=2))) == expected, word


# ---- Breaking the rules


def mutants(steps: Steps) -> Iterator[tuple[str, Steps]]:
    """The sequence with one rule broken, in every place where that can be done, and the rule's name."""
    tip = 0
    for place, step in enumerate(steps):
        before, after = steps[:place], steps[place + 1 :]
        following = after[0] if after else None
        match step:
            case Commit(height):
                tip = height
                yield "a block committed twice", (*before, step, step, *after)
                yield "a call between FinalizeBlock and Commit", (*before, VerifyVoteExtension(height), step)
                yield "Commit of another height", (*before, Commit(height + 1), *after)
                yield "InitChain after a Commit", (*before, step, InitChain())
                yield "Info within a run", (*before, step, Info(), *after)
                yield "a snapshot after a Commit", (*before, step, OfferSnapshot(height + 9, True))
                if after:
                    yield "a block left uncommitted", (*before, *after)
            case FinalizeBlock(height, proposal):
                yield "a height left out", (*before, replace(step, height=height + 1), *after)
                yield "a proposal nobody numbered", (*before, replace(step, proposal=proposal + 100), *after)
                if isinstance(following, Commit):
                    yield "Commit before FinalizeBlock", (*before, following, step, *after[1:])
                    yield "Commit without FinalizeBlock", (*before, *after)
                    yield "a block finalized twice", (*before, step, step, *after)
                    crashed = (step, Crash(True), Info(), *([] if tip else [InitChain()]))
                    yield (
                        "another block than before the crash",
                        (
                            *before,
                            *crashed,
                            FinalizeBlock(height, proposal + 1 if proposal == 0 else proposal - 1),
                        ),
                    )
                    yield (
                        "a round after the decision",
                        (*before, *crashed, ProcessProposal(height, 9, proposal)),
                    )
            case Info():
                if following is not None and not isinstance(following, Crash):
                    yield "no Info", (*before, *after)
                if before and isinstance(before[-1], ApplyChunk):
                    yield "Info before the last chunk", (*before[:-1], step)
                yield "Info twice", (*before, step, step)
            case InitChain():
                yield "InitChain twice", (*before, step, step)
                yield "a snapshot after InitChain", (*before, step, OfferSnapshot(9, True))
                if following is not None and not isinstance(following, Crash):
                    yield "no InitChain", (*before, *after)
            case PrepareProposal(height, number, proposal):
                yield "two proposals made in a round", (*before, step, replace(step, proposal=proposal + 1))
                yield "a proposal made anew", (*before, step, replace(step, round=number + 1))
                yield (
                    "a call between the two",
                    (
                        *(*before, step, VerifyVoteExtension(height)),
                        ProcessProposal(height, number, proposal),
                    ),
                )
                if proposal:
                    yield (
                        "another proposal than was made",
                        (
                            *(*before, step),
                            ProcessProposal(height, number, proposal - 1),
                        ),
                    )
            case ProcessProposal(height, number, _):
                yield "two proposals judged in a round", (*before, step, step)
                yield "an earlier round", (*before, step, replace(step, round=number - 1))
                yield "a proposal of another height", (*before, replace(step, height=height + 1))
            case ExtendVote(height, number, proposal):
                yield "two votes extended in a round", (*before, step, step)
                yield (
                    "a proposal judged after the vote",
                    (*before, step, ProcessProposal(height, number, proposal)),
                )
            case ApplyChunk(index, _):
                yield "a chunk left out", (*before, replace(step, index=index + 1), *after)
            case OfferSnapshot(height, _):
                yield "InitChain in state sync", (*before, step, InitChain())
                yield (
                    "a bad snapshot restored",
                    (
                        *(*before, OfferSnapshot(height, False)),
                        *(ApplyChunk(0, True), Info()),
                    ),
                )
                yield "no chunk", (*before, step, Info())
            case Crash():
                yield "a crash of what is down", (*before, step, step)
                yield "a block at once after a crash", (*before, step, FinalizeBlock(tip + 1, 0))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY)
def test_a_broken_rule_is_noticed(steps: Steps) -> None:
    for rule, mutant in mutants(steps):
        assert not is_valid(mutant), rule


def test_every_rule_gets_broken() -> None:
    rules: Counter[str] = Counter()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(ANY)
    def collect(steps: Steps) -> None:
        rules.update({rule for rule, _ in mutants(steps)})

    collect()
    assert len(rules) == 35, sorted(rules)


# ---- What the generator reaches


def pairs(steps: Steps) -> Iterator[tuple[Step, Step]]:
    return pairwise(steps)


def of_height(steps: Steps, height: int) -> Iterator[Step]:
    return (step for step in steps if getattr(step, "height", None) == height)


def is_replayed(steps: Steps, *, application_too: bool) -> bool:
    return any(
        isinstance(first, FinalizeBlock) and second == Crash(application_too)
        for first, second in pairs(steps)
    )


def proposals_of_rounds(steps: Steps) -> list[int]:
    return [step.proposal for step in of_height(steps, 1) if isinstance(step, ProcessProposal)]


def decided_unseen(steps: Steps) -> bool:
    final = next((step for step in steps if isinstance(step, FinalizeBlock)), None)
    shown = [step.proposal for step in steps if isinstance(step, PrepareProposal | ProcessProposal)]
    return final is not None and final.height == 1 and bool(shown) and final.proposal not in shown


REACHED: dict[str, tuple[str, Callable[[Steps], bool]]] = {
    "a block replayed to a new process": ("plain", lambda s: is_replayed(s, application_too=True)),
    "a block replayed to the old process": ("plain", lambda s: is_replayed(s, application_too=False)),
    "InitChain a second time": ("plain", lambda s: s.count(InitChain()) == 2),
    "a crash between Info and InitChain": ("plain", lambda s: (Info(), Crash(True)) in pairs(s)),
    "a block without a round": ("plain", lambda s: (InitChain(), FinalizeBlock(1, 0)) in pairs(s)),
    "rounds with two proposals": ("plain", lambda s: len(set(proposals_of_rounds(s))) > 1),
    "one proposal in two rounds": (
        "plain",
        lambda s: max(Counter(proposals_of_rounds(s)).values(), default=0) > 1,
    ),
    "a proposal made and never judged": (
        "plain",
        lambda s: any(
            isinstance(first, PrepareProposal) and not isinstance(second, ProcessProposal | Crash)
            for first, second in pairs(s)
        ),
    ),
    "a decided block that was never judged": ("plain", decided_unseen),
    "a crash within the rounds": (
        "plain",
        lambda s: any(isinstance(a, ProcessProposal) and isinstance(b, Crash) for a, b in pairs(s)),
    ),
    "several heights and runs": ("plain", lambda s: s[-1].height >= 6 and sum(map(is_crash, s)) == 2),
    "a vote extended in a round of ours": (
        "vote extensions",
        lambda s: any(isinstance(a, PrepareProposal) and isinstance(b, ExtendVote) for a, b in pairs(s)),
    ),
    "votes before anything else": (
        "vote extensions",
        lambda s: (InitChain(), VerifyVoteExtension(1)) in pairs(s),
    ),
    "a snapshot given up for another": (
        "state sync",
        lambda s: sum(isinstance(step, OfferSnapshot) for step in s) > 1 and not any(map(is_crash, s)),
    ),
    "a crash while chunks come": (
        "state sync",
        lambda s: any(isinstance(a, ApplyChunk) and isinstance(b, Crash) for a, b in pairs(s)),
    ),
}


def is_crash(step: Step) -> bool:
    return isinstance(step, Crash)


@pytest.mark.parametrize("case", REACHED)
def test_the_generator_reaches_what_is_hard(case: str) -> None:
    mode, is_there = REACHED[case]
    find(
        MODES[mode],
        is_there,
        settings=settings(max_examples=3000, database=None, deadline=None, phases=[Phase.generate]),
    )
