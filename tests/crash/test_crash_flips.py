"""Bytes that change on the disk: refused, or reported by check, or without effect; never a wrong answer,
never an error without a code, never a hang or memory without bound. Repair then makes a whole ledger.

Seeds that ever failed are in seeds.json, with the reason, and every run replays them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.test_errors_documented import documented_codes
from tests.crash.flips import BLOCKS
from tests.crash.recording import ROOT

KEPT = [entry["seed"] for entry in json.loads(Path(__file__).with_name("seeds.json").read_text())]
FEW = 12
MANY = 400
SHARDS = 4


def go_through(directory: Path, seeds: Iterable[int]) -> list[dict[str, Any]]:
    """What became of each seed, after requiring that it is one of the allowed."""
    wanted = list(seeds)
    directory.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.flips", str(directory), *map(str, wanted)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(wanted), f"seed {wanted[len(told)]} ended the process: {done.stderr[-2000:]}"
    codes = documented_codes()
    for one in told:
        for end in (one, one.get("repair", {"outcome": "sound", "height": 0})):
            assert end["outcome"] in ("refused", "reported", "sound"), one
            assert end.get("code", "state.corrupt") in codes, one
        if "repair" in one:
            assert one["repair"]["outcome"] == "sound", one
    return told


@pytest.mark.slow
def test_a_few_changes_and_those_that_ever_failed(scratch: Path) -> None:
    told = go_through(scratch / "flips", [*KEPT, *range(FEW)])
    assert "refused" in {one["outcome"] for one in told}


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_changes(scratch: Path, shard: int) -> None:
    told = go_through(scratch / f"flips-{shard}", range(FEW + shard, MANY, SHARDS))
    kept = [one["height"] for one in told if one["outcome"] == "sound"]
    assert kept.count(BLOCKS) > len(kept) // 2
