"""The fuzz targets: what each reads, which modules guide it, its share of the long run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.fuzz.mutators import Mutate

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """`instrument`: the packages and modules whose branches guide the fuzzer. `inputs`: of the long run, in
    `shares` parts of equal size that can run side by side. `max_len`: bytes of an input.
    """

    name: str
    instrument: tuple[str, ...]
    inputs: int
    shares: int = 1
    max_len: int = 2_048

    @property
    def module(self) -> str:
        return f"tests.fuzz.targets.{self.name}"

    @property
    def corpus(self) -> Path:
        return HERE / "corpus" / self.name

    @property
    def regressions(self) -> Path:
        return HERE / "regressions" / self.name


TARGETS = {
    target.name: target
    for target in (
        Target("transaction", ("node.chain",), 2_400_000, shares=2, max_len=6_144),
        Target("messages", ("node.chain",), 2_400_000, shares=2),
        Target("rpc", ("node.rpc",), 1_000_000, shares=2, max_len=4_096),
        Target("trie_proof", ("node.chain.proof", "node.chain.encoding"), 1_500_000),
        Target("encodings", ("node.chain.encoding",), 1_600_000, max_len=512),
        Target("webauthn", ("node.chain.schemes", "node.chain.signing", "node.chain.encoding"), 1_500_000),
        Target("evidence", ("node.chain", "evidence"), 600_000),
        Target(
            "documents",
            ("identity.sealing", "identity.request", "node.chain.encoding"),
            600_000,
            max_len=4_096,
        ),
        Target("genesis", ("node.chain.genesis", "node.chain.encoding"), 400_000, max_len=6_144),
        Target("key_file", ("identity.keystore", "node.chain.encoding"), 400_000),
    )
}
"""Together at least ten million inputs (`test_fuzz_long`)."""


@dataclass(frozen=True)
class Loaded:
    """A target's module: the property of one input, real encodings to begin with, and how to change them."""

    one_input: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    mutate: Mutate


def load(target: Target) -> Loaded:
    module: Any = importlib.import_module(target.module)
    return Loaded(module.one_input, module.seeds, cast(Mutate, module.mutate))


def kept_inputs(directory: Path) -> list[Path]:
    """Corpus and regression files, by name."""
    return sorted(path for path in directory.glob("*") if path.is_file()) if directory.is_dir() else []
