"""Coverage-guided fuzzing of the decoders: `python -m tests.fuzz --help`.

python -m tests.fuzz                                     every target, 100,000 inputs each
python -m tests.fuzz --target rpc --seconds 600          one target, ten minutes
python -m tests.fuzz --seed                              write real encodings into the corpus
python -m tests.fuzz --grow --seconds 60                 fuzz, keep what reached new branches, minimise
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.running import Run, run_target
from tests.fuzz.table import TARGETS, Target, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--target", choices=sorted(TARGETS), action="append", help="only this one (repeatable)"
    )
    parser.add_argument("--inputs", type=int, help="executions for each target (default 100,000)")
    parser.add_argument("--seconds", type=int, default=0, help="stop each target after so many seconds")
    parser.add_argument("--workers", type=int, default=1, help="targets that run side by side")
    parser.add_argument("--random-seed", type=int, default=0, help="for libFuzzer; 0: another one every time")
    parser.add_argument("--seed", action="store_true", help="only write the seeds into the corpus")
    parser.add_argument("--grow", action="store_true", help="keep new corpus inputs, minimised")
    arguments = parser.parse_args()
    targets = [TARGETS[name] for name in arguments.target or TARGETS]
    if arguments.seed:
        for target in targets:
            print(f"{target.name}: {write_seeds(target)} seeds")
        return 0
    inputs = arguments.inputs or (-1 if arguments.seconds else 100_000)

    def run(target: Target) -> Run:
        if arguments.grow:
            return grow(target, inputs, arguments.seconds)
        return run_target(target, inputs=inputs, seconds=arguments.seconds, seed=arguments.random_seed)

    with ThreadPoolExecutor(arguments.workers) as pool:
        runs = list(pool.map(run, targets))
    print("target          inputs     CPU s per CPU s  branches  features")
    for target, one in zip(targets, runs, strict=True):
        figures = (
            one.inputs,
            round(one.seconds),
            round(one.inputs / one.seconds),
            one.branches,
            one.features,
        )
        print(f"{target.name:12}" + "".join(f"{figure:>10,}" for figure in figures))
        for data in one.found:
            path = keep_failure(target, data)
            print(f"  {path}: a broken property; fix it, and commit the file with the fix")
        if one.failure:
            print(one.failure)
    return 1 if any(one.failure for one in runs) else 0


def write_seeds(target: Target) -> int:
    target.corpus.mkdir(parents=True, exist_ok=True)
    seeds = list(load(target).seeds())
    for seed in seeds:
        (target.corpus / _name(seed)).write_bytes(seed)
    return len(seeds)


def grow(target: Target, inputs: int, seconds: int) -> Run:
    """Fuzz; then the corpus becomes the smallest set of inputs that covers all of them, and the seeds."""
    with tempfile.TemporaryDirectory() as scratch:
        found, smallest = Path(scratch) / "found", Path(scratch) / "smallest"
        found.mkdir()
        smallest.mkdir()
        run = run_target(target, inputs=inputs, seconds=seconds, keep=found)
        for path in found.iterdir():
            shutil.copy(path, target.corpus / path.name)
        merged = run_target(target, keep=smallest, merge=True)
        if merged.failure or not any(smallest.iterdir()):
            return merged
        for path in target.corpus.iterdir():
            path.unlink()
        for path in smallest.iterdir():
            shutil.copy(path, target.corpus / _name(path.read_bytes()))
    write_seeds(target)
    return run


def keep_failure(target: Target, data: bytes) -> Path:
    target.regressions.mkdir(parents=True, exist_ok=True)
    path = target.regressions / _name(data)
    path.write_bytes(data)
    return path


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
