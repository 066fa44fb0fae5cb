"""Running a scenario in a process of its own and recording what it does to the disk; see record_writes.c."""

from __future__ import annotations

import enum
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_SOURCE: Final = Path(__file__).with_name("record_writes.c")
_HEADER: Final = struct.Struct("<4I2Q")


class Kind(enum.IntEnum):
    """What a call did. The numbers are those of record_writes.c."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    RENAME = 4
    UNLINK = 5
    MKDIR = 6
    RMDIR = 7
    SYNC = 8
    SYNC_DIRECTORY = 9
    MARK = 10
    LINK = 11


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Paths are relative to the recorded directory; a mark's text is in `path`."""

    kind: Kind
    path: str
    second: str = ""  # where a rename goes; the other name of a link
    offset: int = 0  # of a write; the new size of a truncation
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Recording:
    calls: tuple[Call, ...]
    directory: Path  # as the scenario left it


def build_recorder(directory: Path) -> Path:
    """The shared object to preload. Skips the test, or in CI fails it, where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        message = "no C compiler: the crash harness needs cc (apt-get install gcc libc6-dev)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    library = directory / "record_writes.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def run_recorded(
    recorder: Path, directory: Path, module: str, *arguments: str, trace: Path | None = None
) -> str:
    """The output of `python -m MODULE ARGUMENTS` with the recorder preloaded on `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"LD_PRELOAD": str(recorder), "RECORD_ROOT": str(directory)}
    if trace is not None:
        environment["RECORD_TRACE"] = str(trace)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def record(recorder: Path, directory: Path, scenario: str) -> Recording:
    """Run a scenario of `tests.crash.driver` below `directory` and read what it did."""
    trace = directory.with_name(directory.name + ".trace")
    run_recorded(recorder, directory, "tests.crash.driver", scenario, str(directory), trace=trace)
    return Recording(tuple(read_trace(trace)), directory)


def read_trace(path: Path) -> list[Call]:
    raw = path.read_bytes()
    calls, position = [], 0
    while position < len(raw):
        number, path_size, second_size, _, offset, size = _HEADER.unpack_from(raw, position)
        position += _HEADER.size
        name = raw[position : position + path_size].decode()
        position += path_size
        second = raw[position : position + second_size].decode()
        position += second_size
        data = raw[position : position + size]
        position += size
        calls.append(Call(Kind(number), name, second, offset, data))
    return calls
