"""Ethereum's state tests as cases: where they come from, how many there must be, which ones are run.

`manifest.json` holds what the archive must contain: every test file by directory with the number of its
cases. So a file that is missing, cut short or read wrongly is noticed, and `pack_state_tests.py` can make the
archive anew.

Two sources:
- the archive beside the repository, ../shared/vectors/ethereum-state-tests-cancun.tar.xz;
- a checkout of https://github.com/ethereum/tests, named by the environment variable SHELIAN_ETHEREUM_TESTS:
  then all of its cases with a Cancun post state, which are more than the archive has.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ARCHIVE = Path(__file__).parents[4] / "shared" / "vectors" / "ethereum-state-tests-cancun.tar.xz"
CHECKOUT_VARIABLE = "SHELIAN_ETHEREUM_TESTS"
MANIFEST = Path(__file__).with_name("manifest.json")
COMMIT = "4c87ebbf024a3e9ec842bcce90564f629a3bcd82"
"""Of ethereum/tests, branch develop, 2024-10-24."""
BLOB_TYPE = 3
BLOB_CASES, ALL_CASES = 238, 8_970

ENDLESS = frozenset({"stTimeConsuming/CALLBlake2f_MaxRounds.json"})
"""4,294,967,295 rounds of blake2f. Of a checkout, left out; not in the archive."""

SECONDS_EACH = ("static_Call50000", "CannotBeDos", "Calldepth")
"""Not in the slice that `make test` runs."""


@dataclass(frozen=True)
class Case:
    """One transaction in one state, and what Ethereum says it must leave: `post` holds `hash` (state root),
    `logs` (hash of the logs) and `txbytes`.
    """

    file: str
    name: str
    environment: dict[str, str]
    pre: dict[str, dict[str, Any]]
    post: dict[str, Any]

    @property
    def id(self) -> str:
        """File, test and indexes: stRandom/x.json x d0g0v0."""
        indexes = self.post["indexes"]
        place = f"d{indexes['data']}g{indexes['gas']}v{indexes['value']}"
        return f"{self.file} {self.name} {place}"

    @property
    def directory(self) -> str:
        return self.file.rpartition("/")[0]

    @property
    def raw(self) -> bytes:
        """The transaction's bytes."""
        return unhex(self.post["txbytes"])

    @property
    def has_blobs(self) -> bool:
        return self.raw[:1] == bytes([BLOB_TYPE])

    @property
    def is_invalid(self) -> bool:
        """Ethereum refuses the transaction."""
        return "expectException" in self.post


@lru_cache(maxsize=1)
def load_files() -> dict[str, bytes]:
    """The test files by name below GeneralStateTests, in order.

    Skips the test, or in CI fails it, if they are not here.
    """
    checkout = os.environ.get(CHECKOUT_VARIABLE)
    if checkout:
        folder = Path(checkout) / "GeneralStateTests"
        if not folder.is_dir():
            pytest.fail(f"{CHECKOUT_VARIABLE} names {checkout}, which has no GeneralStateTests")
        named = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.json"))
        return {name: path.read_bytes() for name, path in sorted(named) if name not in ENDLESS}
    if not ARCHIVE.is_file():
        missing(f"Ethereum's state tests are not at {ARCHIVE}")
    files = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.name.endswith(".json"):
                stream = archive.extractfile(member)
                assert stream is not None
                files[member.name.removeprefix("GeneralStateTests/")] = stream.read()
    return dict(sorted(files.items()))


def missing(what: str) -> None:
    """Skips, or in CI fails: `what`, and how to get it."""
    message = (
        f"{what}. Either clone https://github.com/ethereum/tests, check out {COMMIT[:10]} and set "
        f"{CHECKOUT_VARIABLE} to that folder, or make the archive from it: "
        "python tests/vectors/pack_state_tests.py CHECKOUT ARCHIVE (docs/CONFORMANCE.md)"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def is_archive() -> bool:
    """Whether the cases come from the archive, whose number is known."""
    return not os.environ.get(CHECKOUT_VARIABLE)


def cases_of(file: str, content: bytes) -> Iterator[Case]:
    """The cases with a Cancun post state."""
    for name, test in json.loads(content).items():
        for post in test["post"].get("Cancun", ()):
            yield Case(file, name, test["env"], test["pre"], post)


def load_cases(part: int = 0, parts: int = 1) -> Iterator[Case]:
    """All cases, or those of every `parts`-th file: the parts together are all of them."""
    for file, content in list(load_files().items())[part::parts]:
        yield from cases_of(file, content)


def load_manifest() -> dict[str, dict[str, int]]:
    """Directory -> file -> number of cases, as the archive must have them."""
    manifest: dict[str, dict[str, int]] = json.loads(MANIFEST.read_text())
    return manifest


def count(cases: Iterable[Case]) -> dict[str, dict[str, int]]:
    """Directory -> file -> number of cases, as they are."""
    found: dict[str, Counter[str]] = {}
    for case in cases:
        directory, _, file = case.file.rpartition("/")
        found.setdefault(directory, Counter())[file] += 1
    return {directory: dict(files) for directory, files in found.items()}


def slice_of(size: int) -> list[Case]:
    """About `size` executed cases, the same ones each time.

    From every directory at least one and the more the larger it is; which ones, the hash of the name says.
    """
    directories: dict[str, list[str]] = {}
    for file in load_files():
        if not any(word in file for word in SECONDS_EACH):
            directories.setdefault(file.rpartition("/")[0], []).append(file)
    spare = size - len(directories)
    total = sum(map(len, directories.values()))
    chosen: list[Case] = []
    seen = 0
    for files in directories.values():
        wanted = 1 + spare * (seen + len(files)) // total - spare * seen // total
        seen += len(files)
        for file in sorted(files, key=_rank):
            cases = [case for case in cases_of(file, load_files()[file]) if not case.has_blobs]
            if cases and wanted:
                chosen.append(min(cases, key=lambda case: _rank(case.id)))
                wanted -= 1
    return chosen


def _rank(name: str) -> bytes:
    return sha256(name.encode()).digest()


def share_of(cases: Sequence[Case], one_in: int) -> list[Case]:
    """One in so many of the cases, the same ones each time."""
    return [case for case in cases if int.from_bytes(_rank(case.id)[:4], "big") % one_in == 0]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def number(text: str) -> int:
    return int(text, 16) if text not in ("", "0x") else 0
