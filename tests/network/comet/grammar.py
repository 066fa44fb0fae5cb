"""In which order CometBFT calls an application: its grammar as data, sequences made from it, a recogniser.

The grammar is that of CometBFT's specification ("CometBFT's expected behavior", spec/abci, ABNF). A sequence
here is a finite beginning of what it allows, in several runs: where a run is cut, a `Crash` stands, and the
next run is a recovery. To the names of the calls come the facts that tie them together:

* Heights follow one another. A block that FinalizeBlock brought before a crash comes again after it, at once;
  InitChain comes again until a first Commit.
* The proposals of a height are numbered from 0 in the order in which they are first spoken of, over all
  rounds and crashes. One that PrepareProposal made is this node's; any other comes from elsewhere. A round
  may bring an earlier proposal again, and the decided block may be one that was never seen before.
* Rounds of a run ascend; one in which nothing is called leaves no trace.

Echo, Flush, Info at other times, CheckTx, Query and reading snapshots may come anywhere; they are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Final

from hypothesis import strategies as st

# ---- Steps


@dataclass(frozen=True)
class Info:
    """At the start of a run, or at the end of state sync."""


@dataclass(frozen=True)
class InitChain:
    pass


@dataclass(frozen=True)
class PrepareProposal:
    """What the application answers is from now on the proposal of this number."""

    height: int
    round: int
    proposal: int


@dataclass(frozen=True)
class ProcessProposal:
    height: int
    round: int
    proposal: int


@dataclass(frozen=True)
class ExtendVote:
    height: int
    round: int
    proposal: int


@dataclass(frozen=True)
class VerifyVoteExtension:
    """A vote of another validator; for any round and proposal of the height."""

    height: int


@dataclass(frozen=True)
class FinalizeBlock:
    height: int
    proposal: int


@dataclass(frozen=True)
class Commit:
    height: int


@dataclass(frozen=True)
class OfferSnapshot:
    """`is_sound`: one that can be restored. The other kind the application refuses, now or at some chunk."""

    height: int
    is_sound: bool


@dataclass(frozen=True)
class ApplyChunk:
    """`is_last`: the snapshot is whole now, however many chunks a real one has."""

    index: int
    is_last: bool


@dataclass(frozen=True)
class Crash:
    """CometBFT is gone, and comes back. `of_application`: that went too; else it lives on as it was."""

    of_application: bool


Call = (
    Info
    | InitChain
    | PrepareProposal
    | ProcessProposal
    | ExtendVote
    | VerifyVoteExtension
    | FinalizeBlock
    | Commit
    | OfferSnapshot
    | ApplyChunk
)
Step = Call | Crash
Kind = type[Call]


# ---- The grammar: a rule's name, a call, a tuple (one after the other), or one of these


@dataclass(frozen=True)
class Either:
    choices: tuple[Expression, ...]


@dataclass(frozen=True)
class Some:
    """Repeated, `least` times or more."""

    part: Expression
    least: int = 0


@dataclass(frozen=True)
class Perhaps:
    part: Expression


Expression = str | Kind | tuple["Expression", ...] | Either | Some | Perhaps

_VOTES: Final = Some(VerifyVoteExtension)

GRAMMAR: Final[Mapping[str, Expression]] = {
    "start": Either(("clean-start", "recovery")),
    "clean-start": (Either(("app-handshake", "state-sync")), "consensus-exec"),
    "app-handshake": (Info, InitChain),
    "state-sync": (Some("state-sync-attempt"), "success-sync", Info),
    "state-sync-attempt": (OfferSnapshot, Some(ApplyChunk)),
    "success-sync": (OfferSnapshot, Some(ApplyChunk, least=1)),
    "recovery": (Info, Perhaps(InitChain), "consensus-exec"),
    "consensus-exec": Some("consensus-height"),
    "consensus-height": (Some("consensus-round"), FinalizeBlock, Commit),
    "consensus-round": Either(("proposer", "non-proposer")),
    "proposer": (_VOTES, Perhaps((PrepareProposal, Perhaps(ProcessProposal))), Perhaps("extend")),
    "extend": (_VOTES, ExtendVote, _VOTES),
    "non-proposer": (_VOTES, Perhaps(ProcessProposal), Perhaps("extend")),
}
EXTENSION_CALLS: Final = frozenset({ExtendVote, VerifyVoteExtension})
"""Never called while the chain's parameters leave vote extensions off."""

Phrase = tuple[Kind, ...]


