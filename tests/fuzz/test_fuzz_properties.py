"""Every fuzz target holds for its kept inputs, for changed real encodings and for any bytes at all."""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutators import flip_bytes
from tests.fuzz.running import ROOT, run_target
from tests.fuzz.table import TARGETS, Target, kept_inputs, load

targets = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
quick = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ROUNDS = 5
"""Changed inputs for each of Hypothesis' draws: drawing costs more than running most targets."""


@targets
def test_kept_inputs_hold(target: Target) -> None:
    """The corpus, and whatever once broke the property."""
    loaded = load(target)
    for seed in loaded.seeds():
        loaded.one_input(seed)
    for path in [*kept_inputs(target.corpus), *kept_inputs(target.regressions)]:
        loaded.one_input(path.read_bytes())


@targets
def test_changed_encodings_hold(target: Target) -> None:
    loaded = load(target)
    originals = [*loaded.seeds(), *(path.read_bytes() for path in kept_inputs(target.corpus))]

    @quick
    @given(number=st.integers(0, len(originals) - 1), choice=st.integers(0, 2**64 - 1))
    def changed(number: int, choice: int) -> None:
        random = Random(choice)
        data = originals[number]
        for _ in range(ROUNDS):
            data = loaded.mutate(data, random, flip_bytes(random))[: target.max_len]
            try:
                loaded.one_input(data)
            except Exception as error:
                error.add_note(f"keep this input as a file in {target.regressions}: {data.hex()}")
                raise

    changed()


@targets
def test_any_bytes_hold(target: Target) -> None:
    one_input = load(target).one_input

    @quick
    @given(st.binary(max_size=200))
    @example(b"")
    @example(b"\x00")
    def anything(data: bytes) -> None:
        one_input(data)

    anything()


@targets
def test_changes_follow_from_the_random_numbers(target: Target) -> None:
    """So a failure that Hypothesis reports can be had again."""
    loaded = load(target)
    first = next(iter(loaded.seeds()))
    one, other = (loaded.mutate(first, random, flip_bytes(random)) for random in (Random(7), Random(7)))
    assert one == other


def test_the_corpus_is_small() -> None:
    sizes = [path.stat().st_size for target in TARGETS.values() for path in kept_inputs(target.corpus)]
    assert sum(sizes) < 2_000_000
    assert all(kept_inputs(target.corpus) for target in TARGETS.values())


def needs_atheris() -> None:
    try:
        subprocess.run([sys.executable, "-c", "import atheris"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        message = "atheris is not installed for this platform (pip install atheris)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def test_the_coverage_guided_run_counts_its_inputs_and_sees_branches() -> None:
    needs_atheris()
    run = run_target(TARGETS["transaction"], inputs=2_000, seed=1)
    assert not run.failure, run.failure
    assert run.inputs >= 2_000
    assert run.branches > 30
    assert run.features > run.branches


def test_every_target_is_documented() -> None:
    page = (ROOT / "docs" / "FUZZING.md").read_text()
    assert all(f"| `{name}` |" in page for name in TARGETS)
