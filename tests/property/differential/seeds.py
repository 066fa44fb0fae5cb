"""Seeds of the differential tests.

A seed is a string; everything random in one program or sequence comes from `random.Random` of its kind and
seed, so a seed repeats it exactly. `make test` runs the same few seeds each time. The long run makes new ones
and prints the first part of them; SHELIAN_FUZZ_SEED repeats a run (`1234`) or one program of it (`1234/56`).

A seed that ever failed is kept in seeds.json with the reason, and every run replays it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from random import Random

KEPT = Path(__file__).with_name("seeds.json")
VARIABLE = "SHELIAN_FUZZ_SEED"
ALWAYS_THE_SAME = "0"


def kept(kind: str) -> list[str]:
    """Seeds of this kind that once failed."""
    return [entry["seed"] for entry in json.loads(KEPT.read_text()) if entry["kind"] == kind]


def quick(kind: str, count: int) -> list[str]:
    """The kept seeds, and `count` that are the same each time."""
    return kept(kind) + [f"{ALWAYS_THE_SAME}/{number}" for number in range(count)]


def fresh(kind: str, count: int) -> Iterator[str]:
    """`count` new seeds, or those that the environment variable names."""
    named = os.environ.get(VARIABLE)
    if named and "/" in named:
        yield named
        return
    run = named or secrets.token_hex(4)
    print(f"{kind}: {VARIABLE}={run}")
    for number in range(count):
        yield f"{run}/{number}"


def chance(kind: str, seed: str) -> Random:
    """All that is random of one seed."""
    return Random(f"{kind} {seed}")


def name(kind: str, seed: str) -> str:
    """How a failure names its seed."""
    return f"{kind} {VARIABLE}={seed}"
