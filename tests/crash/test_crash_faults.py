"""A disk that is full, or fails to sync, at any call: the ledger says so, goes on reading, and after a
restart with room has everything it acknowledged.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.chain.errors import LedgerError
from node.ledger import Ledger
from tests.crash.driver import LEDGER, add_block
from tests.crash.faults import BLOCKS
from tests.crash.recording import run_recorded
from tests.crash.states import Expected, load_expected, require_sound
from tests.helpers.ledger import Chain

GROWING = "CREATE,WRITE,TRUNCATE,RENAME,MKDIR,SYNC,SYNC_DIRECTORY"
"""Calls that a full disk may refuse."""
SYNCS = "SYNC,SYNC_DIRECTORY"
FAULTS = [
    ("ENOSPC", GROWING, "ever"),
    ("ENOSPC", GROWING, "once"),
    ("EIO", SYNCS, "ever"),
    ("EIO", SYNCS, "once"),
    ("EIO", "WRITE", "once"),
]
SAID = {
    "ENOSPC": {"state.disk_full"},
    "EIO": {"state.write_failed", "state.unreadable"},
}
SAMPLE = 7


@pytest.fixture(scope="session")
def without_fault(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """The blocks of a run in which nothing fails."""
    chain = Chain.create(tmp_path_factory.mktemp("faults") / LEDGER)
    for _ in range(BLOCKS + 2):
        add_block(chain, 3)
    chain.close()
    return load_expected(chain.path)


def attempts(
    recorder: Path, directory: Path, fault: tuple[str, str, str], first: int, step: int
) -> Iterator[dict[str, Any]]:
    arguments = (*fault, str(first), str(step))
    for line in run_recorded(
        recorder, directory, "tests.crash.faults", str(directory), *arguments
    ).splitlines():
        yield json.loads(line)


def go_through(
    recorder: Path, directory: Path, fault: tuple[str, str, str], expected: Expected, step: int
) -> int:
    """The number of tries in which the fault was noticed."""
    noticed = 0
    for told in attempts(recorder, directory, fault, 1, step):
        name = f"{fault}: {told}"
        if told["code"] is not None:
            noticed += 1
            assert told["code"] in SAID[fault[0]], name
            assert told.get("reads", True), name
            assert told.get("next", "state.write_failed") == "state.write_failed", name
        else:
            assert told["acknowledged"] == BLOCKS + 1, name
        acknowledged = told["acknowledged"]
        require_sound(
            directory / str(told["call"]) / LEDGER,
            expected,
            name,
            acknowledged=acknowledged,
            begun=max(acknowledged, 0) + 1,
            whole=told["call"] % 10 == 1,
        )
    return noticed


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids="-".join)
def test_a_sample_of_failing_calls(
    recorder: Path, scratch: Path, without_fault: Expected, fault: tuple[str, str, str]
) -> None:
    assert go_through(recorder, scratch / "some" / "-".join(fault), fault, without_fault, SAMPLE) > 2


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids="-".join)
def test_every_failing_call(
    recorder: Path, scratch: Path, without_fault: Expected, fault: tuple[str, str, str]
) -> None:
    assert go_through(recorder, scratch / "all" / "-".join(fault), fault, without_fault, 1) > 10


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A real file system of two megabytes. Skips where none may be mounted: the failing calls above stand
    for it there, in CI too, since containers seldom may mount.
    """
    volume = tmp_path / "volume"
    volume.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(volume)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small volume: mount -t tmpfs needs root and the right to mount")
    yield volume
    subprocess.run(["umount", str(volume)], check=True)


def add_blocks_for_ever(chain: Chain) -> None:
    while True:
        add_block(chain, 20)


def test_a_volume_that_is_really_full(small_volume: Path) -> None:
    chain = Chain.create(small_volume / LEDGER)
    with pytest.raises(LedgerError) as caught:
        add_blocks_for_ever(chain)
    assert caught.value.code == "state.disk_full"
    height = chain.ledger.tip.height
    assert height > 3
    assert chain.nonce(chain.clerk) == 20 * height
    chain.close()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_volume)], check=True)
    chain = Chain(Ledger.open(small_volume / LEDGER))
    assert chain.ledger.tip.height in (height, height + 1)
    add_block(chain, 20)
    chain.close()