@cache
def phrases(
    expression: Expression, without: frozenset[Kind] = frozenset(), most: int = 2
) -> tuple[Phrase, ...]:
    """The phrases of an expression without these calls, repeating at most `most` times; short ones first."""

    def joined(*parts: tuple[Phrase, ...]) -> set[Phrase]:
        return {sum(choice, ()) for choice in product(*parts)}

    match expression:
        case str():
            return phrases(GRAMMAR[expression], without, most)
        case tuple():
            found = joined(*(phrases(part, without, most) for part in expression))
        case Either(choices):
            found = {phrase for choice in choices for phrase in phrases(choice, without, most)}
        case Perhaps(part):
            found = {(), *phrases(part, without, most)}
        case Some(part, least):
            once = phrases(part, without, most)
            found = set().union(*(joined(*[once] * times) for times in range(least, max(least, most) + 1)))
        case _:
            found = {() if expression in without else (expression,)}
    return tuple(sorted(found, key=lambda phrase: (len(phrase), [kind.__name__ for kind in phrase])))


# ---- Making sequences


@dataclass(frozen=True)
class _Node:
    """What the runs so far have left behind."""

    next_height: int
    has_state: bool = False  # something was committed or restored
    proposals: int = 0  # numbered at next_height
    decided: int | None = None  # finalized at next_height and not committed

    def after(self, calls: Sequence[Call]) -> _Node:
        node, offered = self, 0
        for call in calls:
            match call:
                case PrepareProposal() | ProcessProposal() | ExtendVote():
                    node = replace(node, proposals=max(node.proposals, call.proposal + 1))
                case FinalizeBlock():
                    node = replace(node, decided=call.proposal)
                case Commit():
                    node = _Node(call.height + 1, has_state=True)
                case OfferSnapshot():
                    offered = call.height
                case Info() if calls[0] != call:  # not the first: the end of state sync
                    node = _Node(offered + 1, has_state=True)
        return node


@st.composite
def call_sequences(
    draw: st.DrawFn,
    *,
    initial_height: int = 1,
    max_runs: int = 3,
    max_heights: int = 3,
    vote_extensions: bool = False,
    state_sync: bool = False,
) -> tuple[Step, ...]:
    """Calls to an application that begins with nothing; the last run ends with a Commit.

    At most `max_heights` blocks in each of at most `max_runs` runs. With `state_sync` the first height comes
    by a snapshot, and with `vote_extensions` the calls about them come too.
    """
    without: frozenset[Kind] = frozenset() if vote_extensions else EXTENSION_CALLS
    node = _Node(initial_height)
    steps: list[Step] = []
    for left in reversed(range(draw(st.integers(1, max_runs)))):
        calls = draw(_beginnings(node, state_sync))
        calls += draw(_blocks(node.after(calls), draw(st.integers(1, max_heights)), without))
        if left:
            calls = calls[: draw(st.integers(1, len(calls)))]
        node = node.after(calls)
        steps += calls
        if left:
            steps.append(Crash(of_application=draw(st.booleans())))
    return tuple(steps)


@st.composite
def _beginnings(draw: st.DrawFn, node: _Node, state_sync: bool) -> list[Call]:
    if node.has_state:
        return [Info()]
    if not state_sync:
        return [Info(), InitChain()]
    kinds = draw(st.sampled_from(phrases("state-sync", most=3)))
    last_offer = max(place for place, kind in enumerate(kinds) if kind is OfferSnapshot)
    calls: list[Call] = []
    index = 0
    for place, kind in enumerate(kinds):
        if kind is OfferSnapshot:
            is_sound = place == last_offer or draw(st.booleans())
            calls.append(OfferSnapshot(node.next_height + draw(st.integers(0, 4)), is_sound))
            index = 0
        elif kind is ApplyChunk:
            calls.append(ApplyChunk(index, is_last=kinds[place + 1] is Info))
            index += 1
        else:
            calls.append(Info())
    return calls


@st.composite
def _blocks(draw: st.DrawFn, node: _Node, count: int, without: frozenset[Kind]) -> list[Call]:
    calls: list[Call] = []
    for height in range(node.next_height, node.next_height + count):
        if height == node.next_height and node.decided is not None:
            calls += [FinalizeBlock(height, node.decided), Commit(height)]
            continue
        proposals = node.proposals if height == node.next_height else 0
        for number in range(draw(st.integers(0, 3))):
            made = draw(_rounds(height, number, proposals, without))
            calls += made
            proposals = _Node(height, proposals=proposals).after(made).proposals
        calls += [FinalizeBlock(height, draw(st.integers(0, proposals))), Commit(height)]
    return calls


