"""What a demonstration does and remembers: steps with transaction, block and time; a failure ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from node.chain.errors import ShelianError

T = TypeVar("T")


class StepFailed(ShelianError):
    """A step of the demonstration did not do what it should."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an action gives back to be remembered: its transaction (0x hex) and block, where there is one."""

    transaction: str = ""
    block: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table; `milliseconds` from asking to having the receipt."""

    part: str
    what: str
    who: str
    transaction: str
    block: int
    milliseconds: float


@dataclass(slots=True)
class Run:
    """Collects the steps and tells them as they happen."""

    tell: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    def step(self, part: str, what: str, who: str, action: Callable[[], Done | Mapping[str, Any]]) -> Done:
        """Do and remember; the action gives a `Done`, or what an application answered to a signature.

        Raises StepFailed `demo.step_failed` with the cause.
        """
        started = time.perf_counter()
        try:
            answer = action()
        except ShelianError as error:
            raise StepFailed(
                "demo.step_failed", f"{part}: {what} ({who}): {error}", error.as_dict()
            ) from error
        done = answer if isinstance(answer, Done) else Done(answer["transaction"], int(answer["block"]))
        self._remember(part, what, who, done, started)
        return done

    def refused(self, part: str, what: str, who: str, expected: str, action: Callable[[], object]) -> None:
        """Do what must be refused with this code. Raises StepFailed if it is not."""
        started = time.perf_counter()
        try:
            action()
        except ShelianError as error:
            if error.code != expected:
                raise StepFailed(
                    "demo.step_failed",
                    f"{part}: {what} was refused for another reason: {error}",
                    error.code,
                    expected,
                ) from error
        else:
            raise StepFailed("demo.step_failed", f"{part}: {what} was not refused", "accepted", expected)
        self._remember(part, f"{what} → {expected}", who, Done(), started)

    def until(
        self, part: str, what: str, who: str, found: Callable[[], T | None], patience_s: float = 30
    ) -> T:
        """Wait for something that others do. Raises StepFailed when it does not come."""
        started = time.perf_counter()
        while time.perf_counter() - started < patience_s:
            value = found()
            if value is not None:
                self._remember(part, what, who, Done(), started)
                return value
            time.sleep(0.05)
        raise StepFailed(
            "demo.step_failed", f"{part}: {what} did not happen", None, f"within {patience_s:.0f} s"
        )

    def _remember(self, part: str, what: str, who: str, done: Done, started: float) -> None:
        step = Step(part, what, who, done.transaction, done.block, (time.perf_counter() - started) * 1_000)
        self.steps.append(step)
        self.tell(step)
