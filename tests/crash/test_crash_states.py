"""Whatever moment the power goes: every state that a recorded run can leave on the disk is a ledger with all
that was acknowledged. See docs/CRASH.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.disk import Disk, Dropped, Killed
from tests.crash.driver import LEDGER
from tests.crash.recording import Kind, Recording
from tests.crash.states import crash_states, load_expected, put_on_disk, require_sound

RecordingOf = Callable[[str], Recording]

SAMPLE = 12
"""In `make test` every so many boundaries."""
WHOLE = 40
"""Every so many states are checked from the first block on."""
SHARDS = 8
SEEDS = 3


def go_through(recording: Recording, scratch: Path, seed: int, step: int, first: int) -> int:
    """The number of states restarted on, with journalled names."""
    expected = load_expected(recording.directory / LEDGER)
    count = 0
    for count, state in enumerate(crash_states(recording, seed, step=step, first=first), start=1):
        require_sound(
            put_on_disk(state, scratch),
            expected,
            f"seed {seed}, {state.name}",
            acknowledged=state.acknowledged,
            begun=state.begun,
            whole=count % WHOLE == 0,
        )
    return count


def test_the_run_covers_new_logs_and_compaction(recording_of: RecordingOf) -> None:
    created = [call.path for call in recording_of("grow").calls if call.kind is Kind.CREATE]
    removed = [call.path for call in recording_of("grow").calls if call.kind is Kind.UNLINK]
    assert sum(path.endswith(".log") for path in created) >= 8
    assert sum(path.endswith(".ldb") for path in created) >= 8
    assert any(path.endswith(".ldb") for path in removed), "no compaction has thrown a table away"
    assert sum("MANIFEST" in path for path in created) >= 3


def test_the_model_of_the_disk_is_the_disk(recording_of: RecordingOf) -> None:
    recording = recording_of("grow")
    disk = Disk()
    for call in recording.calls:
        disk.apply(call)
    for path, data in disk.image(Killed()).items():
        if data is not None:
            assert (recording.directory / path).read_bytes() == data, path


def test_nothing_is_acknowledged_before_its_log_and_the_name_of_its_log_are_synced(
    recording_of: RecordingOf,
) -> None:
    disk, marks = Disk(posix=True), 0
    for call in recording_of("grow").calls:
        disk.apply(call)
        if call.kind is Kind.MARK:
            marks += 1
            uncertain = [path for path in disk.uncertain() if path.endswith(".log")]
            assert not uncertain, call.path
            logs = {path for path in disk.image(Killed()) if path.endswith(".log")}
            assert logs <= disk.image(Dropped()).keys(), call.path
    assert marks > 30


@pytest.mark.parametrize("scenario", ["begin"])
def test_every_boundary_of_a_creation(recording_of: RecordingOf, scratch: Path, scenario: str) -> None:
    assert go_through(recording_of(scenario), scratch / "creation", 1, 1, 0) > 50


def test_a_ledger_that_does_not_sync_is_caught(recording_of: RecordingOf, scratch: Path) -> None:
    with pytest.raises(AssertionError, match=r"after call \d+, dropped: height 0"):
        go_through(recording_of("careless"), scratch / "careless", 1, 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["grow", "prune"])
def test_a_sample_of_boundaries(recording_of: RecordingOf, scratch: Path, scenario: str) -> None:
    assert go_through(recording_of(scenario), scratch / "sample", 1, SAMPLE, 0) > 50


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("scenario", ["grow", "prune"])
def test_every_boundary(recording_of: RecordingOf, scratch: Path, scenario: str, shard: int) -> None:
    for seed in range(SEEDS):
        go_through(recording_of(scenario), scratch / f"shard-{shard}", seed, SHARDS, shard)
