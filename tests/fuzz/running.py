"""Runs of a target in a child process, and what libFuzzer said about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.table import HERE, Target

ROOT = HERE.parents[1]
_DONE = re.compile(r"^Done (\d+) runs in \d+ second", re.MULTILINE)
_STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


@dataclass(frozen=True)
class Run:
    """What came of a run. `inputs`: executions of the target's property, by libFuzzer's own count; `seconds`
    of processor time, the start included.
    """

    inputs: int
    seconds: float
    branches: int
    features: int
    failure: str
    """The last of its output, if the run ended early; empty if all went well."""
    found: tuple[bytes, ...]
    """Inputs that broke the property."""


def run_target(
    target: Target,
    *,
    inputs: int = -1,
    seconds: int = 0,
    seed: int = 0,
    keep: Path | None = None,
    merge: bool = False,
) -> Run:
    """`inputs` executions (-1: no end) or `seconds`, beginning with the kept corpus.

    What reaches new branches goes to `keep`. With `merge`, nothing is mutated: `keep` gets the smallest set
    of corpus inputs with the same coverage. `seed` 0 lets libFuzzer choose one.
    """
    with tempfile.TemporaryDirectory(prefix="shelian-fuzz-") as scratch:
        work, failures, temporary = (Path(scratch) / name for name in ("corpus", "failures", "temporary"))
        for directory in (work, failures, temporary):
            directory.mkdir()
        options = [
            f"-runs={inputs}",
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-max_len={target.max_len}",
            f"-artifact_prefix={failures}/",
            "-timeout=60",
            "-rss_limit_mb=2048",
            "-len_control=0",
            "-print_final_stats=0",
            *(["-merge=1"] if merge else []),
            str(keep or work),
        ]
        sources = [path for path in (target.corpus, target.regressions) if path.is_dir() and path != keep]
        log = Path(scratch) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.fuzz.coverage_guided",
                    target.name,
                    *options,
                    *map(str, sources),
                ],
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary), "ETH_HASH_BACKEND": "pysha3"},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        output = log.read_text(errors="replace")
        found = tuple(path.read_bytes() for path in sorted(failures.iterdir()))
    done, statuses = _DONE.search(output), _STATUS.findall(output)
    branches, features = (int(statuses[-1][place]) if statuses else 0 for place in (0, 1))
    ended_well = process.returncode == 0 and not found and (done is not None or merge)
    return Run(
        int(done[1]) if done else 0,
        usage.ru_utime + usage.ru_stime,
        branches,
        features,
        "" if ended_well else output[-4_000:],
        found,
    )
