"""Makes the archive of Ethereum's state tests from a checkout of https://github.com/ethereum/tests.

    git clone https://github.com/ethereum/tests && git -C tests checkout 4c87ebbf024a
    python tests/vectors/pack_state_tests.py tests ../shared/vectors/ethereum-state-tests-cancun.tar.xz

It takes the files that state_tests/manifest.json names, keeps of each the tests with a Cancun post state and
of those the Cancun posts only, and checks that the numbers of cases are the manifest's. With --all it takes
every file with a Cancun post state instead. The same checkout gives the same bytes.

Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MANIFEST = Path(__file__).parent / "state_tests" / "manifest.json"
KEPT = ("env", "post", "pre", "transaction")


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack Ethereum's Cancun state tests.")
    parser.add_argument("checkout", type=Path, help="folder of ethereum/tests")
    parser.add_argument("archive", type=Path, help="the .tar.xz to write")
    parser.add_argument("--all", action="store_true", help="every file, not the manifest's only")
    arguments = parser.parse_args()
    folder = arguments.checkout / "GeneralStateTests"
    if not folder.is_dir():
        sys.exit(f"{folder} is not a folder")
    expected = None if arguments.all else expected_counts()
    files = dict(packed_files(folder, expected))
    write(arguments.archive, files)
    cases = sum(count(tests) for tests in files.values())
    print(f"{arguments.archive}: {len(files)} files, {cases} cases")


def expected_counts() -> dict[str, int]:
    """File below GeneralStateTests -> number of cases."""
    manifest: dict[str, dict[str, int]] = json.loads(MANIFEST.read_text())
    return {
        f"{directory}/{file}": cases for directory, files in manifest.items() for file, cases in files.items()
    }


def packed_files(folder: Path, expected: dict[str, int] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, its tests) in order; leaves the program if the checkout is not the manifest's."""
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json")}
    for file in sorted(present if expected is None else expected):
        if file not in present:
            sys.exit(f"{file} is not in the checkout")
        tests = with_cancun(json.loads(present[file].read_bytes()))
        if expected is not None and count(tests) != expected[file]:
            sys.exit(f"{file} has {count(tests)} Cancun cases, expected {expected[file]}")
        if tests:
            yield file, tests


def with_cancun(tests: dict[str, Any]) -> dict[str, Any]:
    """The tests that have a Cancun post state, without the posts of other forks."""
    return {
        name: {key: test[key] if key != "post" else {"Cancun": test["post"]["Cancun"]} for key in KEPT}
        for name, test in sorted(tests.items())
        if test["post"].get("Cancun")
    }


def count(tests: dict[str, Any]) -> int:
    return sum(len(test["post"]["Cancun"]) for test in tests.values())


def write(archive: Path, files: dict[str, dict[str, Any]]) -> None:
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for file, tests in files.items():
            content = json.dumps(tests, separators=(",", ":"), sort_keys=True).encode()
            entry = tarfile.TarInfo(f"GeneralStateTests/{file}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main()