@st.composite
def _rounds(
    draw: st.DrawFn, height: int, number: int, proposals: int, without: frozenset[Kind]
) -> list[Call]:
    calls: list[Call] = []
    proposal: int | None = None
    for kind in draw(st.sampled_from(phrases("consensus-round", without))):
        if kind is VerifyVoteExtension:
            calls.append(VerifyVoteExtension(height))
        elif kind is PrepareProposal:
            proposal = proposals
            calls.append(PrepareProposal(height, number, proposal))
        else:
            if proposal is None:
                proposal = draw(st.integers(0, proposals))  # an earlier one, or a new one from elsewhere
            make = ProcessProposal if kind is ProcessProposal else ExtendVote
            calls.append(make(height, number, proposal))
    return calls


# ---- Recognising them


def is_valid(steps: Sequence[Step], initial_height: int = 1) -> bool:
    """Whether these are the first steps that an application, which begins with nothing, may see."""
    observer = _Observer(initial_height)
    return all(observer.allows(step) for step in steps)


@dataclass
class _Observer:
    """Follows the calls one by one. Where CometBFT stands is in `phase`:

    down        nothing runs
    told        it knows that the application has nothing
    restoring   a snapshot has been offered
    deciding    the rounds of a height
    decided     the block of the height is known
    """

    height: int
    phase: str = "down"
    may_restore: bool = True
    is_empty: bool = True
    offered: OfferSnapshot | None = None
    chunks: int = 0
    is_whole: bool = False
    round: int = -1
    is_extended: bool = False
    fresh: PrepareProposal | None = None  # the call just before
    numbered: int = 0
    final: int | None = None

    def allows(self, step: Step) -> bool:
        fresh, self.fresh = self.fresh, None
        match step:
            case Crash():
                was_up, self.phase = self.phase != "down", "down"
                self.offered, self.chunks, self.is_whole = None, 0, False
                self.round, self.is_extended = -1, False
                return was_up
            case Info() if self.phase == "down":
                self.phase = "told" if self.is_empty else "deciding"
                self.may_restore = False
                return True
            case Info():
                if self.phase != "restoring" or not self.is_whole or self.offered is None:
                    return False
                self.is_empty = self.may_restore = False
                self.height = self.offered.height + 1
                self.phase = "deciding"
                return True
            case InitChain():
                was_told, self.phase = self.phase == "told", "deciding"
                return was_told
            case OfferSnapshot(height):
                begins = self.phase == "down" and self.may_restore
                again = self.phase == "restoring" and not self.is_whole
                self.phase, self.offered, self.chunks = "restoring", step, 0
                return (begins or again) and height >= self.height
            case ApplyChunk(index, is_last):
                is_next = self.phase == "restoring" and index == self.chunks and not self.is_whole
                self.chunks, self.is_whole = index + 1, is_last
                return is_next and (not is_last or (self.offered is not None and self.offered.is_sound))
            case VerifyVoteExtension(height):
                return self.phase == "deciding" and height == self.height and self.final is None
            case PrepareProposal(height, number, proposal):
                is_new = proposal == self.numbered and number > self.round
                self.fresh = step
                return self._in_round(height, number, proposal) and is_new
            case ProcessProposal(height, number, proposal):
                is_own = fresh == PrepareProposal(height, number, proposal)
                is_first = number > self.round
                return self._in_round(height, number, proposal) and (is_own or is_first)
            case ExtendVote(height, number, proposal):
                is_first = number > self.round or (number == self.round and not self.is_extended)
                may = self._in_round(height, number, proposal) and is_first
                self.is_extended = True
                return may
            case FinalizeBlock(height, proposal):
                is_due = self.phase == "deciding" and height == self.height
                is_known = 0 <= proposal <= self.numbered if self.final is None else proposal == self.final
                self.phase, self.final = "decided", proposal
                return is_due and is_known
            case Commit(height):
                was_decided = self.phase == "decided" and height == self.height
                self.height, self.phase, self.is_empty = self.height + 1, "deciding", False
                self.round, self.is_extended, self.numbered, self.final = -1, False, 0, None
                return was_decided

    def _in_round(self, height: int, number: int, proposal: int) -> bool:
        """Note the round and its proposal; whether such a call may be made now at all."""
        may = self.phase == "deciding" and height == self.height and self.final is None
        may = may and number >= 0 and 0 <= proposal <= self.numbered
        if number > self.round:
            self.round, self.is_extended = number, False
        self.numbered = max(self.numbered, proposal + 1)
        return may
