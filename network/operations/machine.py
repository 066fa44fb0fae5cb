"""What the machine says: the file system, the sizes of directories, a program's memory and open files.

Linux's /proc and statvfs; what cannot be read is None, never an error.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`free_bytes`: what an ordinary user may still write."""

    free_bytes: int
    total_bytes: int
    read_only: bool


def read_file_system(path: Path) -> FileSystem:
    """Of the nearest directory that exists. OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    return FileSystem(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        bool(found.f_flag & os.ST_RDONLY),
    )


def directory_bytes(path: Path) -> int:
    """What the files in it and below take on the disk; files that go away meanwhile do not count."""
    total = 0
    pending = [os.fspath(path)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


class Measured:
    """The size of a directory, measured at most so often."""

    def __init__(self, path: Path, every_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._every_s = every_s
        self._clock_s = clock_s
        self._size = 0
        self._due_s = float("-inf")

    def read(self) -> int:
        now_s = self._clock_s()
        if now_s >= self._due_s:
            self._size = directory_bytes(self._path)
            self._due_s = now_s + self._every_s
        return self._size


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """`memory_bytes`: resident; `open_files_limit`: the soft one."""

    pid: int
    memory_bytes: int
    open_files: int
    open_files_limit: int
    running_s: float


def read_process(pid: int, proc: Path = _PROC) -> ProcessReading | None:
    """None where there is no such process, or it is somebody else's."""
    place = proc / str(pid)
    try:
        resident = int((place / "statm").read_text().split()[1]) * resource.getpagesize()
        files = sum(1 for _ in (place / "fd").iterdir())
        limit = _soft_limit((place / "limits").read_text())
        # The name may hold spaces and brackets: what counts comes after the last bracket.
        started = int((place / "stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float((proc / "uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    running_s = max(0.0, uptime_s - started / os.sysconf("SC_CLK_TCK"))
    return ProcessReading(pid, resident, files, limit, running_s)


def _soft_limit(limits: str) -> int:
    """Of open files; 0: none is known."""
    for line in limits.splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return 0 if soft == "unlimited" else int(soft)
    return 0
