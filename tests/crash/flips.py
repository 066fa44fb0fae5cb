"""A ledger whose bytes were changed on the disk: what opening, checking and repairing make of it.

    python -m tests.crash.flips DIRECTORY SEED...

prints a JSON line a seed. Run in a process of its own with bounded memory and time, since LevelDB reads
damaged lengths here.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

from node.chain.errors import LedgerError
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.repair import repair_ledger
from tests.crash.driver import Driver, add_block
from tests.crash.states import Expected, load_expected
from tests.helpers.ledger import Chain

BLOCKS: Final = 9
MEMORY: Final = 3 << 30
PATIENCE_S: Final = 60
KINDS: Final = ("*.log", "*.ldb", "MANIFEST-*", "CURRENT")
SECTOR: Final = 512


def damage(directory: Path, rng: random.Random) -> str:
    """Change one file; returns what was done."""
    files = [file for file in sorted(directory.glob(rng.choice(KINDS))) if file.stat().st_size]
    if not files:
        files = sorted(directory.glob("CURRENT"))
    file = rng.choice(files)
    raw = bytearray(file.read_bytes())
    at = rng.randrange(len(raw))
    way = rng.choice(("bit", "bit", "bits", "zeros", "noise", "cut", "swap"))
    start = at - at % SECTOR
    size = min(SECTOR, len(raw) - start)
    if way == "bit":
        raw[at] ^= 1 << rng.randrange(8)
    elif way == "bits":
        for _ in range(8):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif way == "zeros":
        raw[start : start + size] = bytes(size)
    elif way == "noise":
        raw[start : start + size] = rng.randbytes(size)
    elif way == "cut":
        del raw[at:]
    else:
        other = rng.randrange(len(raw)) // SECTOR * SECTOR
        raw[start : start + size] = raw[other : other + size].ljust(size, b"\0")
    file.write_bytes(raw)
    return f"{way} at {at} of {file.name}"


def outcome(path: Path, expected: Expected) -> dict[str, Any]:
    """How a restart ends: refused (with a code), reported by check, or sound at a height of the run."""
    try:
        with Ledger.open(path, expected.genesis) as ledger:
            height, app_hash = ledger.tip.height, ledger.tip.app_hash
        report = check_ledger(path, expected.genesis)
    except LedgerError as error:
        return {"outcome": "refused", "code": error.code}
    if not report.ok:
        return {"outcome": "reported", "codes": sorted({finding.code for finding in report.findings})}
    right = height <= max(expected.blocks) and app_hash == expected.app_hash(height)
    return {"outcome": "sound" if right else "wrong", "height": height}


def attempt(template: Path, expected: Expected, scratch: Path, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    path = scratch / "ledger"
    for left in scratch.glob("ledger*"):
        shutil.rmtree(left)
    shutil.copytree(template, path)
    told: dict[str, Any] = {"seed": seed, "damage": damage(path, rng)}
    told |= outcome(path, expected)
    if told["outcome"] in ("refused", "reported"):
        done = repair_ledger(path, expected.genesis, lambda _: True, stamp="now", check=seed % 4 == 0)
        told["repair"] = outcome(path, expected) | {"from": told["outcome"], "way": done.way}
    return told


def main(directory: Path, seeds: list[int]) -> None:
    template = Driver(directory / "template").path
    chain = Chain.create(template)
    for _ in range(BLOCKS):
        add_block(chain, 4)
    chain.close()
    expected = load_expected(template)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for seed in seeds:
        signal.alarm(PATIENCE_S)
        try:
            told = attempt(template, expected, directory, seed)
        except Exception as error:  # what leaks is what this looks for
            told = {"seed": seed, "outcome": "leaked", "error": repr(error)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
