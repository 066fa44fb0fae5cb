"""From a genesis file to a header: chains of light blocks, bisection, the smallest list, joined segments.

`verify_chain` takes any strictly increasing list of light blocks and goes from one to the next by the steps
of `node.chain.light`. `verify_segments` does it for a ledger whose history is several chains joined by
handover certificates (`node.chain.handover`).

Where such a list comes from:

* `bisection` asks for blocks while it verifies. It tries the furthest block it has; if that cannot be trusted
  yet, it asks for the one in the middle between what is trusted and the nearest block it has. No height is
  asked for twice, no vote is verified twice; the neighbours of a height are always decided, so it ends.
* `smallest_list` chooses from blocks that are at hand: breadth first from what is trusted, so no list of
  these blocks is shorter. Within a run of heights with one set of validators every block trusts the same set,
  so of a run at most two are needed: the one that a step lands on, and the last, which names the next set.
  `change_heights` tells those last and first blocks; with them and the target there is always a list, for
  trust levels up to two thirds (more than that of a set has signed each of its own blocks).

Results (`ProvenHeader`) state what was proved by which steps, and what was assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from node.chain.errors import ProofError
from node.chain.genesis import Genesis
from node.chain.handover import ProvenHandover, verify_handover
from node.chain.handover_certificate import HandoverCertificate
from node.chain.header import Header
from node.chain.light import (
    ONE_THIRD,
    Clock,
    Live,
    NotYetTrusted,
    Step,
    StepKind,
    Trusted,
    advance,
    trust_genesis,
)
from node.chain.light_block import CheckedBlock, LightBlock, check_block


class Assumption(StrEnum):
    """What a proof rests on beside signatures and hashes. docs/PROTOCOL.md says each in a sentence."""

    SETS_HONEST = "sets_honest"
    """No more than two thirds of a set that was followed by its header signed a second history."""
    SKIPS_HONEST = "skips_honest"
    """No more than the trust level of a set that was skipped from signed a second history."""
    OLD_KEYS_SAFE = "old_keys_safe"
    """Keys of validators that left were not used later to sign another history."""
    TIME_NOT_PROVEN = "time_not_proven"
    """The times are what the validators wrote; nothing outside dates them."""
    CLOCK_RIGHT = "clock_right"
    """The clock is right, and whoever signs falsely within the trusting period is held to account."""
    FIRST_STATE = "first_state"
    """The chain began with the state of this genesis: its first header was not compared with it."""
    ONE_SIGNER = "one_signer"
    """On the way one validator alone held more than two thirds: it alone asserts what it signed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One chain of a ledger: its genesis, and light blocks of it.

    `handover` joins it to the segment before, None for the first. It holds the last block of that segment,
    which is therefore not among that segment's `blocks`.
    """

    genesis: Genesis
    blocks: tuple[LightBlock, ...]
    handover: HandoverCertificate | None = None


@dataclass(frozen=True, slots=True)
class ProvenHeader:
    """The target: which header was proved, from which genesis, by which steps, on what assumptions.

    Its `app_hash` is the state after the block before, its time is what the validators wrote.
    """

    header: Header
    trusted: Trusted
    genesis_hash: bytes
    """Of the first segment."""
    steps: tuple[Step, ...]
    handovers: tuple[ProvenHandover, ...]
    clock: Clock
    assumed: tuple[Assumption, ...]


def verify_chain(
    genesis: Genesis,
    blocks: Sequence[LightBlock],
    clock: Clock,
    *,
    trust_level: Fraction = ONE_THIRD,
    app_hash: bytes | None = None,
) -> ProvenHeader:
    """The last of `blocks`, from `genesis`; `app_hash` is the state of the genesis, if it was computed.

    Raises NotYetTrusted light.need_between, ProofError light.*, commit.*.
    """
    segment = Segment(genesis, tuple(blocks))
    return verify_segments([segment], clock, trust_level=trust_level, app_hash=app_hash)


def verify_segments(
    segments: Sequence[Segment],
    clock: Clock,
    *,
    trust_level: Fraction = ONE_THIRD,
    app_hash: bytes | None = None,
) -> ProvenHeader:
    """The last block of the last segment, from the genesis of the first.

    Raises NotYetTrusted light.need_between, ProofError light.*, commit.*, handover.*.
    """
    if not segments or not segments[-1].blocks:
        raise ProofError("light.no_blocks", "there is no block to verify")
    steps: list[Step] = []
    handovers: list[ProvenHandover] = []
    first_states_shown = app_hash is not None
    trusted = trust_genesis(segments[0].genesis, app_hash)
    for index, segment in enumerate(segments):
        if (segment.handover is not None) != (index > 0):
            raise ProofError(
                "light.joint",
                "every segment but the first begins with a handover certificate, the first with none",
                index,
            )
        if segment.handover is not None:
            before = segments[index - 1].genesis
            proven = verify_handover(segment.handover, before, trusted, segment.genesis)
            handovers.append(proven)
            trusted = proven.trusted
        blocks = list(segment.blocks)
        if index + 1 < len(segments):
            joint = segments[index + 1].handover
            if joint is not None:
                blocks.append(joint.statement.block)
        first_height = trusted.height + 1
        for block in blocks:
            step = advance(trusted, check_block(block, trusted.chain_name), clock, trust_level)
            steps.append(step)
            trusted = step.trusted
        first_states_shown &= bool(blocks) and blocks[0].header.height == first_height
    return ProvenHeader(
        segments[-1].blocks[-1].header,
        trusted,
        segments[0].genesis.hash,
        tuple(steps),
        tuple(handovers),
        clock,
        _assumptions(segments, steps, clock, first_states_shown),
    )


def bisection(
    trusted: Trusted, target_height: int, clock: Clock, trust_level: Fraction = ONE_THIRD
) -> Generator[int, LightBlock, tuple[Step, ...]]:
    """Yields heights, wants the light block of each sent, returns the steps that lead to the target.

    The blocks of the steps are the shortest list only by luck; each step's is among those that were sent.
    Raises ProofError light.wrong_height (another height was sent), light.not_above, light.*, commit.*.
    """
    if target_height <= trusted.height:
        raise ProofError(
            "light.not_above", "the height is not above the trusted one", target_height, trusted.height + 1
        )
    steps: list[Step] = []
    waiting = [_check_answer(target_height, (yield target_height), trusted)]
    while waiting:
        for index, checked in enumerate(waiting):
            try:
                step = advance(trusted, checked, clock, trust_level)
            except NotYetTrusted:
                continue
            steps.append(step)
            trusted = step.trusted
            del waiting[index:]
            break
        else:
            middle = (trusted.height + waiting[-1].block.header.height) // 2
            waiting.append(_check_answer(middle, (yield middle), trusted))
    return tuple(steps)


def verify_to(
    trusted: Trusted,
    target_height: int,
    fetch: Callable[[int], LightBlock],
    clock: Clock,
    trust_level: Fraction = ONE_THIRD,
) -> tuple[Step, ...]:
    """`bisection` with a function that has the blocks; what it raises goes through."""
    search = bisection(trusted, target_height, clock, trust_level)
    wanted = next(search)
    while True:
        try:
            wanted = search.send(fetch(wanted))
        except StopIteration as end:
            steps: tuple[Step, ...] = end.value
            return steps


def smallest_list(
    trusted: Trusted, blocks: Sequence[LightBlock], clock: Clock, trust_level: Fraction = ONE_THIRD
) -> tuple[LightBlock, ...]:
    """The fewest of `blocks` (strictly increasing) that prove the last of them.

    Each pair of blocks is looked at once at most, each vote verified once. Of lists of equal length the same
    one is chosen every time. Raises NotYetTrusted light.need_between if the blocks do not suffice, ProofError
    light.*, commit.*.
    """
    checked = [check_block(block, trusted.chain_name) for block in blocks]
    if not checked:
        raise ProofError("light.no_blocks", "there is no block to verify")
    unreached = list(range(len(checked)))
    came_from: dict[int, int] = {}
    target = len(checked) - 1
    # Nodes in the order in which they are reached: those of fewer steps first, among equals lower ones first.
    queue: list[tuple[int, Trusted]] = [(-1, trusted)]
    for node, from_here in queue:
        reached: list[tuple[int, Trusted]] = []
        for index in unreached:
            if index > node:
                try:
                    reached.append((index, advance(from_here, checked[index], clock, trust_level).trusted))
                except NotYetTrusted:
                    continue
        for index, _ in reached:
            came_from[index] = node
            unreached.remove(index)
        queue.extend(reached)
        if target in came_from:
            break
    else:
        raise NotYetTrusted(
            "light.need_between",
            "these blocks do not lead to the last of them",
            queue[-1][1].height,
            checked[target].block.header.height,
        )
    path = [target]
    while came_from[path[-1]] >= 0:
        path.append(came_from[path[-1]])
    return tuple(blocks[index] for index in reversed(path))


def change_heights(headers: Iterable[Header]) -> tuple[int, ...]:
    """Of consecutive headers: heights of the last one of a set and the first one of the next, rising."""
    heights: set[int] = set()
    for header in headers:
        if header.next_validators_hash != header.validators_hash:
            heights.update((header.height, header.height + 1))
    return tuple(sorted(heights))


def _check_answer(height: int, block: LightBlock, trusted: Trusted) -> CheckedBlock:
    if block.header.height != height:
        raise ProofError(
            "light.wrong_height", "a block of another height was asked for", block.header.height, height
        )
    return check_block(block, trusted.chain_name)


def _assumptions(
    segments: Sequence[Segment], steps: Sequence[Step], clock: Clock, first_states_shown: bool
) -> tuple[Assumption, ...]:
    assumed = [Assumption.SETS_HONEST]
    if any(step.kind is StepKind.SKIPPED for step in steps):
        assumed.append(Assumption.SKIPS_HONEST)
    if isinstance(clock, Live):
        assumed.append(Assumption.CLOCK_RIGHT)
    else:
        assumed += [Assumption.OLD_KEYS_SAFE, Assumption.TIME_NOT_PROVEN]
    if not first_states_shown:
        assumed.append(Assumption.FIRST_STATE)
    sets = [step.trusted.validators for step in steps]
    sets += [trust_genesis(segment.genesis).validators for segment in segments]
    if any(members[0].power * 3 > sum(one.power for one in members) * 2 for members in sets):
        assumed.append(Assumption.ONE_SIGNER)
    return tuple(assumed)
