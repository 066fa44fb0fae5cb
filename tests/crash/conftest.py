"""The recorder, and a directory in memory for the thousands of states that are restarted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.recording import Recording, build_recorder, record

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one: what the tests put there is gone after them."""
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="shelian-crash-", dir=memory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def recorder(scratch: Path) -> Path:
    return build_recorder(scratch)


@pytest.fixture(scope="session")
def recording_of(scratch: Path, recorder: Path) -> Callable[[str], Recording]:
    """The recording of a scenario, made once."""
    made: dict[str, Recording] = {}

    def get(scenario: str) -> Recording:
        if scenario not in made:
            made[scenario] = record(recorder, scratch / f"run-{scenario}", scenario)
        return made[scenario]

    return get
