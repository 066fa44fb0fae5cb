"""Ten million inputs: every target under atheris, its kept corpus first, for as many executions as the
table says. An input is one execution of a target's property on one byte string, by libFuzzer's own count.
"""

from __future__ import annotations

import pytest

from tests.fuzz.running import run_target
from tests.fuzz.table import TARGETS, Target
from tests.fuzz.test_fuzz_properties import needs_atheris

SHARES = [
    pytest.param(target, share, id=f"{target.name}-{share + 1}")
    for target in TARGETS.values()
    for share in range(target.shares)
]


@pytest.mark.long
@pytest.mark.parametrize(("target", "share"), SHARES)
def test_a_share_of_ten_million_inputs_holds(target: Target, share: int) -> None:
    needs_atheris()
    wanted = -(-target.inputs // target.shares)
    run = run_target(target, inputs=wanted)
    kept = f"found {[data.hex() for data in run.found]}; keep them in {target.regressions}"
    assert not run.failure, f"{kept}\n{run.failure}"
    assert run.inputs >= wanted


def test_the_shares_add_up_to_ten_million() -> None:
    assert sum(target.inputs for target in TARGETS.values()) >= 10_000_000
