"""The contract against a naive model: which changes of validators and members it lets through, and which not.

The rule of the model is said in other words than the contract's: a change is allowed if the machines that
sign now, without those of suspended members, hold more than two thirds of the new set whatever the keys that
are new to it do; if no more than a third of the old power moves; and if the change before it is in force.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bindings import consortium
from contracts.district import KINDS, district, district_spec
from contracts.sandbox import CallFailed
from node.chain.encoding import sha256
from node.chain.transaction import Call

START = district()
KEYS = [*(item.public_key for item in district_spec().validators), *(sha256(bytes([n])) for n in range(3))]
ORGANISATIONS = tuple(KINDS)
IN_FORCE_AFTER = 2


@dataclass
class Model:
    """Mutable: power and organisation by key, suspended members, the height of the last change."""

    power: dict[bytes, int] = field(
        default_factory=lambda: {item.public_key: item.power for item in district_spec().validators}
    )
    owner: dict[bytes, int] = field(
        default_factory=lambda: {item.public_key: item.organisation for item in district_spec().validators}
    )
    suspended: set[int] = field(default_factory=set)
    last_change: int = -IN_FORCE_AFTER

    def keeps_quorum(self, new: dict[bytes, int], owner: dict[bytes, int], suspended: set[int]) -> bool:
        sure = sum(
            min(power, self.power.get(key, 0)) for key, power in new.items() if owner[key] not in suspended
        )
        return Fraction(sure, sum(new.values())) > Fraction(2, 3)

    def change(self, changes: dict[bytes, tuple[int, int]], height: int) -> bool:
        new, owner = dict(self.power), dict(self.owner)
        for key, (power, organisation) in changes.items():
            if power == new.get(key, 0) or (key in new and owner[key] != organisation):
                return False
            if power > new.get(key, 0) and organisation in self.suspended:
                return False
            new[key], owner[key] = power, organisation
        new = {key: power for key, power in new.items() if power}
        moved = sum(abs(new.get(key, 0) - self.power.get(key, 0)) for key in KEYS)
        if Fraction(moved, sum(self.power.values())) > Fraction(1, 3) or not new:
            return False
        if not self.keeps_quorum(new, owner, self.suspended):
            return False
        return self._put(new, {key: owner[key] for key in new}, height)

    def rotate(self, old: bytes, new: bytes, height: int) -> bool:
        if old not in self.power or new in self.power or self.owner[old] in self.suspended:
            return False
        power = {(new if key == old else key): value for key, value in self.power.items()}
        owner = {(new if key == old else key): value for key, value in self.owner.items()}
        return self.keeps_quorum(power, owner, self.suspended) and self._put(power, owner, height)

    def _put(self, power: dict[bytes, int], owner: dict[bytes, int], height: int) -> bool:
        if height < self.last_change + IN_FORCE_AFTER:
            return False
        self.power, self.owner, self.last_change = power, owner, height
        return True

    def suspend(self, organisation: int) -> bool:
        later = self.suspended | {organisation}
        # Somebody must remain for the correction rules (kinds 1 to 4) and for points (5 to 7).
        kinds = {int(KINDS[item]) for item in ORGANISATIONS if item not in later}
        voters = any(kind <= 4 for kind in kinds) and any(kind >= 5 for kind in kinds)
        if organisation in self.suspended or not voters:
            return False
        if not self.keeps_quorum(self.power, self.owner, later):
            return False
        self.suspended = later
        return True

    def resume(self, organisation: int) -> bool:
        if organisation not in self.suspended:
            return False
        self.suspended = self.suspended - {organisation}
        return True


Step = tuple[str, int, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("change", "change", "pair", "rotate", "suspend", "resume", "wait", "wait")),
        st.integers(0, len(KEYS) - 1),
        st.integers(0, len(KEYS) - 1),
        st.integers(0, 16),
        st.integers(0, 16),
    ),
    min_size=1,
    max_size=14,
)


def calls_of(steps: list[Step], model: Model, height: list[int]) -> Iterator[tuple[Call, bool]]:
    """Each step as a call, with what the model says of it."""
    for what, first, second, power, other in steps:
        if what == "wait":
            height[0] += 1
        elif what in ("change", "pair"):
            some = {KEYS[first]: power} | ({KEYS[second]: other} if what == "pair" else {})
            changes = {
                key: (value, model.owner.get(key, ORGANISATIONS[KEYS.index(key)]))
                for key, value in some.items()
            }
            call = consortium.change_validators(
                tuple(changes),
                tuple(value for value, _ in changes.values()),
                tuple(owner for _, owner in changes.values()),
            )
            yield call, model.change(changes, height[0])
        elif what == "rotate":
            call = consortium.rotate_validator_key(KEYS[first], KEYS[second])
            yield call, model.rotate(KEYS[first], KEYS[second], height[0])
        elif what == "suspend":
            yield consortium.suspend_organisation(ORGANISATIONS[first]), model.suspend(ORGANISATIONS[first])
        else:
            yield consortium.resume_organisation(ORGANISATIONS[first]), model.resume(ORGANISATIONS[first])


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_the_contract_allows_what_the_model_allows(steps: list[Step]) -> None:
    box, model, height = START.fork(), Model(), [START.number]
    for call, allowed in calls_of(steps, model, height):
        box.number = height[0]
        try:
            box.send(consortium.ADDRESS, call)
            accepted = True
        except CallFailed:
            accepted = False
        assert accepted == allowed, (call.data[:4].hex(), steps)
    answer = consortium.decode_validators(box.read(consortium.validators()))
    assert dict(zip(answer.keys, answer.powers, strict=True)) == model.power
    assert dict(zip(answer.keys, answer.organisations, strict=True)) == model.owner
