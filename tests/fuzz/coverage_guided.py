"""One target under atheris, in this process.

    python -m tests.fuzz.coverage_guided TARGET [libFuzzer options]

The modules that a target names are instrumented as they are imported, so branches taken in them guide the
fuzzer. Half of the mutations keep the structure that the target knows; the others are libFuzzer's.
`tests.fuzz` starts this as a child: libFuzzer ends the process.
"""

from __future__ import annotations

import gc
import sys
from random import Random

import atheris

from tests.fuzz.table import HERE, TARGETS, Target, load


def main() -> None:
    target = TARGETS[sys.argv[1]]
    tops = {name.partition(".")[0] for name in target.instrument}
    with atheris.instrument_imports(include=sorted(tops), exclude=_others(target, tops)):
        loaded = load(target)
    for seed in loaded.seeds():
        loaded.one_input(seed)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)

        def havoc(part: bytes) -> bytes:
            room = max(len(part) + 64, 128)
            return bytes(atheris.Mutate(part, min(room, max_size)))

        if random.random() < 0.3:
            return havoc(data)[:max_size]
        return loaded.mutate(data, random, havoc)[:max_size]

    # libFuzzer starts the workers of a merge by a shell with what stands first.
    command = f"{sys.executable} -m tests.fuzz.coverage_guided {target.name}"
    atheris.Setup([command, *sys.argv[2:]], loaded.one_input, custom_mutator=mutate)
    gc.freeze()
    atheris.Fuzz()


def _others(target: Target, tops: set[str]) -> list[str]:
    """Atheris includes whole top-level packages: every module of theirs that the target does not name."""
    root = HERE.parents[1]
    modules = [
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for top in tops
        for path in (root / top).rglob("*.py")
    ]
    named = tuple(f"{name}." for name in target.instrument)
    return [module for module in modules if not f"{module}.".startswith(named)]


if __name__ == "__main__":
    main()
