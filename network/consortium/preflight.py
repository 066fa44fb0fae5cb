"""What a motion would do to the network, and why it should not be carried out.

The contract refuses what its tables forbid; it does not know which machines run. Here the tables before and
after are compared with who signed the last blocks and with which nodes are connected. Pure: the chain's state
is a `Governance`, nothing is asked. What the contract itself answers to a dry run is added by the caller.

A *refusal* cannot be passed over: after it the network could stop, or could never be changed again. A
*warning* is passed over by who gives a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.bindings import consortium
from network.consortium import hazards
from network.consortium.findings import UNSEEN, Finding, Level, Sight
from network.consortium.governance import (
    IN_FORCE_AFTER,
    Governance,
    MembershipError,
    Seat,
    apply_calls,
)
from network.consortium.merge import faults_tolerated
from node.chain.errors import ShelianError
from node.chain.rules import CONSORTIUM
from node.chain.transaction import Call

MIN_REASON: Final = 10
"""Characters of a reason for passing over a warning."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The network in figures: members who vote, validators and power, how many validators may fail, and the
    power that signed blocks lately."""

    members: int
    needed: int
    validators: tuple[Seat, ...]
    may_fail: int
    total_power: int
    living_power: int
    peers: int


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is found. `in_force`: the height from which new validators sign, if the next block carries the
    motion out; None where no validator changes."""

    before: Tables
    after: Tables
    findings: tuple[Finding, ...]
    in_force: int | None

    @property
    def refusals(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level is Level.REFUSAL)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level is Level.WARNING)


def preflight(
    governance: Governance,
    calls: Sequence[Call],
    *,
    sight: Sight = UNSEEN,
    executing: bool = False,
    dry_run: ShelianError | None = None,
) -> Preflight:
    """What carrying out these calls now would do.

    `executing`: they are to be carried out now, not only put to the vote. `dry_run`: the refusal with which
    the contracts answered these calls. Raises DecodeError for calls that are none.
    """
    after = apply_calls(governance, calls)
    changes_validators = _validator_calls(calls)
    findings = [
        *hazards.refused_by_contract(dry_run),
        *hazards.bad_keys(governance, after),
        *hazards.apart(governance, changes_validators, executing=executing),
        *hazards.lockout(governance, after),
        *hazards.cut_off(governance, after, sight),
        *hazards.newcomers(governance, after, sight),
        *hazards.quorum(governance, after),
        *hazards.tolerance(governance, after),
        *hazards.silent(governance, after),
    ]
    return Preflight(
        before=_tables(governance, governance),
        after=_tables(governance, after),
        findings=tuple(findings),
        in_force=governance.height + 1 + IN_FORCE_AFTER if changes_validators else None,
    )


def require_passable(found: Preflight, reason: str | None) -> None:
    """Raise the first refusal; or the first warning, unless a reason is given for passing over them.

    Raises MembershipError preflight.*, membership.reason.
    """
    for one in found.refusals:
        raise one.as_error()
    if reason is None:
        for one in found.warnings:
            raise one.as_error()
    elif len(reason.strip()) < MIN_REASON:
        raise MembershipError(
            "membership.reason", "理由太短 the reason is too short", reason, f"{MIN_REASON} characters"
        )


def _validator_calls(calls: Sequence[Call]) -> int:
    kinds = (consortium.ChangeValidatorsArgs.SELECTOR, consortium.RotateValidatorKeyArgs.SELECTOR)
    return sum(call.to == CONSORTIUM and call.data[:4] in kinds for call in calls)


def _tables(before: Governance, governance: Governance) -> Tables:
    total = len(governance.active)
    return Tables(
        members=total,
        needed=total * 2 // 3 + 1,
        validators=governance.validators,
        may_fail=faults_tolerated(seat.power for seat in governance.validators),
        total_power=governance.total_power,
        living_power=hazards.power_that_lives(before, governance),
        peers=len(governance.peers),
    )
