"""A repair that is cut off at any moment has destroyed nothing, and the next one ends well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.repair import repair_ledger
from tests.crash.disk import NOT_KEPT, Disk, Image, Killed
from tests.crash.driver import LEDGER, STAMP
from tests.crash.recording import Kind, Recording
from tests.crash.states import crash_states, load_expected, put_on_disk, require_sound

RecordingOf = Callable[[str], Recording]

HEIGHT = 2
"""Of the last whole block of the scenario."""
SAMPLE = 25


def damaged_files(recording: Recording) -> Image:
    """The damaged ledger's files, by name."""
    disk = Disk()
    for call in recording.calls:
        disk.apply(call)
        if call.kind is Kind.MARK and call.path == "damaged":
            break
    return files_of(disk.image(Killed()), LEDGER)


def files_of(image: Image, directory: str) -> Image:
    prefix = directory + "/"
    return {
        path.removeprefix(prefix): data
        for path, data in image.items()
        if path.startswith(prefix) and path != prefix + "LOCK" and path.rpartition("/")[2] not in NOT_KEPT
    }


def go_through(recording: Recording, scratch: Path, step: int) -> int:
    original = damaged_files(recording)
    count = 0
    for state in crash_states(recording, 1, step=step):
        if state.mark not in ("damaged", "repaired"):
            continue
        count += 1
        kept = [files_of(state.image, name) for name in (LEDGER, f"{LEDGER}.damaged-{STAMP}")]
        assert original in kept, f"{state.name}: the damaged ledger is gone"
        path = put_on_disk(state, scratch)
        if state.mark == "repaired":
            assert original == kept[1], state.name
        done = repair_ledger(path, None, lambda _: True, stamp="again", check=count % 10 == 0)
        assert done.height == HEIGHT, state.name
        with Ledger.open(path) as ledger:
            assert ledger.tip.height == HEIGHT, state.name
    return count


@pytest.mark.slow
def test_a_sample_of_moments_of_a_repair(recording_of: RecordingOf, scratch: Path) -> None:
    assert go_through(recording_of("repair"), scratch / "repair", SAMPLE) > 5


@pytest.mark.long
def test_every_moment_of_a_repair(recording_of: RecordingOf, scratch: Path) -> None:
    assert go_through(recording_of("repair"), scratch / "repair-all", 1) > 100


@pytest.mark.long
def test_by_the_letter_of_posix_what_cannot_be_opened_can_be_repaired(
    recording_of: RecordingOf, scratch: Path
) -> None:
    """LevelDB writes a table's name into its manifest before it syncs the directory: a file system that keeps
    the one without the other is refused, and repaired, and nothing acknowledged is lost.
    """
    recording = recording_of("grow")
    expected = load_expected(recording.directory / LEDGER)
    refused = 0
    for seed in range(6):
        for state in crash_states(recording, seed, step=2, posix=True):
            path = put_on_disk(state, scratch / "posix")
            try:
                require_sound(path, expected, state.name, acknowledged=state.acknowledged, begun=state.begun)
            except AssertionError as error:
                if "missing files" not in str(error):
                    raise
                refused += 1
                done = repair_ledger(path, expected.genesis, lambda _: True, stamp=STAMP)
                assert state.acknowledged <= done.height <= state.begun, state.name
                assert check_ledger(path).ok
    assert refused
